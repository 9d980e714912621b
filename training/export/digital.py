"""Trained digital scheme as files of a bundle, with proof that they work."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.digital.channel_code import POLAR
from airreid.digital.crc import CrcBits
from airreid.digital.table_design import rounded, write_tables
from airreid.errors import ParityError
from airreid.scheme_info import DigitalInfo, FileRef
from airreid.scheme_kinds import bandwidth_of
from training.export.integer_prior import integer_prior
from training.export.onnx import export_onnx, halve_weights, prove_parity
from training.models.digital import DigitalCodec, DigitalHead

LATENT_TOLERANCE = 1e-4
"""Relative to the latent's RMS. Much less than the JSCC heads', because rounding turns a
small difference into a whole integer; PyTorch computes with the stored float16 weights."""
SAMPLE = 256
"""Features that pass through PyTorch in the proof."""


def export_digital(
    scheme_id: str,
    model: DigitalCodec,
    folder: Path,
    features: NDArray[np.float32],
    space: str,
    *,
    crc_bits: CrcBits = 11,
    channel_code: str = POLAR,
    sizes: int = 4,
    rate_lambda: float | None = None,
) -> DigitalInfo:
    """Exports a digital scheme, proves it on the training ``features`` (N, D), describes it.

    Writes ``<scheme_id>.encoder.onnx`` and ``<scheme_id>.codebook.json``. Tables and
    payload sizes (``sizes`` of them, at most) come from the latents that the written
    graph gives. Raises :class:`airreid.errors.ParityError` when the graph differs from
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
    uses = bandwidth_of(scheme_id)
    tables_path = folder / f"{scheme_id}.codebook.json"
    write_tables(tables_path, tables, latents, uses, crc_bits, sizes, channel_code)
    return DigitalInfo(
        id=scheme_id,
        kind="digital",
        space_id=space,
        bandwidth=uses,
        embedding_dim=latents.shape[1],
        encoder=FileRef.of(path),
        coding_tables=FileRef.of(tables_path),
        rate_lambda=rate_lambda,
    )


def stored(head: DigitalHead) -> DigitalHead:
    """Copies the head with its weight rounded to float16, as the bundle stores it."""
    head = copy.deepcopy(head).eval()
    with torch.no_grad():
        head.linear.weight.copy_(head.linear.weight.half().float())
    return head


def _prove_rounding(head: DigitalHead, path: Path, features: NDArray[np.float32]) -> None:
    """Proves that the graph's integers are PyTorch's, but for latents near a half-integer."""
    prove_parity(head, path, features, LATENT_TOLERANCE)
    with torch.no_grad():
        latents = head(torch.from_numpy(features)).numpy()
    margin = LATENT_TOLERANCE * max(1e-12, float(np.sqrt(np.square(latents).mean())))
    differs = rounded(path, features) != np.rint(latents)
    clear = np.abs(latents - np.floor(latents) - 0.5) > margin
    if (differs & clear).any():
        raise ParityError(f"{path}: {int((differs & clear).sum())} latents round to other integers")
