"""The digital schemes over the air, offline: accuracy and outage of both links."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from airreid.bundle import Bundle, DigitalInfo
from airreid.digital.limits import shannon_snr_db
from airreid.digital.scheme import DigitalScheme
from airreid.metrics import evaluate_ranking
from airreid.noise import NoiseStream
from airreid.offline import replay_payloads
from airreid.payload import Link
from training.evaluate import Gallery

Row = dict[str, Any]


def digital_rows(
    bundle: Bundle,
    data: Gallery,
    snrs_db: Sequence[float],
    seeds: Sequence[int],
    tick: Callable[[Row], object] = lambda row: None,
) -> list[Row]:
    """Every digital scheme of a bundle over both links: one row a scheme, link and SNR.

    Lost queries count as not found. The ideal link draws no noise, so it has one seed.
    """
    rows = []
    for info in bundle.manifest.schemes:
        if not isinstance(info, DigitalInfo):
            continue
        scheme = DigitalScheme(bundle, info, threads=2)
        gallery = scheme.gallery(data.gallery)
        links: tuple[tuple[Link, Sequence[int]], ...] = (("coded", seeds), ("ideal", (0,)))
        for link, drawn in links:
            payloads = scheme.pack(data.queries, link)
            accounts = [scheme.account(payload) for payload in payloads]
            bits = float(np.mean([account.payload_bits for account in accounts]))
            for snr_db in snrs_db:
                top1, lost = [], []
                for seed in drawn:
                    stream = NoiseStream(seed, "offline")
                    order = replay_payloads(scheme, payloads, gallery, snr_db, stream, 0).order
                    found = evaluate_ranking(order, data.query_labels, data.gallery_labels)
                    top1.append(found.top1)
                    lost.append((order[:, 0] < 0).mean())
                half = 1.96 * np.std(top1, ddof=1) / np.sqrt(len(top1)) if len(top1) > 1 else 0.0
                row = {
                    "scheme": info.id,
                    "link": link,
                    "snr_db": snr_db,
                    "top1": round(float(np.mean(top1)), 4),
                    "top1_half_width": round(float(half), 4),
                    "outage": round(float(np.mean(lost)), 4),
                    "payload_bits": round(bits, 2),
                    "crc_bits": accounts[0].crc_bits,
                    "side_bits": accounts[0].side_bits,
                    "paper_snr_db": round(shannon_snr_db(bits, info.bandwidth), 2),
                }
                rows.append(row)
                tick(row)
    return rows


def draw(jscc: list[Row], digital: list[Row], bandwidth: int, bound: float, path: Path) -> None:
    """JSCC, PCA and the digital schemes of one bandwidth in one figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    ours = [row for row in jscc if row["scheme"] == f"jscc-ae-{bandwidth}"]
    x = [row["snr_db"] for row in ours]
    axes.plot(x, [row["top1"] for row in ours], "o-", color="C0", label=f"jscc-ae-{bandwidth}")
    axes.plot(x, [row["pca_top1"] for row in ours], "--", color="C0", label="PCA, sent as it is")
    schemes = [
        name for name in dict.fromkeys(row["scheme"] for row in digital) if f"-{bandwidth}" in name
    ]
    for number, scheme in enumerate(schemes, 1):
        for link, style in (("coded", "s-"), ("ideal", "^:")):
            rows = [r for r in digital if (r["scheme"], r["link"]) == (scheme, link)]
            axes.plot(
                [row["snr_db"] for row in rows],
                [row["top1"] for row in rows],
                style,
                color=f"C{number}",
                markersize=4,
                label=f"{scheme}, {link}, {rows[0]['payload_bits']:.0f} bits",
            )
    axes.axhline(bound, color="grey", linestyle="--", linewidth=1, label="no channel")
    axes.set(
        xlabel="SNR per real channel use (dB)",
        ylabel="top-1",
        ylim=(0, 1.02),
        title=f"JSCC degrades, digital falls off a cliff: B = {bandwidth} real uses",
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path)
