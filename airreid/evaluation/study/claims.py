"""Claims of the paper, and what explains them: effects with intervals, and a verdict each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from airreid.evaluation.study.crossed import Effect, paired_bootstrap
from airreid.evaluation.study.table import FIXED, MATCHED, RANGE, Table

Matrix = NDArray[np.float64]
Verdict = Literal["holds", "does not", "undecided"]
MARGIN = 0.02
"""Top-1 by which two schemes may differ and still count as equally good."""
Side = tuple[str, str]
"""Scheme and training."""


@dataclass(frozen=True)
class Claim:
    """One claim: a comparison at one bandwidth and SNR."""

    number: str
    text: str
    first: str
    second: str
    bandwidth: int
    snr_db: float
    effect: Effect
    verdict: Verdict
    by_people: Verdict
    """The verdict by the interval over people, which holds less often."""


def more(low: float, high: float) -> Verdict:
    """Judges that a difference is above zero."""
    return "holds" if low > 0 else "does not" if high < 0 else "undecided"


def no_less(low: float, high: float) -> Verdict:
    """Judges that a difference is above minus :data:`MARGIN`."""
    return "holds" if low > -MARGIN else "does not" if high < -MARGIN else "undecided"


def alike(low: float, high: float) -> Verdict:
    """Judges that a difference lies within :data:`MARGIN` of zero."""
    if low > -MARGIN and high < MARGIN:
        return "holds"
    return "does not" if low > MARGIN or high < -MARGIN else "undecided"


@dataclass(frozen=True)
class Comparison:
    """A claim to be judged at several SNRs."""

    number: str
    text: str
    first: Side
    second: Side
    judge: Callable[[float, float], Verdict] = more
    bandwidths: tuple[int, ...] = (256,)
    second_bandwidth: int | None = None
    """Bandwidth of the second side; that of the first if left out."""
    snrs_db: tuple[float, ...] | None = None
    """None: all that were measured."""


BOUND: Side = ("noiseless", "")
AE: Side = ("ae-paper", MATCHED)
FC: Side = ("fc-paper", MATCHED)
AE_SEARCH: Side = ("ae-retrieval", MATCHED)
FC_SEARCH: Side = ("fc-retrieval", MATCHED)
PCA: Side = ("pca", "")
DISCRIMINANT: Side = ("discriminant", "")
IDEAL: Side = ("digital-ideal", MATCHED)
CODED: Side = ("digital-coded", MATCHED)
QUANTISED: Side = ("pq-coded", MATCHED)
COMPARISONS = (
    Comparison("1", "JSCC AE finds more than JSCC FC", AE, FC),
    Comparison("2a", "JSCC AE finds more than digital over a polar code", AE, CODED),
    Comparison("2b", "JSCC AE finds more than digital at capacity", AE, IDEAL),
    Comparison("2c", "JSCC FC finds more than digital at capacity", FC, IDEAL),
    Comparison(
        "3",
        "JSCC AE reaches the bound without a channel (to 2 points)",
        AE,
        BOUND,
        no_less,
        (64, 256, 1024),
        snrs_db=(10.0, 20.0),
    ),
    Comparison(
        "4",
        "JSCC AE trained at 0 dB outlives digital with the rate for 0 dB",
        ("ae-paper", "0"),
        ("digital-coded", FIXED),
        snrs_db=(-10.0, -6.0, -3.0),
    ),
    Comparison(
        "5",
        "JSCC AE trained at 0 dB is as good as one trained for the SNR (to 2 points)",
        ("ae-paper", "0"),
        AE,
        no_less,
    ),
    Comparison(
        "6",
        "JSCC AE with 256 uses is as good as with 1024 (to 2 points)",
        AE,
        AE,
        no_less,
        second_bandwidth=1024,
    ),
    Comparison("A", "The retrieval loss beats L1 and cross-entropy, AE", AE_SEARCH, AE),
    Comparison("B", "Cross-entropy after L1 helps, AE", AE, ("ae-l1", MATCHED)),
    Comparison("C", "The paper's AE finds more than PCA", AE, PCA, bandwidths=(64, 256)),
    Comparison(
        "D", "The discriminant finds more than PCA", DISCRIMINANT, PCA, bandwidths=(64, 256)
    ),
    Comparison(
        "E",
        "A line trained through noise beats the discriminant",
        FC_SEARCH,
        DISCRIMINANT,
        bandwidths=(64, 256),
    ),
    Comparison("F", "A decoder that bends pays, retrieval loss", AE_SEARCH, FC_SEARCH),
    Comparison(
        "G",
        "One nested code is as good as one for each B (to 2 points)",
        ("nested", RANGE),
        ("fc-retrieval", RANGE),
        alike,
        (64, 128, 256, 512),
        snrs_db=(-10.0, 0.0, 10.0),
    ),
    Comparison(
        "H",
        "A range of SNRs is as good as the SNR that is tested at (to 2 points), FC",
        ("fc-retrieval", RANGE),
        FC_SEARCH,
        no_less,
    ),
    Comparison("I", "Digital over a polar code passes the best JSCC", CODED, FC_SEARCH),
    Comparison(
        "J",
        "Digital finds more than product quantisation, polar code",
        CODED,
        QUANTISED,
    ),
)


def judged(table: Table) -> list[Claim]:
    """Judges every comparison whose results are there."""
    claims = []
    for comparison in COMPARISONS:
        for bandwidth in comparison.bandwidths:
            for snr_db in comparison.snrs_db or table.snrs_db:
                second = comparison.second_bandwidth or bandwidth
                hits = _hits(table, comparison.first, bandwidth, snr_db)
                others = _hits(table, comparison.second, second, snr_db)
                if hits is None or others is None:
                    continue
                effect = paired_bootstrap(hits, others, table.people)
                claims.append(
                    Claim(
                        comparison.number,
                        comparison.text,
                        "/".join(filter(None, comparison.first)),
                        "/".join(filter(None, comparison.second)),
                        bandwidth,
                        snr_db,
                        effect,
                        comparison.judge(effect.low, effect.high),
                        comparison.judge(effect.people_low, effect.people_high),
                    )
                )
    return claims


def _hits(table: Table, side: Side, bandwidth: int, snr_db: float) -> Matrix | None:
    if side == BOUND:
        return table.bound.hits
    entry = table.get(*side, bandwidth, snr_db)
    return None if entry is None else entry.hits


def claims_markdown(claims: list[Claim]) -> str:
    """Writes the claims as a table, one row for each."""
    lines = [
        "| | claim | B | SNR | difference in top-1 | over queries | over people | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for claim in claims:
        effect = claim.effect
        verdict: str = claim.verdict
        if claim.by_people != claim.verdict:
            verdict += f" (over people: {claim.by_people})"
        lines.append(
            f"| {claim.number} | {claim.text} | {claim.bandwidth} | {claim.snr_db:g} "
            f"| {effect.value:+.3f} | {effect.low:+.3f} … {effect.high:+.3f} "
            f"| {effect.people_low:+.3f} … {effect.people_high:+.3f} | {verdict} |"
        )
    return "\n".join(lines) + "\n"
