"""Cells of a study: results that are computed by themselves, each in a JSON file of its own."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
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
PEOPLE = "people"
"""Fact of the bound's cell: whom each query shows."""
PACKED = ".json.xz"
"""End of the names of cells that are packed."""
_BYTES_MAX = 256 << 20
"""Bytes of a cell or a plan, at most."""
_UNPACKING_MAX = 64 << 20
"""Memory that unpacking a cell may take beside the cell itself."""
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
    """Reads a cell, packed or not. Raises :class:`InputError` naming the file where it is none."""
    try:
        data = read_regular(path, _BYTES_MAX)
        return Cell.model_validate_json(_unpacked(data) if path.name.endswith(PACKED) else data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except lzma.LZMAError as error:
        raise InputError(f"{path}: cannot be unpacked ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{path}: {where}: {first['msg']}; delete the file to compute it"
        ) from None


def _unpacked(data: bytes) -> bytes:
    """Unpacks one whole xz stream, of as many bytes as a cell may have."""
    reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, _UNPACKING_MAX)
    text = reader.decompress(data, _BYTES_MAX)
    if not reader.eof or reader.unused_data:
        raise lzma.LZMAError("it is cut off, too long, or more than one stream")
    return text


def finished(path: Path, key: str) -> bool:
    """Says whether a file holds the cell of that key. A damaged file does not."""
    try:
        return path.exists() and read_cell(path).key == key
    except InputError:
        return False


def write_cell(cell: Cell, path: Path) -> None:
    """Writes a cell, packed if its name says so; a reader finds either all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = (cell.model_dump_json(exclude_none=True) + "\n").encode()
    if path.name.endswith(PACKED):
        data = lzma.compress(data, preset=6 | lzma.PRESET_EXTREME)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)


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
