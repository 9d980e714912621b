"""Anchors beside the paper's schemes: whole features and images, in the uses that they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from airreid.evaluation.study.cells import Cell, Latents, counts_of
from airreid.evaluation.study.rates import mean_bits
from airreid.signal import capacity

RAW = "raw-float16"
"""Feature of 16-bit floats over the polar link: name of its curves."""
IMAGE = "image-"
QUANTISED = "pq-"
"""Beginnings of the names of cells: a query as a file of an image format; product
quantisation."""


def anchor_latents(cells: Mapping[str, Cell]) -> dict[str, Sequence[Latents]]:
    """Returns the bits and hits of every anchor that sends a message, by its cell's name."""
    return {
        name: cell.latents
        for name, cell in cells.items()
        if name.startswith((IMAGE, QUANTISED)) and cell.latents
    }


def anchors_markdown(cells: Mapping[str, Cell], snrs_db: Sequence[float]) -> str:
    """Writes bits, top-1 without a channel, and the uses of an ideal code at each SNR.

    An ideal code carries k bits in ``k / C`` real uses. Empty where there is no anchor.
    """
    rows = [
        (name, mean_bits(latents), float(np.mean([counts_of(t.hits).mean() for t in latents])))
        for name, latents in anchor_latents(cells).items()
    ]
    for name, cell in cells.items():
        if name.startswith(f"{RAW}-") and cell.curves:
            bits = float(cell.facts["payload_bits"])
            rows.append((name, bits, float(cell.facts["top1_without_channel"])))
    if not rows:
        return ""
    uses = " | ".join(f"uses at {snr_db:g} dB" for snr_db in snrs_db)
    lines = [
        f"| anchor | bits, mean | top-1 if they arrive | {uses} |",
        "| --- " * (3 + len(snrs_db)) + "|",
    ]
    for name, bits, top1 in sorted(rows):
        needed = " | ".join(f"{bits / float(capacity(snr_db)):.0f}" for snr_db in snrs_db)
        lines.append(f"| {name} | {bits:.0f} | {top1:.3f} | {needed} |")
    return "\n".join(lines) + "\n"
