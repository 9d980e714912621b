"""The paper's Figure 4 from measured points: which point belongs to which curve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from airreid.evaluation.points import Point
from airreid.payload import Link
from airreid.scheme_kinds import SchemeKind, scheme_kinds

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


@dataclass(frozen=True)
class Plot:
    """A figure's curves, its horizontal lines, and what a reader must know."""

    title: str
    x_label: str
    curves: tuple[Curve, ...]
    bounds: tuple[Point, ...]
    notes: tuple[str, ...]


def plot(figure: Figure, points: Sequence[Point], bandwidth: int) -> Plot:
    """Figure 4a, b or c; ``bandwidth`` is that of 4a and 4b."""
    bounds = tuple(p for p in points if p.kind == "noiseless")
    if figure == "4c":
        curves, notes = _against_bandwidth(points)
        return Plot(TITLES[figure], "bandwidth B (real channel uses)", curves, bounds, notes)
    of = [p for p in points if p.bandwidth == bandwidth]
    curves, notes = (_matched if figure == "4a" else _each)(of)
    title = TITLES[figure].format(bandwidth=bandwidth)
    return Plot(title, "SNR per real channel use (dB)", curves, bounds, notes)


def nearest_snr_train(candidates: Iterable[Point]) -> Point:
    """Of JSCC points at one SNR, the one that was trained nearest to it.

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
    """Of digital points of one link at one SNR, the rate that a design would choose.

    The most bits of those that lose at most ``TOLERABLE`` of their blocks, else the one
    that loses fewest. What was found does not enter.
    """
    reliable = [p for p in candidates if p.outage <= TOLERABLE]
    if reliable:
        return max(reliable, key=_bits)
    return min(candidates, key=lambda p: (p.outage, _bits(p)))


def _bits(point: Point) -> float:
    return point.payload_bits or 0.0


def _at(points: Iterable[Point]) -> dict[float, list[Point]]:
    found: dict[float, list[Point]] = {}
    for point in points:
        if point.snr_db is not None:
            found.setdefault(point.snr_db, []).append(point)
    return dict(sorted(found.items()))


def _kinds_over(link: Link) -> list[SchemeKind]:
    """Kinds of scheme that are usually sent over ``link``."""
    return [kind for kind in scheme_kinds() if kind.links[0] == link]


def _curve(label: str, chosen: dict[float, Point]) -> Curve:
    first = next(iter(chosen.values()))
    return Curve(label, first.kind, first.link, tuple(chosen), tuple(chosen.values()))


def trained(point: Point) -> str:
    """``trained at 0 dB`` or ``trained at -10 to 10 dB``."""
    if point.snr_db_train is None:
        return ""
    low, high = point.snr_db_train
    return f"trained at {low:g} dB" if low == high else f"trained at {low:g} to {high:g} dB"


def _matched(points: Sequence[Point]) -> tuple[tuple[Curve, ...], tuple[str, ...]]:
    curves, notes = [], []
    for kind in _kinds_over("analog"):
        at = _at(p for p in points if p.kind == kind.name)
        if not at:
            continue
        chosen = {snr_db: nearest_snr_train(some) for snr_db, some in at.items()}
        used = list(dict.fromkeys(chosen.values()))
        ranged = all(p.snr_db_train and p.snr_db_train[0] < p.snr_db_train[1] for p in used)
        label = kind.label + (f", {trained(used[0])}" if ranged else ", trained for each SNR")
        curves.append(_curve(label, chosen))
        if ranged:
            notes.append(f"{kind.label}: no scheme trained at one SNR; {trained(used[0])} instead")
        else:
            which = (f"{snr:+g} dB: {p.scheme} {trained(p)}" for snr, p in chosen.items())
            notes.append(f"{kind.label}: " + "; ".join(which))
    for kind in _kinds_over("coded"):
        for link in ("ideal", "coded"):
            at = _at(p for p in points if p.kind == kind.name and p.link == link)
            if at:
                chosen = {snr_db: highest_reliable_rate(some) for snr_db, some in at.items()}
                curves.append(_curve(f"{kind.label}, {link}, rate for each SNR", chosen))
        if any(p.kind == kind.name for p in points):
            notes.append(
                f"{kind.label}: at each SNR the scheme with the most bits of those that lose at "
                f"most {TOLERABLE:.0%} of their blocks, else the one that loses fewest"
            )
    curves += _paper(points) + _pca(points)
    return tuple(curves), tuple(notes)


def _each(points: Sequence[Point]) -> tuple[tuple[Curve, ...], tuple[str, ...]]:
    curves = []
    bundles = len({p.bundle for p in points})
    keys = dict.fromkeys(
        (p.bundle, p.scheme, p.link)
        for p in points
        if p.kind not in ("pca", "noiseless") and p.link != "paper"
    )
    for key in keys:
        at = {
            snr: some[0]
            for snr, some in _at(p for p in points if (p.bundle, p.scheme, p.link) == key).items()
        }
        first = next(iter(at.values()))
        what = trained(first) or f"{first.link}, {_bits(first):.0f} bits"
        where = f" ({first.bundle[:6]})" if bundles > 1 else ""
        curves.append(_curve(f"{first.scheme}{where}, {what}", at))
    curves += _paper(points) + _pca(points)
    analog = {kind.name for kind in _kinds_over("analog")}
    ranged = [c.label for c in curves if c.kind in analog and " to " in c.label]
    notes = [f"trained over a range, not at one SNR: {'; '.join(ranged)}"] if ranged else []
    return tuple(curves), tuple(notes)


def _against_bandwidth(points: Sequence[Point]) -> tuple[tuple[Curve, ...], tuple[str, ...]]:
    curves = []
    for kind in scheme_kinds():
        link = kind.links[0]
        choose = nearest_snr_train if link == "analog" else highest_reliable_rate
        of_kind = (p for p in points if (p.kind, p.link) == (kind.name, link))
        for snr_db, some in _at(of_kind).items():
            widths = sorted({p.bandwidth for p in some})
            chosen = {
                float(width): choose([p for p in some if p.bandwidth == width]) for width in widths
            }
            curves.append(_curve(f"{kind.label}, {snr_db:+g} dB", chosen))
    for label, of in _pca_by_backbone(points):
        for snr_db, some in _at(of).items():
            by_width = {float(p.bandwidth): p for p in sorted(some, key=lambda p: p.bandwidth)}
            curves.append(_curve(f"{label}, {snr_db:+g} dB", by_width))
    return tuple(curves), ()


def _paper(points: Sequence[Point]) -> list[Curve]:
    at = _at(p for p in points if p.link == "paper")
    if not at:
        return []
    chosen = {snr_db: some[0] for snr_db, some in at.items()}
    return [_curve("digital, mean bits at capacity (paper)", chosen)]


def _pca(points: Sequence[Point]) -> list[Curve]:
    return [
        _curve(label, {snr: some[0] for snr, some in _at(of).items()})
        for label, of in _pca_by_backbone(points)
    ]


def _pca_by_backbone(points: Sequence[Point]) -> list[tuple[str, list[Point]]]:
    """The linear baseline of each backbone: every one has features of its own."""
    found: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        if point.kind == "pca":
            found.setdefault((point.bundle, point.backbone), []).append(point)
    if len(found) == 1:
        return [(PCA_LABEL, of) for of in found.values()]
    return [(f"{PCA_LABEL}, on {backbone}", of) for (_, backbone), of in found.items()]
