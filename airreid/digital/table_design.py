"""Design of a digital scheme's coding tables from sample latents: payload sizes, codes, proof."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.digital.arithmetic import decode, encode
from airreid.digital.channel_code import POLAR, channel_code_kind
from airreid.digital.coding_tables import CodingTables, load_coding_tables
from airreid.digital.crc import CrcBits
from airreid.digital.prior import PRECISION, Prior, escape_bits, excess
from airreid.errors import ParityError
from airreid.inference import Network
from airreid.scheme_info import DigitalInfo, SchemeInfo

MARGIN = 0.05
"""The largest payload size is this share above the longest message seen."""
SPARE_BITS = 2.0
"""Most that a coded message may be longer than its ideal length."""
_SAMPLE = 256
"""Messages that are decoded in the proof."""


def write_tables(
    path: Path,
    prior: Prior,
    latents: NDArray[np.int64],
    uses: int,
    crc_bits: CrcBits = 11,
    sizes: int = 4,
    code: str = POLAR,
) -> CodingTables:
    """Writes the coding tables of a scheme whose sample latents (N, d) are known.

    Every latent is coded; ``sizes`` payload sizes, at most, are chosen for the messages' lengths,
    and a channel code of kind ``code`` that fills ``uses`` real uses is designed for each.
    Raises :class:`ParityError` when a message is longer than its tables say or does not come
    back.
    """
    lengths = _prove_coding(path, prior, latents)
    design = channel_code_kind(code).design
    tables = CodingTables(
        prior=prior,
        codes=tuple(design(k, uses, crc_bits) for k in payload_sizes(lengths, sizes)),
    )
    path.write_text(canonical(tables), encoding="ascii")
    if load_coding_tables(path) != tables:
        raise ParityError(f"{path}: reads back as other coding tables")
    return tables


def rounded(path: Path, features: NDArray[np.float32]) -> NDArray[np.int64]:
    """Integers (N, d) that an exported encoder makes of features (N, D): half to even."""
    network = Network(path, threads=1)
    chunks = [network(features[start : start + 512]) for start in range(0, len(features), 512)]
    return np.rint(np.concatenate(chunks)).astype(np.int64)


def canonical(tables: CodingTables) -> str:
    """The one JSON text of coding tables: sorted keys, no spaces, ASCII."""
    return json.dumps(tables.model_dump(mode="json"), sort_keys=True, separators=(",", ":")) + "\n"


def prove_distinct(folder: Path, schemes: Sequence[SchemeInfo]) -> None:
    """Raises :class:`ParityError` when two digital schemes seed their CRC alike.

    The seed is the end of the first 4 bytes of the table's digest: a CRC of 11 bits knows
    only 11 of them.
    """
    scheme_of: dict[int, str] = {}
    for info in schemes:
        if not isinstance(info, DigitalInfo):
            continue
        tables = load_coding_tables(folder / info.coding_tables.path)
        seed = int.from_bytes(tables.prior.digest[:4], "big") % (
            1 << min(code.crc_bits for code in tables.codes)
        )
        if seed in scheme_of:
            raise ParityError(
                f"schemes {scheme_of[seed]} and {info.id} seed their CRC alike; give one of them "
                "other dimensions or another rate_lambda"
            )
        scheme_of[seed] = info.id


def code_lengths(latents: NDArray[np.integer], tables: Prior) -> NDArray[np.float64]:
    """Ideal lengths in bits of latents (N, d): (N,). Many times ``tables.code_length``."""
    bits = np.zeros(len(latents))
    for column, low, row in zip(latents.T, tables.low, tables.counts, strict=True):
        size = len(row) - 1
        symbols = column.astype(np.int64) - low
        outside = (symbols < 0) | (symbols >= size)
        cost = PRECISION - np.log2(np.asarray(row, dtype=np.float64))
        bits += cost[np.where(outside, size, symbols)]
        for message in np.flatnonzero(outside):
            bits[message] += escape_bits(excess(int(column[message]), low, size))
    return bits


def payload_sizes(lengths: NDArray[np.integer], count: int = 4) -> tuple[int, ...]:
    """Growing payload sizes in bits, ``count`` at most, for messages of ``lengths`` (N,).

    Each message is padded to the least size that holds it; the sizes are those that
    make the mean padding least, found by dynamic programming over the lengths that
    occur. The largest one is the longest message and ``MARGIN`` more, because other
    people's messages may be longer (one that still does not fit is shortened where it
    is encoded). Fewer sizes where fewer lengths occur.
    """
    if count < 1 or not len(lengths):
        raise ValueError("needs at least one size and one message")
    values, times = np.unique(np.maximum(np.asarray(lengths, np.int64), 1), return_counts=True)
    longest = int(values[-1])
    sizes = np.append(values, longest + max(1, int(np.ceil(MARGIN * longest))))
    fit = np.append(np.cumsum(times), times.sum())  # messages that fit each size
    # cost[j]: least bits for all messages that fit sizes[j], the largest size used
    cost = sizes * fit.astype(np.float64)
    chosen: list[NDArray[np.int64]] = []
    for _ in range(min(count, len(sizes)) - 1):
        # sizes[i] and then sizes[j]: what fits j and not i is padded to j
        step = cost[:, None] + sizes * (fit - fit[:, None])
        step[np.tril_indices(len(sizes))] = np.inf
        before = np.concatenate([[cost], step])  # first row: one size fewer
        best = before.argmin(axis=0)
        chosen.append(best - 1)
        cost = before[best, np.arange(len(sizes))]
    path, index = [len(sizes) - 1], len(sizes) - 1
    for back in reversed(chosen):
        if back[index] >= 0:
            index = int(back[index])
            path.append(index)
    return tuple(int(sizes[index]) for index in reversed(path))


def _prove_coding(path: Path, tables: Prior, latents: NDArray[np.int64]) -> NDArray[np.int64]:
    """Encodes all latents (N, d) and decodes some; the messages' lengths in bits (N,)."""
    messages = [encode(latent, tables) for latent in latents.tolist()]
    lengths = np.asarray([len(message) for message in messages], dtype=np.int64)
    over = lengths - code_lengths(latents, tables)
    if over.max() > SPARE_BITS:
        raise ParityError(f"{path}: a message is {over.max():.1f} bits above its ideal length")
    for row in np.linspace(0, len(latents) - 1, min(len(latents), _SAMPLE)).astype(int):
        if not np.array_equal(decode(messages[row], tables), latents[row]):
            raise ParityError(f"{path}: message {row} does not come back as it was")
    return lengths
