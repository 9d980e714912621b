"""The coded link by itself: block error rate against SNR, and what a block costs to compute.

A block counts as an error if it is lost (no path passes the CRC) or if its payload is
wrong. Wrong payloads that passed are *undetected* and counted apart.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from airreid import __version__
from airreid.curve_style import BLUE, GREY, line_of, save
from airreid.digital.bounds import (
    normal_approximation,
    normal_approximation_snr_db,
    shannon_snr_db,
)
from airreid.digital.link import CodedLink
from airreid.digital.polar_code import PolarCode
from airreid.json_output import write_json
from airreid.signal import awgn, noise_variance
from benchmarks.rows import Row, report, row

BATCH = 200
STEP_DB = 0.5
CLIFF_BLER = 1e-3
"""Block error rate at which a curve without given SNRs ends."""
MOST_ROWS = 20
_TIMED_CALLS, _WARM_UP_CALLS = 25, 3
_MODULATIONS = {1: "bpsk", 2: "4pam", 3: "8pam", 4: "16pam"}


@dataclass(frozen=True, kw_only=True)
class LinkPoint:
    """Figures of the link at one SNR."""

    snr_db: float
    blocks: int
    bler: float
    bler_low: float
    """Ends of the 95 % Wilson interval."""
    bler_high: float
    undetected: int
    """Wrong payloads that passed the CRC."""
    encode_ms: float
    """Median of calls with one block each."""
    decode_ms: float
    shannon_db: float
    """SNR at which capacity carries the payload in the channel uses."""
    normal_approx_db: float | None
    """SNR at which the best codes have this block error rate; None for 0 and 1."""
    gap_db: float | None
    """SNR that this code takes above that of the best codes."""


def wilson(errors: int, blocks: int) -> tuple[float, float]:
    """Returns the ends of the 95 % interval of a rate: Wilson, J. Amer. Stat. Assoc. 22 (1927)."""
    z, rate = 1.959964, errors / blocks
    middle = rate + z * z / (2 * blocks)
    spread = z * math.sqrt(rate * (1 - rate) / blocks + (z / (2 * blocks)) ** 2)
    scale = 1 + z * z / blocks
    low = (middle - spread) / scale if errors else 0.0
    high = (middle + spread) / scale if errors < blocks else 1.0
    return low, high


def measure(
    link: CodedLink, snr_db: float, blocks: int, seed: int, advance: Callable[[int], object]
) -> LinkPoint:
    """Sends ``blocks`` random payloads; ``advance`` hears how many more are done.

    The same seed gives the same payloads and noise at every SNR.
    """
    code, rng = link.code, np.random.default_rng(seed)
    errors = undetected = 0
    for start in range(0, blocks, BATCH):
        size = min(BATCH, blocks - start)
        payload = rng.integers(0, 2, (size, code.payload_bits), dtype=np.uint8)
        noise = rng.standard_normal((size, code.uses), dtype=np.float32)
        received = awgn(link.send(payload), noise, snr_db)
        decoded = link.receive(received, noise_variance(snr_db))
        wrong = (decoded.payload != payload).any(axis=1)
        errors += int((wrong | ~decoded.passed).sum())
        undetected += int((wrong & decoded.passed).sum())
        advance(size)
    single, heard, variance = payload[:1], received[:1], noise_variance(snr_db)
    bler = errors / blocks
    low, high = wilson(errors, blocks)
    best = None
    if 0 < bler < 1:
        best = normal_approximation_snr_db(code.payload_bits, code.uses, bler)
    return LinkPoint(
        snr_db=snr_db,
        blocks=blocks,
        bler=bler,
        bler_low=low,
        bler_high=high,
        undetected=undetected,
        encode_ms=_milliseconds(lambda: link.send(single)),
        decode_ms=_milliseconds(lambda: link.receive(heard, variance)),
        shannon_db=shannon_snr_db(code.payload_bits, code.uses),
        normal_approx_db=best,
        gap_db=None if best is None else snr_db - best,
    )


def _milliseconds(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(_WARM_UP_CALLS + _TIMED_CALLS):
        started = time.perf_counter()
        call()
        taken.append(1e3 * (time.perf_counter() - started))
    return median(taken[_WARM_UP_CALLS:])


def cliff(code: PolarCode) -> Iterator[float]:
    """Yields SNRs in steps of 0.5 dB, from where the best codes lose every second block."""
    start = normal_approximation_snr_db(code.payload_bits, code.uses, 0.5)
    first = math.ceil(start / STEP_DB) * STEP_DB
    return (first + STEP_DB * i for i in range(MOST_ROWS))


def settings(code: PolarCode, list_size: int, blocks: int, seed: int) -> dict[str, Any]:
    """Returns what reproduces the rows."""
    return {
        "k": code.payload_bits,
        "B": code.uses,
        "modulation": _MODULATIONS[code.bits_per_symbol],
        "rate": code.payload_bits / code.coded_bits,
        "crc": code.crc_bits,
        "list_size": list_size,
        "coded_bits": code.coded_bits,
        "mother_length": code.mother_length,
        "matching": code.matching,
        "design_snr_db": code.design_snr_db,
        "blocks": blocks,
        "seed": seed,
        "channel": "awgn, SNR per real channel use",
        "bler": "lost or wrong blocks; interval: Wilson, 95 %",
        "times": "median of calls with one block each, the first ones not counted",
        "versions": {
            "airreid": __version__,
            "python": platform.python_version(),
            "numpy": version("numpy"),
        },
        "machine": {"cpu_count": os.cpu_count(), "machine": platform.machine()},
    }


def write(folder: Path, about: dict[str, Any], rows: Sequence[LinkPoint]) -> list[Path]:
    """Writes ``link.json`` and the plot as PNG, SVG and PDF; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    results, curve = folder / "link.json", folder / "link.png"
    write_json([results], document(about, rows))
    return [results, *draw(curve, about, rows)]


