"""Report of adopting a network: a table, and the curves as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airreid.adopt.pipeline import Adopted
from airreid.codecs.comparison import SNRS_DB
from airreid.evaluation.drawing import draw
from airreid.evaluation.figures import Curve, Plot
from airreid.evaluation.point_files import lines, write_json
from airreid.evaluation.points import NO_CHANNEL, Point

TITLE = "Top-1 on people who were not fitted on"
_SITE = (
    "A code learns its site: on cameras and people of another place it may find fewer than PCA. "
    "'airreid adopt --also DIR' and 'airreid evaluate --fit-on A --data B' measure that."
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
    if adopted.left_out:
        out.append(f"left out, too few crops to fit on: {', '.join(adopted.left_out)}")
    if adopted.split is not None:
        cameras = f" and {adopted.split.cameras} cameras" if adopted.split.cameras else ""
        out.append(f"chosen on {adopted.split.people} people{cameras} kept out of the fit")
        if any(head.choice.method != "pca" for head in adopted.heads):
            out.append(_SITE)
    if adopted.points:
        if adopted.fitted_on_test:
            out.append(
                "the table is of codes fitted without the people who are tested; those in the "
                "bundle, told above, are fitted on them too"
            )
        out += ["", *lines(dict(adopted.about), adopted.points)]
    else:
        out.append(f"no accuracy on other people: {why_no_test}")
    if adopted.int8 is not None:
        out += ["", f"int8     {adopted.int8.words}"]
    for site in adopted.elsewhere:
        out += ["", "at another site, nothing fitted there:", *lines(site.about, site.points)]
    return out


def write_report(adopted: Adopted, folder: Path) -> list[Path]:
    """Writes ``accuracy.json`` and ``.png`` to a folder, and ``elsewhere-N`` for other sites.

    Nothing without a test.
    """
    results = {f"elsewhere-{n}": (s.about, s.points) for n, s in enumerate(adopted.elsewhere, 1)}
    if adopted.points:
        results = {"accuracy": (adopted.about, adopted.points), **results}
    written = []
    for name, (about, points) in results.items():
        folder.mkdir(parents=True, exist_ok=True)
        numbers, picture = folder / f"{name}.json", folder / f"{name}.png"
        write_json(numbers, dict(about), points)
        draw(curves(points), str(about["data"]), picture)
        written += [numbers, picture]
    return written


def write_page(adopted: Adopted, why_no_test: str) -> Path:
    """Writes ``README.md`` into the bundle: what it is made of, and the lines of :func:`told`."""
    bundle = adopted.bundle
    card, backbone = bundle.manifest.provenance, bundle.backbone
    record = card.adopted
    assert record is not None
    page = [
        f"# {bundle.manifest.name}",
        "",
        f"The network `{record.network}` with codes fitted by `airreid adopt`. "
        f"Licence: {card.licence}.",
        "",
        f"- network: SHA-256 `{record.sha256}`, output `{record.output}`, {backbone.feature_dim} "
        f"numbers of a crop of {backbone.height}x{backbone.width}",
        f"- preprocessing, now inside the graph: {record.preprocessing}",
        f"- codes fitted on: {card.codec_data}",
        f"- schemes: {', '.join(f'`{scheme_id}`' for scheme_id in bundle.scheme_ids)}",
        "",
        "Use it with `--bundle DIR` of `airreid ap serve`, `edge serve`, `edge send`, `simulate` "
        "and `evaluate`, or name it in `AIRREID_BUNDLE`.",
        "",
        "What `airreid adopt` said when it made this bundle:",
        "",
        "```",
        *told(adopted, why_no_test),
        "```",
    ]
    path = bundle.path / "README.md"
    path.write_text("\n".join(page) + "\n", encoding="utf-8")
    return path


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
