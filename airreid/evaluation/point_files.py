"""Points as JSON, CSV and lines of text."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from airreid.disk import read_regular
from airreid.errors import InputError
from airreid.evaluation.interval import over_noise
from airreid.evaluation.points import NO_CHANNEL, Point

SCHEMA = "airreid points 2"
"""Name and version of the JSON document; files of before have none."""
_BYTES_MAX = 64 * 1024 * 1024
_STORED_NAMES = {"rate_lambda": "trade"}
"""Field of a point to its name in files, where they differ."""


def point_row(point: Point) -> dict[str, Any]:
    """A point's values by the names that they have in files."""
    return {_STORED_NAMES.get(name, name): value for name, value in asdict(point).items()}


def point_of(row: dict[str, Any]) -> Point:
    """Makes the point of a row that :func:`point_row` made. Raises :class:`TypeError` and
    :class:`KeyError` for a row of anything else."""
    fields_by_name = {stored: field for field, stored in _STORED_NAMES.items()}
    values = {fields_by_name.get(name, name): value for name, value in row.items()}
    snr_db_train = values["snr_db_train"]
    values["snr_db_train"] = None if snr_db_train is None else (snr_db_train[0], snr_db_train[1])
    return Point(**values)


def write_json(path: Path, about: dict[str, Any], points: Sequence[Point]) -> None:
    """Writes :func:`document` to a file."""
    path.write_text(json.dumps(document(about, points), indent=2) + "\n", encoding="utf-8")


def document(about: dict[str, Any], points: Sequence[Point]) -> dict[str, Any]:
    """Returns ``about`` and, under ``points``, every point, as plain values for JSON."""
    return {"schema": SCHEMA, **about, "points": [point_row(point) for point in points]}


def read_json(path: Path) -> tuple[dict[str, Any], list[Point]]:
    """Reads what :func:`write_json` wrote. Raises :class:`InputError` for anything else."""
    try:
        about: dict[str, Any] = json.loads(read_regular(path, _BYTES_MAX))
        points = [point_of(row) for row in about.pop("points")]
        about.pop("schema", None)
        for key in ("data", "data_digest", "protocol", "bundles"):
            about[key]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise InputError(
            f"{path}: not written by 'airreid evaluate --json' or 'airreid sweep'"
        ) from None
    if not points:
        raise InputError(f"{path}: has no points")
    return about, points


def write_csv(path: Path, about: dict[str, Any], points: Sequence[Point]) -> None:
    """Writes one line a point; data, protocol and digest are in every line."""
    fixed = {key: about[key] for key in ("data", "protocol", "data_digest")}
    with path.open("w", newline="", encoding="utf-8") as file:
        names = [*fixed, *(_STORED_NAMES.get(field.name, field.name) for field in fields(Point))]
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for point in points:
            writer.writerow({**fixed, **point_row(point)})


def lines(about: dict[str, Any], points: Sequence[Point]) -> list[str]:
    """Lists top-1 of every scheme at every SNR, and the rest in short; survives a pipe."""
    snrs = sorted({p.snr_db for p in points if p.snr_db is not None and p.link != "paper"})
    out = [
        f"data     {about['data']}",
        f"         {about['query_images']} queries of {about['identities']} identities against "
        f"{about['gallery_images']} images; digest {about['data_digest']}",
        f"noise    {about['noise']}",
        f"±        {over_noise(about['interval'], about['identities'])}",
        f"PCA      {about['pca']}",
        "",
    ]
    out += [
        f"no channel, {point.scheme}: top-1 {point.top1:.3f}  top-5 {point.top5:.3f}  "
        f"top-10 {point.top10:.3f}  mAP {point.map:.3f}  mINP {point.minp:.3f}  "
        f"({point.queries} queries counted)"
        for point in points
        if point.kind == NO_CHANNEL
    ]
    out += ["", "top-1" + " " * 17 + f"{'link':<7}{'bits':>7} " + "".join(map(_snr, snrs))]
    rows: dict[tuple[str, str, str, str], dict[float, Point]] = {}
    for point in points:
        if point.snr_db is not None:
            key = (point.bundle, point.backbone, point.scheme, point.link)
            rows.setdefault(key, {})[point.snr_db] = point
    several = len({point.backbone for point in points}) > 1
    backbone_shown = ""
    for (_, backbone, scheme, link), row in rows.items():
        if several and backbone != backbone_shown:
            backbone_shown = backbone
            out.append(f"on {backbone}")
        first = next(iter(row.values()))
        bits = "-" if first.payload_bits is None else f"{first.payload_bits:.1f}"
        head = f"{scheme:<22}{link:<7}{bits:>7} "
        if link == "paper":
            lambda_text = "" if first.rate_lambda is None else f", λ = {first.rate_lambda:g}"
            out.append(
                f"{head} {first.top1:.3f} from {first.snr_db:+.2f} dB on, at capacity "
                f"(d = {first.dimensions}{lambda_text})"
            )
        else:
            out.append(head + "".join(_cell(row.get(snr_db)) for snr_db in snrs))
    spread = [point for point in points if point.top1_sd is not None]
    if spread:
        out += ["", f"standard deviation of top-1 over the {spread[0].splits} splits"]
        for (_, _, scheme, link), row in rows.items():
            deviations = (f"{row[s].top1_sd:>16.3f}" if s in row else " " * 16 for s in snrs)
            out.append(f"{scheme:<22}{link:<7}{'':>8}" + "".join(deviations))
    return out


def _snr(snr_db: float) -> str:
    return f"{f'{snr_db:+g} dB':>16}"


def _cell(point: Point | None) -> str:
    if point is None:
        return " " * 16
    half = point.top1_half_width
    text = f"{point.top1:.3f}" + (f" ± {half:.3f}" if half is not None else " " * 8)
    return f"{text:>16}"
