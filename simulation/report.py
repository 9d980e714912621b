"""The report of a run: figures as JSON, the accuracy curve, a sheet of answers."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image, ImageColor, ImageDraw, ImageFont

from airreid import __version__
from airreid.bundle import Bundle
from airreid.crop_folder import Crop
from airreid.curve_style import GREY, NO_CODE, RIGHT, WRONG, line_of, save
from airreid.images import load
from airreid.link_report import REPORT_BITS
from airreid.nested.stopping import FEEDBACK_BITS
from simulation.people import People
from simulation.plan import EDGE_ID, TIE, SimulationPlan, SimulationResult

SCHEMA = "airreid simulate 2"
"""Name and version of the JSON document; docs/json.md has its fields."""
_WAY_LABELS = {
    ("analog", "report"): ", by reports",
    ("coded", "report"): ", by reports",
    ("coded", "pieces"): ", in pieces",
}
_INK, _PAPER = (30, 32, 36), (255, 255, 255)


def as_json(
    bundle: Bundle, people: People, plan: SimulationPlan, result: SimulationResult
) -> dict[str, Any]:
    """Every figure with the settings that reproduce it."""
    return {
        "schema": SCHEMA,
        "settings": {
            "bundle": bundle.manifest.name,
            "bundle_id": bundle.bundle_id,
            "people": people.name,
            "gallery_images": len(people.gallery),
            "gallery_identities": len({crop.identity for crop in people.gallery}),
            "query_images": len(people.queries),
            "left_out": len(people.left_out),
            "protocol": "same identity and same camera dropped; all gallery images ranked",
            "interval": "top1_low and top1_high: Wilson, 95 %, for the independent trials that "
            "scatter as much as the people's queries do",
            "blocks": "query i at an SNR is block first_sequence + i, for every scheme",
            "seed": plan.seed,
            "edge_id": EDGE_ID,
            "channel": "awgn",
            "links": "analog: JSCC; ideal: k bits arrive iff k <= B C(SNR) (the paper's bound, per "
            "block); coded: CRC, polar code, list decoding, PAM",
            "side_information": "side_bits per query tell the receiver the payload size (coded) or "
            "the message length (ideal); side_uses is what they take at capacity, beside bandwidth",
            "bandwidth": plan.bandwidths[0] if len(plan.bandwidths) == 1 else plan.bandwidths,
            "uses": "uses_mean and uses_p95: real channel uses a query; with bandwidth auto until "
            f"the access point had heard enough. downlink_bits: {FEEDBACK_BITS} for each time that "
            f"it asked for more, {REPORT_BITS} for each report on the link",
            "way": "whole: a fixed block; pieces: bandwidth auto; report: at once, as the access "
            "point's last report on the link advised, of digital schemes the scheme",
            "stopping": plan.stopping.model_dump(),
            "window": plan.window,
            "threads": plan.threads,
            "replay_tie": TIE,
            "latency": "block handed to the stream until its answer is read",
            "noiseless_top1": result.noiseless_top1,
            "encode_ms_p50": result.encode_ms_p50,
            "versions": {
                "airreid": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("numpy", "onnxruntime", "faiss-cpu", "grpcio")},
            },
            "machine": {"cpu_count": os.cpu_count(), "machine": platform.machine()},
        },
        "results": [vars(point) for point in result.points],
    }


def write(
    folder: Path,
    bundle: Bundle,
    people: People,
    plan: SimulationPlan,
    result: SimulationResult,
    pictures: bool = True,
) -> list[Path]:
    """Writes ``results.json``, and ``accuracy`` as PNG, SVG and PDF; returns the paths.

    ``answers.png``, which shows people, only with ``pictures``; one of an earlier run goes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results.json"
    text = json.dumps(as_json(bundle, people, plan, result), indent=2)
    results.write_text(text + "\n", encoding="utf-8")
    answers = folder / "answers.png"
    curves = draw_curve(folder / "accuracy.png", people, result)
    if not pictures:
        answers.unlink(missing_ok=True)
        return [results, *curves]
    draw_answers(answers, people, result)
    return [results, *curves, answers]


