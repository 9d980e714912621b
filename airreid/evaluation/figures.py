"""The paper's Figure 4 from measured points: which point belongs to which curve.

Scheme kinds, their labels and links come from :mod:`airreid.scheme_kinds`: a kind that is
registered there has its curves here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from airreid.evaluation.points import NO_CHANNEL, PCA, Point
from airreid.scheme_kinds import SchemeKind, scheme_kind, scheme_kinds

Figure = Literal["4a", "4b", "4c"]
TITLES: dict[Figure, str] = {
    "4a": "Schemes against SNR, of each kind the one trained nearest to it, B = {bandwidth}",
    "4b": "Trained once, tested at every SNR, B = {bandwidth}",
    "4c": "Top-1 against bandwidth",
}
TOLERABLE = 0.05
"""Share of lost blocks at which a digital rate still counts as usable."""
PCA_LABEL = "PCA, linear"


@dataclass(frozen=True)
class Curve:
    """Points to be joined by a line, x rising."""

    label: str
    kind: str
    link: str
    x: tuple[float, ...]
    points: tuple[Point, ...]
    colour_group: str
    """Curves of one group have one colour: a scheme against SNR, an SNR against bandwidth."""


@dataclass(frozen=True)
class Plot:
    """A figure's curves, its horizontal lines, and notes for the reader."""

    title: str
    x_label: str
    curves: tuple[Curve, ...]
    bounds: tuple[Point, ...]
    notes: tuple[str, ...]
    against_bandwidth: bool = False


def plot(figure: Figure, points: Sequence[Point], bandwidth: int) -> Plot:
    """Arranges Figure 4a, b or c; ``bandwidth`` is that of 4a and 4b.

    Raises :class:`airreid.errors.InputError` for a scheme of a kind that is not registered.
    """
    bounds = tuple(point for point in points if point.kind == NO_CHANNEL)
    if figure == "4c":
        label = "bandwidth B (real channel uses)"
        return Plot(TITLES[figure], label, _bandwidth_curves(points), bounds, (), True)
    of_bandwidth = [point for point in points if point.bandwidth == bandwidth]
    curves, notes = (_by_kind if figure == "4a" else _by_scheme)(of_bandwidth)
    title = TITLES[figure].format(bandwidth=bandwidth)
    return Plot(title, "SNR per real channel use (dB)", curves, bounds, notes)


def nearest_snr_train(candidates: Iterable[Point]) -> Point:
    """Chooses, of JSCC points at one SNR, the one that was trained nearest to it.

    Schemes trained at a single SNR come before those trained over a range; among these the
    narrowest that holds the SNR.
    """

    def distance(point: Point) -> tuple[bool, float, float, str, str]:
        low, high = point.snr_db_train or (float("-inf"), float("inf"))
        snr_db = point.snr_db or 0.0
        outside = max(low - snr_db, snr_db - high, 0.0)
        return low != high, outside, high - low, point.bundle, point.scheme

    return min(candidates, key=distance)


def highest_reliable_rate(candidates: Sequence[Point]) -> Point:
    """Chooses, of digital points of one link at one SNR, the rate that a design would take.

    The most bits of those that lose at most ``TOLERABLE`` of their blocks, else the one
    that loses fewest. Accuracy does not enter.
    """
    reliable = [point for point in candidates if point.outage <= TOLERABLE]
    if reliable:
        return max(reliable, key=_bits)
    return min(candidates, key=lambda point: (point.outage, _bits(point)))


def _bits(point: Point) -> float:
    return point.payload_bits or 0.0


def _by_snr(points: Iterable[Point]) -> dict[float, list[Point]]:
    """Points at each SNR, rising."""
    groups: dict[float, list[Point]] = {}
    for point in points:
        if point.snr_db is not None:
            groups.setdefault(point.snr_db, []).append(point)
    return dict(sorted(groups.items()))


def _curve(label: str, colour_group: str, chosen: dict[float, Point]) -> Curve:
    first = next(iter(chosen.values()))
    points = tuple(chosen.values())
    return Curve(label, first.kind, first.link, tuple(chosen), points, colour_group)


def trained(point: Point) -> str:
    """``trained at 0 dB`` or ``trained at -10 to 10 dB``; empty without a training SNR."""
    if point.snr_db_train is None:
        return ""
    low, high = point.snr_db_train
    return f"trained at {low:g} dB" if low == high else f"trained at {low:g} to {high:g} dB"


def _kinds(points: Sequence[Point]) -> list[SchemeKind]:
    """Scheme kinds among the points, in the order of registration."""
    names = {point.kind for point in points} - {NO_CHANNEL, PCA}
    for name in sorted(names):
        scheme_kind(name)
    return [kind for kind in scheme_kinds() if kind.name in names]


def _has_rates(kind: SchemeKind) -> bool:
    """Whether schemes of the kind differ in bits, not in the SNR that they were trained at."""
    return "analog" not in kind.links


def _by_kind(points: Sequence[Point]) -> tuple[tuple[Curve, ...], tuple[str, ...]]:
    """Figure 4a: of each kind, what suits each SNR best."""
    curves: list[Curve] = []
    notes: list[str] = []
    for kind in _kinds(points):
        of_kind = [point for point in points if point.kind == kind.name]
        add = _rate_curves if _has_rates(kind) else _trained_curve
        more_curves, note = add(kind, of_kind)
        curves += more_curves
        notes.append(note)
    curves += _capacity_curves(points) + _pca_curves(points)
    return tuple(curves), tuple(notes)


