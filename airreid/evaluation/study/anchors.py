"""Anchors beside the paper's schemes: whole features and images, in the uses that they take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from airreid.digital.bounds import normal_approximation
from airreid.evaluation.study.cells import Cell, counts_of
from airreid.evaluation.study.rates import mean_bits
from airreid.signal import capacity

RAW = "raw-float16"
"""Feature of 16-bit floats over the polar link: name of its curves."""
IMAGE = "image-"
QUANTISED = "pq-"
"""Beginnings of the names of cells: a query as a file of an image format; product
quantisation."""
BLER = 0.01
"""Share of blocks that the best code of a length may lose."""


class Anchor(NamedTuple):
    """A message that stands for a query, whatever carries it."""

    name: str
    """Name of its cell."""
    bits: float
    """Mean bits of a query's message."""
    top1: float
    """Top-1 if every message arrives."""
    trainings: int


def anchors_of(cells: Mapping[str, Cell], published: Sequence[Anchor] = ()) -> list[Anchor]:
    """Returns every anchor that is finished, sorted by name and, of one kind, by bits.

    ``published``: those whose cells are gone.
    """
    anchors = [
        Anchor(
            name,
            mean_bits(cell.latents),
            float(np.mean([counts_of(trained.hits).mean() for trained in cell.latents])),
            len(cell.latents),
        )
        for name, cell in cells.items()
        if name.startswith((IMAGE, QUANTISED)) and cell.latents
    ]
    whole = [cell for name, cell in cells.items() if name.startswith(RAW) and cell.curves]
    for cell in whole[:1]:  # the same message in every bandwidth
        facts = cell.facts
        anchors.append(Anchor(RAW, facts["payload_bits"], facts["top1_without_channel"], 1))
    finished = {anchor.name for anchor in anchors}
    anchors += [anchor for anchor in published if anchor.name not in finished]
    return sorted(anchors, key=lambda anchor: (anchor.name.rpartition("-")[0], anchor.bits))


def ideal_uses(bits: float, snr_db: float) -> float:
    """Returns the uses in which a code of capacity carries k bits: ``k / C``."""
    return bits / float(capacity(snr_db))


def finite_uses(bits: float, snr_db: float, bler: float = BLER) -> int:
    """Returns the fewest uses in which the best code of that length loses a share of blocks.

    By the normal approximation, for whole bits.
    """
    whole = math.ceil(bits)
    low, high = 1, 2 * math.ceil(ideal_uses(bits, snr_db)) + 4096
    while high - low > 1:
        middle = (low + high) // 2
        if float(normal_approximation(whole, middle, snr_db)) > bler:
            low = middle
        else:
            high = middle
    return high


def anchors_markdown(
    cells: Mapping[str, Cell], snrs_db: Sequence[float], published: Sequence[Anchor] = ()
) -> str:
    """Writes bits, top-1 without a channel, and the uses of good codes at each SNR.

    First those of a code of capacity, then those of the best code of that length that loses 1 %.
    Empty where there is no anchor.
    """
    anchors = anchors_of(cells, published)
    if not anchors:
        return ""
    uses = " | ".join(f"uses at {snr_db:g} dB" for snr_db in snrs_db)
    lines = [
        f"| anchor | bits, mean | top-1 if they arrive | {uses} |",
        "| --- " * (3 + len(snrs_db)) + "|",
    ]
    for name, bits, top1, _ in anchors:
        needed = " | ".join(
            f"{ideal_uses(bits, snr_db):.0f} / {finite_uses(bits, snr_db)}" for snr_db in snrs_db
        )
        lines.append(f"| {name} | {bits:.0f} | {top1:.3f} | {needed} |")
    return "\n".join(lines) + "\n"