def draw_curve(path: Path, people: People, result: SimulationResult) -> list[Path]:
    """Draws top-1 with its interval against SNR, each scheme in its own look; returns the paths."""
    from matplotlib.figure import Figure  # takes half a second, and only the report needs it

    figure = Figure(figsize=(7.6, 4.6), dpi=140, layout="constrained")
    axes = figure.add_subplot()
    curves = dict.fromkeys((point.scheme, point.link, point.way) for point in result.points)
    for scheme, link, way in curves:
        points = sorted(
            (p for p in result.points if (p.scheme, p.link, p.way) == (scheme, link, way)),
            key=lambda point: point.snr_db,
        )
        axes.errorbar(
            [p.snr_db for p in points],
            [p.top1 for p in points],
            [[p.top1 - p.top1_low for p in points], [p.top1_high - p.top1 for p in points]],
            capsize=2,
            elinewidth=0.8,
            label=(scheme if link == "analog" else f"{scheme}, {link} link")
            + _WAY_LABELS.get((link, way), ""),
            alpha=0.6 if (link, way) in _WAY_LABELS else 1.0,
            **line_of(scheme, link).keywords,
        )
    axes.axhline(result.noiseless_top1, color=GREY, linestyle="--", linewidth=1, label=NO_CODE)
    axes.set(
        xlabel="SNR per real channel use (dB)",
        ylabel="top-1, with 95 % interval",
        ylim=(0, 1.02),
        title=f"{people.name}: {len(people.queries)} queries, {len(people.gallery)} in the gallery",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")
    return save(figure, path)


def draw_answers(
    path: Path, people: People, result: SimulationResult, rows: int = 6, top: int = 5
) -> None:
    """Queries with their best gallery images at the best and the worst SNR of a scheme."""
    pairs = list(dict.fromkeys((point.scheme, point.link) for point in result.points))
    scheme, link = next((pair for pair in pairs if pair[0] == "jscc-ae-256"), pairs[0])
    snrs = sorted(
        {p.snr_db for p in result.points if (p.scheme, p.link) == (scheme, link)}, reverse=True
    )
    shown = snrs[:1] if len(snrs) == 1 else [snrs[0], snrs[-1]]
    width, height, gap, margin = 64, 128, 6, 26
    block = top * (width + gap)
    count = min(rows, len(people.queries))
    chosen = [round(i * (len(people.queries) - 1) / max(1, count - 1)) for i in range(count)]
    size = (
        margin * 2 + width + len(shown) * (block + 3 * gap),
        margin * 2 + count * (height + gap),
    )
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    draw.text((margin, 6), "query", fill=_INK, font=font)

    def paste(crop: Crop, x: int, y: int, frame: tuple[int, int, int]) -> None:
        sheet.paste(load(crop.path).resize((width, height)), (x, y))
        draw.rectangle((x - 2, y - 2, x + width + 1, y + height + 1), outline=frame, width=3)

    for column, snr_db in enumerate(shown):
        left = margin + width + 3 * gap + column * (block + 3 * gap)
        draw.text((left, 6), f"{scheme} at {snr_db:+g} dB, best first", fill=_INK, font=font)
        order = result.rankings[scheme, link, snr_db]
        for line, query_number in enumerate(chosen):
            query, y = people.queries[query_number], margin + line * (height + gap)
            if column == 0:
                paste(query, margin, y, _INK)
            for position, item in enumerate(order[query_number, :top].tolist()):
                if item >= 0:
                    crop = people.gallery[item]
                    right = crop.identity == query.identity
                    x = left + position * (width + gap)
                    paste(crop, x, y, ImageColor.getrgb(RIGHT if right else WRONG)[:3])
                    _mark(draw, x, y, right)
    sheet.save(path)


def _mark(draw: ImageDraw.ImageDraw, x: int, y: int, right: bool) -> None:
    """Draws a tick or a cross into the corner of a crop, for who cannot tell its frame's colour."""
    draw.rectangle((x, y, x + 15, y + 15), fill=RIGHT if right else WRONG)
    if right:
        draw.line([(x + 3, y + 8), (x + 6, y + 12), (x + 12, y + 3)], fill=_PAPER, width=2)
    else:
        draw.line([(x + 3, y + 3), (x + 12, y + 12)], fill=_PAPER, width=2)
        draw.line([(x + 3, y + 12), (x + 12, y + 3)], fill=_PAPER, width=2)
