"""A trained digital scheme as files of a bundle, with proof that they work."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.digital.arithmetic import decode, encode
from airreid.digital.coding_tables import CodingTables, load_coding_tables
from airreid.digital.crc import CrcBits
from airreid.digital.polar_design import design_code
from airreid.digital.prior import Prior
from airreid.inference import Network
from airreid.scheme_info import DigitalInfo, FileRef, SchemeInfo
from airreid.scheme_kinds import bandwidth_of
from training.export.integer_prior import code_lengths, integer_prior, payload_sizes
from training.export.onnx import ParityError, export_onnx, halve_weights, prove_parity
from training.models.digital import Digital, DigitalHead

LATENT_TOLERANCE = 1e-4
"""Relative to the latent's RMS. Much less than the JSCC heads', because rounding turns a
small difference into a whole integer; PyTorch computes with the stored float16 weights."""
SPARE_BITS = 2.0
"""Most that a coded message may be longer than its ideal length."""
SAMPLE = 256
"""Features that pass through PyTorch, and messages that are decoded, in the proof."""


def export_digital(
    scheme_id: str,
    model: Digital,
    folder: Path,
    features: NDArray[np.float32],
    space: str,
    *,
    crc_bits: CrcBits = 11,
    sizes: int = 4,
    rate_lambda: float | None = None,
) -> DigitalInfo:
    """Exports a digital scheme, proves it on the training ``features`` (N, D), describes it.

    Writes ``<scheme_id>.encoder.onnx`` and ``<scheme_id>.codebook.json``. Tables and
    payload sizes (``sizes`` of them, at most) come from the latents that the written
    graph gives. Raises :class:`training.export.onnx.ParityError` when the graph differs from
    PyTorch, and when a message is longer than its tables say or does not come back.
    """
    head = stored(model.head)
    path = folder / f"{scheme_id}.encoder.onnx"
    export_onnx(head, torch.from_numpy(features[:2]), path)
    halve_weights(path)
    spread = np.linspace(0, len(features) - 1, min(len(features), SAMPLE)).astype(int)
    _prove_rounding(head, path, np.ascontiguousarray(features[spread]))
    latents = rounded(path, features)
    tables = integer_prior(model.prior, latents)
    lengths = _prove_coding(scheme_id, tables, latents)
    uses = bandwidth_of(scheme_id)
    book = CodingTables(
        prior=tables,
        codes=tuple(design_code(k, uses, crc_bits) for k in payload_sizes(lengths, sizes)),
    )
    book_path = folder / f"{scheme_id}.codebook.json"
    book_path.write_text(canonical(book), encoding="ascii")
    if load_coding_tables(book_path) != book:
        raise ParityError(f"{book_path}: reads back as another code book")
    return DigitalInfo(
        id=scheme_id,
        kind="digital",
        space_id=space,
        bandwidth=uses,
        embedding_dim=latents.shape[1],
        encoder=FileRef.of(path),
        coding_tables=FileRef.of(book_path),
        rate_lambda=rate_lambda,
    )


def stored(head: DigitalHead) -> DigitalHead:
    """The head with its weight rounded to float16, as the bundle stores it; a copy."""
    head = copy.deepcopy(head).eval()
    with torch.no_grad():
        head.linear.weight.copy_(head.linear.weight.half().float())
    return head


def rounded(path: Path, features: NDArray[np.float32]) -> NDArray[np.int64]:
    """Integers (N, d) that an exported encoder makes of features (N, D): half to even."""
    network = Network(path, threads=1)
    chunks = [network(features[at : at + 512]) for at in range(0, len(features), 512)]
    return np.rint(np.concatenate(chunks)).astype(np.int64)


def canonical(book: CodingTables) -> str:
    """The one JSON text of a code book: sorted keys, no spaces, ASCII."""
    return json.dumps(book.model_dump(mode="json"), sort_keys=True, separators=(",", ":")) + "\n"


def prove_distinct(folder: Path, schemes: Sequence[SchemeInfo]) -> None:
    """Raises :class:`ParityError` when two digital schemes seed their CRC alike.

    The seed is the end of the first 4 bytes of the table's digest: a CRC of 11 bits knows
    only 11 of them.
    """
    seen: dict[int, str] = {}
    for info in schemes:
        if not isinstance(info, DigitalInfo):
            continue
        book = load_coding_tables(folder / info.coding_tables.path)
        seed = int.from_bytes(book.prior.digest[:4], "big") % (
            1 << min(c.crc_bits for c in book.codes)
        )
        if seed in seen:
            raise ParityError(
                f"schemes {seen[seed]} and {info.id} seed their CRC alike; give one of them "
                "other dimensions or another rate_lambda"
            )
        seen[seed] = info.id


def _prove_rounding(head: DigitalHead, path: Path, features: NDArray[np.float32]) -> None:
    """The graph's integers are PyTorch's, but for latents too near a half-integer to tell."""
    prove_parity(head, path, features, LATENT_TOLERANCE)
    with torch.no_grad():
        latents = head(torch.from_numpy(features)).numpy()
    margin = LATENT_TOLERANCE * max(1e-12, float(np.sqrt(np.square(latents).mean())))
    differs = rounded(path, features) != np.rint(latents)
    clear = np.abs(latents - np.floor(latents) - 0.5) > margin
    if (differs & clear).any():
        raise ParityError(f"{path}: {int((differs & clear).sum())} latents round to other integers")


def _prove_coding(scheme_id: str, tables: Prior, latents: NDArray[np.int64]) -> NDArray[np.int64]:
    """Encodes all latents (N, d) and decodes some; the messages' lengths in bits (N,)."""
    messages = [encode(latent, tables) for latent in latents.tolist()]
    lengths = np.asarray([len(message) for message in messages], dtype=np.int64)
    over = lengths - code_lengths(latents, tables)
    if over.max() > SPARE_BITS:
        raise ParityError(f"{scheme_id}: a message is {over.max():.1f} bits above its ideal length")
    for at in np.linspace(0, len(latents) - 1, min(len(latents), SAMPLE)).astype(int):
        if not np.array_equal(decode(messages[at], tables), latents[at]):
            raise ParityError(f"{scheme_id}: message {at} does not come back as it was")
    return lengths
