"""The digital schemes over the air in a figure, beside JSCC of the same bandwidth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from airreid.bundle import Bundle
from airreid.curve_style import GREY, NO_CODE, line_of, save
from airreid.digital.scheme import DigitalScheme
from airreid.evaluation.point_files import point_row
from airreid.evaluation.points import paper_point, scheme_points
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.scheme_info import DigitalInfo

Row = dict[str, Any]


def digital_rows(
    bundle: Bundle,
    data: RetrievalFeatures,
    snrs_db: Sequence[float],
    seeds: Sequence[int],
    tick: Callable[[Row], object] = lambda row: None,
) -> list[Row]:
    """Measures every digital scheme over both links and by the paper's account: a row each."""
    rows = []
    for info in bundle.manifest.schemes:
        if not isinstance(info, DigitalInfo):
            continue
        scheme = DigitalScheme(bundle, info, threads=2)
        points = [paper_point(bundle.bundle_id, scheme, data)]
        points += scheme_points(bundle.bundle_id, scheme, "coded", data, snrs_db, seeds)
        points += scheme_points(bundle.bundle_id, scheme, "ideal", data, snrs_db, seeds)
        for row in map(point_row, points):
            rows.append(row)
            tick(row)
    return rows


def draw(jscc: list[Row], digital: list[Row], bandwidth: int, bound: float, path: Path) -> None:
    """Draws JSCC, PCA and the digital schemes of one bandwidth in one figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    ours = [row for row in jscc if row["scheme"] == f"jscc-ae-{bandwidth}"]
    x = [row["snr_db"] for row in ours]
    jscc_id = f"jscc-ae-{bandwidth}"
    axes.plot(x, [row["top1"] for row in ours], label=jscc_id, **line_of(jscc_id).keywords)
    linear = [row["pca_top1"] for row in ours]
    axes.plot(x, linear, label="PCA, sent as it is", **line_of("pca").keywords)
    schemes = [
        name for name in dict.fromkeys(row["scheme"] for row in digital) if f"-{bandwidth}" in name
    ]
    for scheme in schemes:
        for link in ("coded", "ideal"):
            rows = [r for r in digital if (r["scheme"], r["link"]) == (scheme, link)]
            axes.plot(
                [row["snr_db"] for row in rows],
                [row["top1"] for row in rows],
                **line_of(scheme, link).keywords,
                label=f"{scheme}, {link}, {rows[0]['payload_bits']:.0f} bits",
            )
    axes.axhline(bound, color=GREY, linestyle="--", linewidth=1, label=NO_CODE)
    axes.set(
        xlabel="SNR per real channel use (dB)",
        ylabel="top-1",
        ylim=(0, 1.02),
        title=f"JSCC degrades, digital falls off a cliff: B = {bandwidth} real uses",
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    save(figure, path)
