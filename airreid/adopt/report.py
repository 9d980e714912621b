"""What adopting a network ends with: a table, and the curves as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airreid.adopt.pipeline import Adopted
from airreid.adopt.selection import SNRS_DB
from airreid.evaluation.drawing import draw
from airreid.evaluation.figures import Curve, Plot
from airreid.evaluation.point_files import lines, write_json
from airreid.evaluation.points import NO_CHANNEL, Point

TITLE = "Top-1 on people who were not fitted on"
_SITE = (
    "A code learns its site: on cameras and people of another place it may find fewer than PCA. "
    "'airreid evaluate --fit-on A --data B' measures that."
)


def told(adopted: Adopted, why_no_test: str) -> list[str]:
    """Lines for the terminal: preprocessing, how each code was chosen, accuracy."""
    out = []
    if adopted.found is not None:
        out.append(adopted.found.words)
    out.append(f"wrapped network against the plain one: {adopted.parity:.1e} of the feature's RMS")
    for head in adopted.heads:
        line = f"{head.info.id:<16} {head.words}"
        held_out = head.choice.held_out
        if held_out:
            rates = ", ".join(f"{name} {sum(v) / len(v):.3f}" for name, v in held_out.items())
            line += f"  (held out, mean of {len(SNRS_DB)} SNRs: {rates})"
        out.append(line)
    if adopted.split is not None:
        cameras = f" and {adopted.split.cameras} cameras" if adopted.split.cameras else ""
        out.append(f"chosen on {adopted.split.people} people{cameras} kept out of the fit")
        if any(head.choice.method != "pca" for head in adopted.heads):
            out.append(_SITE)
    if adopted.points:
        out += ["", *lines(dict(adopted.about), adopted.points)]
    else:
        out.append(f"no accuracy on other people: {why_no_test}")
    return out


def write_report(adopted: Adopted, folder: Path) -> list[Path]:
    """Writes ``accuracy.json`` and ``accuracy.png`` to a folder; nothing without a test."""
    if not adopted.points:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    numbers, picture = folder / "accuracy.json", folder / "accuracy.png"
    write_json(numbers, dict(adopted.about), adopted.points)
    draw(curves(adopted.points), str(adopted.about["data"]), picture)
    return [numbers, picture]


def curves(points: Sequence[Point]) -> Plot:
    """Every scheme and PCA against SNR, and the features without a channel."""
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        if point.kind != NO_CHANNEL and point.link != "paper":
            groups.setdefault((point.scheme, point.link), []).append(point)
    drawn = tuple(
        Curve(
            scheme if link == "analog" else f"{scheme}, {link}",
            group[0].kind,
            link,
            tuple(point.snr_db or 0.0 for point in group),
            tuple(group),
            scheme,
        )
        for (scheme, link), group in groups.items()
    )
    bounds = tuple(point for point in points if point.kind == NO_CHANNEL)
    return Plot(TITLE, "SNR per real channel use (dB)", drawn, bounds, ())