def document(about: dict[str, Any], rows: Sequence[LinkPoint]) -> dict[str, Any]:
    """Returns rows for comparison, what reproduces the run, and every point, for JSON."""
    content = report(about["times"], as_rows(about, rows)).model_dump(mode="json")
    return content | {"settings": about, "points": [asdict(row) for row in rows]}


def as_rows(about: dict[str, Any], points: Sequence[LinkPoint]) -> list[Row]:
    """Makes rows of the gap to the best codes of this length, and of a block's cost."""
    rows = []
    for point in points:
        name = f"coded link, {about['k']} bits in {about['B']} uses, {point.snr_db:+g} dB"
        if point.gap_db is not None:
            note = f"{point.bler:.2g} of {point.blocks} blocks lost or wrong"
            rows.append(
                row(
                    f"{name}, gap to the best codes of this length",
                    "dB",
                    point.gap_db,
                    better="less",
                    repetitions=point.blocks,
                    note=note,
                )
            )
        rows += [
            row(f"{name}, {what}", "ms a block", taken, better="less", repetitions=_TIMED_CALLS)
            for what, taken in (("encode", point.encode_ms), ("decode", point.decode_ms))
        ]
    return rows


def draw(path: Path, about: dict[str, Any], rows: Sequence[LinkPoint]) -> list[Path]:
    """Draws measured points, the normal approximation and Shannon's limit; returns the files."""
    from matplotlib.figure import Figure  # takes half a second, and only the plot needs it

    figure = Figure(figsize=(7.2, 4.4), dpi=140, layout="constrained")
    axes = figure.add_subplot()
    axes.set_yscale("log")
    shown = [row for row in rows if row.bler > 0]
    floor = min([CLIFF_BLER, *(row.bler / 2 for row in shown)]) / 2
    limit = shannon_snr_db(about["k"], about["B"])
    axes.errorbar(
        [row.snr_db for row in shown],
        [row.bler for row in shown],
        yerr=[
            [row.bler - row.bler_low for row in shown],
            [row.bler_high - row.bler for row in shown],
        ],
        capsize=3,
        **line_of("digital", "coded").keywords,
        label=f"measured, CRC-{about['crc']}, list {about['list_size']}",
    )
    clear = [row for row in rows if row.bler == 0]
    if clear:
        axes.plot(
            [row.snr_db for row in clear],
            [row.bler_high for row in clear],
            linestyle="",
            marker="v",
            color=line_of("digital").colour,
            markerfacecolor="white",
            label="no error seen: upper end of the interval",
        )
    grid = np.linspace(min(limit, *(row.snr_db for row in rows)), rows[-1].snr_db + 0.5, 300)
    best = normal_approximation(about["k"], about["B"], grid)
    axes.plot(grid, np.maximum(best, 1e-12), color=BLUE, label="best codes (normal approximation)")
    axes.axvline(limit, color=GREY, linestyle="--", label="Shannon limit")
    axes.set(
        xlabel="SNR per real channel use (dB)",
        ylabel="block error rate",
        ylim=(floor, 1.5),
        title=f"{about['k']} bits in {about['B']} real uses, {about['modulation']}",
    )
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="lower left", fontsize="small")
    return save(figure, path)