def _trained_curve(kind: SchemeKind, points: Sequence[Point]) -> tuple[list[Curve], str]:
    by_snr = _by_snr(points)
    chosen = {snr_db: nearest_snr_train(candidates) for snr_db, candidates in by_snr.items()}
    used = list(dict.fromkeys(chosen.values()))
    ranged = all(p.snr_db_train and p.snr_db_train[0] < p.snr_db_train[1] for p in used)
    label = kind.label + (f", {trained(used[0])}" if ranged else ", trained for each SNR")
    curve = _curve(label, kind.label, chosen)
    if ranged:
        note = f"{kind.label}: no scheme trained at one SNR; {trained(used[0])} instead"
        return [curve], note
    which = (f"{snr:+g} dB: {p.scheme} {trained(p)}" for snr, p in chosen.items())
    return [curve], f"{kind.label}: " + "; ".join(which)


def _rate_curves(kind: SchemeKind, points: Sequence[Point]) -> tuple[list[Curve], str]:
    curves: list[Curve] = []
    for link in reversed(kind.links):
        by_snr = _by_snr(point for point in points if point.link == link)
        if by_snr:
            chosen = {snr: highest_reliable_rate(candidates) for snr, candidates in by_snr.items()}
            curves.append(_curve(f"{kind.label}, {link}, rate for each SNR", kind.label, chosen))
    note = (
        f"{kind.label}: at each SNR the scheme with the most bits of those that lose at most "
        f"{TOLERABLE:.0%} of their blocks, else the one that loses fewest"
    )
    return curves, note


def _by_scheme(points: Sequence[Point]) -> tuple[tuple[Curve, ...], tuple[str, ...]]:
    """Figure 4b: every scheme of every bundle by itself."""
    curves: list[Curve] = []
    bundles = list(dict.fromkeys(point.bundle for point in points))
    keys = dict.fromkeys(
        (point.bundle, point.scheme, point.link)
        for point in points
        if point.kind not in (NO_CHANNEL, PCA) and point.link != "paper"
    )
    for key in keys:
        by_snr = _by_snr(p for p in points if (p.bundle, p.scheme, p.link) == key)
        chosen = {
            snr_db: max(at_snr, key=lambda point: point.bandwidth)  # of a nested scheme: all pieces
            for snr_db, at_snr in by_snr.items()
        }
        first = next(iter(chosen.values()))
        made_for = trained(first) or f"{first.link}, {_bits(first):.0f} bits"
        label = f"{first.scheme}, {made_for}"
        if label in (curve.label for curve in curves):  # the same scheme of another bundle
            label += f", bundle {bundles.index(first.bundle) + 1}"
        curves.append(_curve(label, f"{first.scheme} {first.bundle}", chosen))
    ranged = [
        curve.label
        for curve in curves
        if (bounds := curve.points[0].snr_db_train) is not None and bounds[0] < bounds[1]
    ]
    notes = [f"trained over a range, not at one SNR: {'; '.join(ranged)}"] if ranged else []
    curves += _capacity_curves(points) + _pca_curves(points)
    return tuple(curves), tuple(notes)


def _bandwidth_curves(points: Sequence[Point]) -> tuple[Curve, ...]:
    """Figure 4c: each kind at each SNR, over its usual link."""
    curves: list[Curve] = []
    for kind in _kinds(points):
        choose: Callable[[list[Point]], Point] = (
            highest_reliable_rate if _has_rates(kind) else nearest_snr_train
        )
        usual = (p for p in points if (p.kind, p.link) == (kind.name, kind.links[0]))
        for snr_db, at_snr in _by_snr(usual).items():
            widths = sorted({point.bandwidth for point in at_snr})
            chosen = {
                float(width): choose([point for point in at_snr if point.bandwidth == width])
                for width in widths
            }
            curves.append(_curve(f"{kind.label}, {snr_db:+g} dB", f"{snr_db:+g} dB", chosen))
    for label, baseline in _pca_by_backbone(points):
        for snr_db, at_snr in _by_snr(baseline).items():
            by_width = sorted(at_snr, key=lambda point: point.bandwidth)
            chosen = {float(point.bandwidth): point for point in by_width}
            curves.append(_curve(f"{label}, {snr_db:+g} dB", f"{snr_db:+g} dB", chosen))
    return tuple(curves)


def _capacity_curves(points: Sequence[Point]) -> list[Curve]:
    """The paper's account of schemes with rates: nothing is lost, at the SNR of capacity."""
    curves: list[Curve] = []
    for kind in _kinds(points):
        by_snr = _by_snr(p for p in points if (p.kind, p.link) == (kind.name, "paper"))
        if by_snr:
            chosen = {snr_db: at_snr[0] for snr_db, at_snr in by_snr.items()}
            label = f"{kind.label}, mean bits at capacity (paper)"
            curves.append(_curve(label, kind.label, chosen))
    return curves


def _pca_curves(points: Sequence[Point]) -> list[Curve]:
    return [
        _curve(label, label, {snr_db: at_snr[0] for snr_db, at_snr in _by_snr(baseline).items()})
        for label, baseline in _pca_by_backbone(points)
    ]


def _pca_by_backbone(points: Sequence[Point]) -> list[tuple[str, list[Point]]]:
    """The linear baseline of each backbone: every one has features of its own."""
    baselines: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        if point.kind == PCA:
            baselines.setdefault((point.bundle, point.backbone), []).append(point)
    if len(baselines) == 1:
        return [(PCA_LABEL, baseline) for baseline in baselines.values()]
    return [
        (f"{PCA_LABEL}, on {backbone}", baseline) for (_, backbone), baseline in baselines.items()
    ]
