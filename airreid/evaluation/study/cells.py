"""Cells of a study: results that are computed by themselves, each in a JSON file of its own."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from airreid.disk import read_regular
from airreid.errors import InputError
from airreid.validation import FrozenModel

FORMAT = 1
MOST_DRAWS = 35
"""Noise draws of a point, at most: the times that a query was found are one digit of base 36."""
_BYTES_MAX = 256 << 20
"""Bytes of a cell or a plan, at most."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class StudyPoint(FrozenModel):
    """Searches of all queries at one SNR: T trainings, S noise draws each."""

    snr_db: float
    top1: tuple[tuple[float, ...], ...]
    """(T, S): share of the queries found, for each training and noise draw."""
    hits: tuple[str, ...]
    """(T): per query a digit of base 36, the noise draws in which it was found."""
    measured_snr_db: float | None = None
    """SNR of the very blocks that the point is made of; None where no noise is added."""
    power: float | None = None
    """Their mean power per use, that of the block farthest from 1."""
    top5: float | None = None
    """As the following, that of the first training and noise draw alone."""
    top10: float | None = None
    map: float | None = None
    minp: float | None = None


class StudyCurve(FrozenModel):
    """One scheme, trained T times alike, at every SNR."""

    scheme: str
    """``ae-paper``, ``pca``: what is sent and how it was trained, whatever the bandwidth."""
    bandwidth: int
    snr_db_train: tuple[float, float] | None = None
    points: tuple[StudyPoint, ...]


class Latents(FrozenModel):
    """Messages of one training of a digital scheme, and who is found by them."""

    seed: int
    bits: tuple[int, ...]
    """(Q): bits of each query's message, counted from the encoded stream."""
    hits: str
    """(Q): 1 where the query is found by its message."""
    held_out_bits: tuple[int, ...]
    held_out_hits: str
    payload_sizes: tuple[int, ...]
    """Bits of the payloads that messages are padded to, chosen on training people."""
    messages: tuple[str, ...]
    """(Q): the messages, hexadecimal, padded by zeros at their ends."""
    crc_seed: str
    """Hexadecimal: the bytes that seed the check bits."""
    mean_ap: float


class Cell(FrozenModel):
    """Result of one cell, and everything that it takes to get it again."""

    format: int = FORMAT
    name: str
    key: str
    """Digest of data, features and settings; another key is another result."""
    settings: dict[str, Any]
    seconds: float
    device: str
    versions: dict[str, str]
    curves: tuple[StudyCurve, ...] = ()
    latents: tuple[Latents, ...] = ()
    chosen: dict[str, Any] = Field(default_factory=dict)
    """Settings that held-out people have chosen, and their results."""
    facts: dict[str, Any] = Field(default_factory=dict)
    """Further numbers, by name."""


def key_of(settings: dict[str, Any]) -> str:
    """Returns the digest of settings that JSON can hold."""
    text = json.dumps({"format": FORMAT, **settings}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def read_cell(path: Path) -> Cell:
    """Reads a cell. Raises :class:`InputError` naming the file where it is none."""
    try:
        return Cell.model_validate_json(read_regular(path, _BYTES_MAX))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{path}: {where}: {first['msg']}; delete the file to compute it"
        ) from None


def finished(path: Path, key: str) -> bool:
    """Says whether a file holds the cell of that key. A damaged file does not."""
    try:
        return path.exists() and read_cell(path).key == key
    except InputError:
        return False


def write_cell(cell: Cell, path: Path) -> None:
    """Writes a cell so that a reader finds either all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(cell.model_dump_json(exclude_none=True) + "\n", encoding="utf-8")
    part.replace(path)


PLAN = "study.json"
"""File of a study's folder that names it and its cells."""


def write_plan(folder: Path, study: str, quick: bool, names: Sequence[str]) -> None:
    """Writes which cells a study has when it is finished."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"format": FORMAT, "study": study, "quick": quick, "cells": list(names)}
    (folder / PLAN).write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")


def planned_cells(folder: Path) -> tuple[str, ...]:
    """Reads which cells a study has when it is finished; empty for a folder that never says.

    Raises :class:`InputError` for a file that is no plan.
    """
    path = folder / PLAN
    try:
        names = json.loads(read_regular(path, _BYTES_MAX))["cells"]
        return tuple(map(str, names))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it") from None


def digits(counts: NDArray[np.integer]) -> str:
    """Writes counts (Q,), 0 to 35 each, as digits of base 36."""
    return "".join(_DIGITS[count] for count in counts.tolist())


def counts_of(text: str) -> NDArray[np.int64]:
    """Reads what :func:`digits` wrote: int64 (Q,)."""
    return np.asarray([int(digit, 36) for digit in text], np.int64)


def point_of(snr_db: float, hits: NDArray[np.bool_], **facts: float | None) -> StudyPoint:
    """Makes a point of hits (T, S, Q): whether each training and draw found each query."""
    return StudyPoint(
        snr_db=snr_db,
        top1=tuple(tuple(row) for row in hits.mean(axis=2).round(6).tolist()),
        hits=tuple(digits(row) for row in hits.sum(axis=1)),
        **facts,
    )
