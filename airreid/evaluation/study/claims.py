"""Claims of the paper, and what explains them: effects with intervals, and a verdict each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from airreid.evaluation.study.comparisons import BOUND, COMPARISONS, Comparison, Side, Verdict
from airreid.evaluation.study.crossed import Effect, paired_bootstrap
from airreid.evaluation.study.table import Table

Matrix = NDArray[np.float64]


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
                if not hits.shape[1] or not others.shape[1]:
                    claims += _published(table, comparison, bandwidth, snr_db)
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


def _published(table: Table, comparison: Comparison, bandwidth: int, snr_db: float) -> list[Claim]:
    """Returns a claim as it was judged before its cells were lost.

    None where one side was computed anew: it was not judged with that. The bound may be, where its
    top-1 is the same: it has neither training nor noise.
    """
    second = comparison.second_bandwidth or bandwidth
    for side, width in ((comparison.first, bandwidth), (comparison.second, second)):
        hits = _hits(table, side, width, snr_db)
        same = side == BOUND and table.published.no_channel == round(table.bound.top1.value, 5)
        if not same and (hits is None or hits.shape[1]):
            return []
    return [
        Claim(**{**old.model_dump(), "effect": old.effect})
        for old in table.published.claims
        if (old.number, old.bandwidth, old.snr_db) == (comparison.number, bandwidth, snr_db)
    ]


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


def summary_markdown(
    comparisons: Sequence[Comparison],
    claims: Sequence[Claim],
    missing: Collection[str],
    lost: Collection[str] = (),
    computed: Collection[str] = (),
) -> str:
    """Writes one row for each comparison and bandwidth: verdicts and effects at several SNRs.

    ``missing``: cells that are not computed. A comparison that waits for one says so; one that
    neither was judged nor waits is of another study, and left out. ``lost``: cells of which only
    values are left, which cannot be compared with ``computed`` ones: such a comparison waits, too.
    """
    lines = [
        "| | claim | B | over queries | over people | difference in points of top-1 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for comparison in comparisons:
        for bandwidth in comparison.bandwidths:
            row = [
                claim
                for claim in claims
                if (claim.number, claim.bandwidth) == (comparison.number, bandwidth)
            ]
            begin = f"| {comparison.number} | {comparison.text} | {bandwidth} |"
            if row:
                by_queries = _verdicts((claim.snr_db, claim.verdict) for claim in row)
                by_people = _verdicts((claim.snr_db, claim.by_people) for claim in row)
                lines.append(f"{begin} {by_queries} | {by_people} | {_effects(row)} |")
            elif waits := _waits(comparison.cells(bandwidth), missing, lost, computed):
                lines.append(f"{begin} not finished | | waits for {', '.join(waits)} |")
    return "\n".join(lines) + "\n"


def _waits(
    needed: Sequence[str],
    missing: Collection[str],
    lost: Collection[str],
    computed: Collection[str],
) -> list[str]:
    """Returns cells to be computed, first of all those that nobody has."""

    def among(cells: Collection[str]) -> list[str]:
        return [name for name in needed if any(fnmatchcase(cell, name) for cell in cells)]

    waits = among(missing)
    if not waits and among(computed) and among([*lost, *computed]) == list(needed):
        waits = among(lost)
    return [f"`{name}`" for name in waits]


def _verdicts(judged_at: Iterable[tuple[float, Verdict]]) -> str:
    """Writes verdicts by SNR: ``holds`` where all agree, else which one holds where."""
    by_verdict: dict[Verdict, list[str]] = {}
    for snr_db, verdict in judged_at:
        by_verdict.setdefault(verdict, []).append(f"{snr_db:g}")
    if len(by_verdict) == 1:
        return f"**{next(iter(by_verdict))}**"
    return "; ".join(
        f"**{verdict}** at {', '.join(snrs_db)} dB" for verdict, snrs_db in by_verdict.items()
    )


def _effects(claims: Sequence[Claim]) -> str:
    """Writes effects at the lowest SNR, the middle one and the highest, over queries."""
    few = dict.fromkeys((0, len(claims) // 2, len(claims) - 1))
    return "; ".join(
        f"{claims[place].snr_db:g} dB: {100 * claims[place].effect.value:+.1f} "
        f"({100 * claims[place].effect.low:+.1f} … {100 * claims[place].effect.high:+.1f})"
        for place in few
    )
