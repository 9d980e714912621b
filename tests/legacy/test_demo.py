"""Over the same noise, the demo bundle ranks the same people as it did."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airreid.bundle import Bundle
from airreid.datasets.synthetic.population import Population, write_folder
from airreid.images import load, to_crop
from airreid.inference import BackboneRunner
from airreid.noise import NoiseStream
from airreid.offline import replay, same_ranking
from airreid.scheme import links_of
from airreid.scheme_kinds import open_scheme

from .support import FIRST_BLOCK, LINK, SEED, SNRS_DB

TIE = 1e-5
"""Scores closer than this may change places: the order of sums is the machine's."""
ADDED = ("jscc-nested-256",)
"""Schemes that the bundle did not have when its rankings were recorded."""
COSINE = 0.98
"""Least cosine of a feature with its recorded one, which a backbone of 8-bit weights gave."""


def test_every_scheme_link_and_snr_ranks_as_recorded(
    bundle: Bundle, arrays: Mapping[str, np.ndarray], expected: dict[str, Any]
) -> None:
    gallery, queries = (
        arrays[f"demo/{name}"].astype(np.float32) for name in ("gallery", "queries")
    )
    noise = NoiseStream(SEED, LINK)
    rankings = dict(expected["demo"]["rankings"])
    for info in bundle.manifest.schemes:
        scheme = open_scheme(bundle, info, 1)
        for link in links_of(info):
            for snr_db in SNRS_DB:
                recorded = rankings.pop(f"{info.id}/{link}/{snr_db:g}", None)
                if recorded is None:
                    assert info.id in ADDED, (info.id, link, snr_db)
                    continue
                order = np.asarray(recorded)
                replayed = replay(scheme, link, gallery, queries, snr_db, noise, FIRST_BLOCK)
                alike = same_ranking(replayed.order, order, replayed.scores, TIE)
                assert alike.all(), (info.id, link, snr_db, replayed.order.tolist())
    assert not rankings, "schemes or links that are gone"


def test_the_same_people_are_drawn_and_seen(
    bundle: Bundle,
    arrays: Mapping[str, np.ndarray],
    expected: dict[str, Any],
    tmp_path: Path,
) -> None:
    write_folder(Population(seed=77, identities=12, cameras=2, shots=2), tmp_path)
    paths = sorted(tmp_path.glob("*/cam-0/*.png"))[::2]
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == expected["demo"]["people"]
    runner = BackboneRunner(bundle, bundle.backbone, 1)
    features = np.concatenate([runner.features(to_crop(load(path))[None]) for path in paths])
    recorded = arrays["demo/gallery"].astype(np.float32)
    norms = np.linalg.norm(features, axis=1) * np.linalg.norm(recorded, axis=1)
    cosines = (features * recorded).sum(axis=1) / norms
    assert cosines == pytest.approx(1.0, abs=1 - COSINE)
