"""Cells of a study that are made up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from airreid.evaluation.study.cells import (
    Cell,
    Latents,
    StudyCurve,
    digits,
    key_of,
    point_of,
    read_cell,
)
from airreid.evaluation.study.plan import Plan
from airreid.evaluation.study.results import Results
from airreid.evaluation.study.table import Table, table_of
from airreid.signal import SNR_DB_MAX

QUERIES = 40
SNRS_DB = (-10.0, 0.0, 10.0)


def hits(share: float, trainings: int = 2, draws: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((trainings, draws, QUERIES)) < share


def cell(name: str, **fields: Any) -> Cell:
    blank = {"key": key_of({"name": name}), "settings": {}, "seconds": 1.0, "device": "cpu"}
    return Cell.model_validate({"name": name, **blank, "versions": {}, **fields})


def curve(scheme: str, share: float, snr_db_train: tuple[float, float] | None) -> StudyCurve:
    points = tuple(
        point_of(snr_db, hits(share, seed=int(100 * share)), measured_snr_db=snr_db, power=1.0)
        for snr_db in SNRS_DB
    )
    return StudyCurve(scheme=scheme, bandwidth=256, snr_db_train=snr_db_train, points=points)


def latents(bits: int, share: float) -> Latents:
    at_random = np.random.default_rng(bits).random(QUERIES) < share
    shown = digits(at_random.astype(np.int64))
    return Latents(
        seed=0,
        bits=(bits,) * QUERIES,
        hits=shown,
        held_out_bits=(bits,) * QUERIES,
        held_out_hits=shown,
        payload_sizes=(bits,),
        messages=("00",) * QUERIES,
        crc_seed="00000000",
        mean_ap=0.5,
    )


def made_up() -> list[Cell]:
    """Makes cells of a few schemes at B = 256."""
    bound = point_of(SNR_DB_MAX, hits(0.8, 1, 1))
    return [
        cell(
            "noiseless",
            curves=(StudyCurve(scheme="noiseless", bandwidth=256, points=(bound,)),),
            facts={"people": [query // 4 for query in range(QUERIES)]},
        ),
        cell(
            "ae-paper-256",
            curves=tuple(
                curve("ae-paper", 0.5, train)
                for train in [(snr, snr) for snr in SNRS_DB] + [(-10.0, 10.0)]
            ),
        ),
        cell("closed-256", curves=(curve("pca", 0.05, None),)),
        cell("digital-64-10", latents=(latents(40, 0.6),)),
        cell("digital-64-100", latents=(latents(200, 0.9),)),
        cell(
            "coded-256",
            curves=(curve("digital-64-10", 0.3, None), curve("digital-64-100", 0.7, None)),
            facts={
                "chosen": {"-10": "digital-64-10", "0": "digital-64-10", "10": "digital-64-100"},
                "schemes": {
                    "digital-64-10": {"payload_bits": 44.0},
                    "digital-64-100": {"payload_bits": 210.0},
                },
            },
        ),
    ]


def table_in(folder: Path, planned: Sequence[str] = ()) -> Table:
    """Arranges a folder's cells."""
    cells = {path.stem: read_cell(path) for path in sorted(folder.glob("*.json"))}
    return table_of(Results(folder, Plan(cells=tuple(planned)), cells))
