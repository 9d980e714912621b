"""Figures of the paper's page: they agree with the table of adopting, and with their own checks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs"
FIGURES = DOCS / "results" / "figures"


def curves(figure: str) -> list[tuple[str, dict[str, Any]]]:
    """Returns the title of its panel and each curve of a figure."""
    stored = json.loads((FIGURES / f"{figure}.json").read_text())
    return [(panel["title"], curve) for panel in stored["panels"] for curve in panel["curves"]]


def adopted(row: str) -> dict[float, tuple[float, float]]:
    """Reads a row of the table of ``docs/own-network.md``: top-1 and half an interval by SNR."""
    text = (DOCS / "own-network.md").read_text()
    (values,) = re.findall(rf"^\| {re.escape(row)} \| (.*) \|$", text, re.MULTILINE)
    parsed = [re.findall(r"\.\d+", value) for value in values.split(" | ")]
    snrs_db = (-10.0, -6.0, -3.0, 0.0, 5.0, 20.0)
    return {
        snr_db: (float(top1), float(half))
        for snr_db, (top1, half) in zip(snrs_db, parsed, strict=True)
    }


@pytest.mark.parametrize(
    ("scheme", "row"), [("pca", "PCA, 256"), ("discriminant", "`jscc-fc-256`")]
)
def test_256_uses_find_what_adopting_the_network_found(scheme: str, row: str) -> None:
    (curve,) = (curve for _, curve in curves("4a") if curve["scheme"] == scheme)
    for snr_db, (top1, half) in adopted(row).items():
        place = curve["x"].index(snr_db)
        assert abs(curve["top1"][place] - top1) <= half + curve["half_width"][place], snr_db


@pytest.mark.parametrize(("scheme", "row"), [("pca", "PCA, 64"), ("discriminant", "`jscc-fc-64`")])
def test_64_uses_find_what_adopting_the_network_found(scheme: str, row: str) -> None:
    compared = 0
    for title, curve in curves("4c"):
        snr_db = float(title.removesuffix(" dB"))
        if curve["scheme"] == scheme and snr_db in adopted(row):
            top1, half = adopted(row)[snr_db]
            place = curve["x"].index(64.0)
            assert abs(curve["top1"][place] - top1) <= half + curve["half_width"][place], snr_db
            compared += 1
    assert compared == 2  # -10 and 0 dB


@pytest.mark.parametrize("figure", ["4a", "4b", "4c", "anchors", "trained/4a"])
def test_every_point_has_the_snr_power_and_bits_that_it_claims(figure: str) -> None:
    measured = 0
    for title, curve in curves(figure):
        for place, x in enumerate(curve["x"]):
            snr_db = float(title.removesuffix(" dB")) if title.endswith("dB") else x
            bits, power = curve["bits"][place], curve["power"][place]
            if power is None:  # an account of a code that is not simulated
                assert bits > 0
                continue
            assert power == pytest.approx(1, abs=1e-5)
            assert curve["measured_snr_db"][place] == pytest.approx(snr_db, abs=0.05)
            measured += 1
    assert measured >= 12


@pytest.mark.parametrize("figure", ["4a", "4b", "4c", "anchors", "trained/4a"])
def test_a_figure_names_its_protocol_people_and_digests(figure: str) -> None:
    stored = json.loads((FIGURES / f"{figure}.json").read_text())
    study = stored["study"]
    assert study["protocol"] == "query-camera-1"
    assert "100 identities" in study["test"]
    assert {"training.npz", "test.npz"} == set(study["digests"])
    assert all(len(digest) == 64 for digest in study["digests"].values())
    for name, cell in stored["cells"].items():
        assert cell["settings"].get("noise_seeds", 10) == (2 if name.startswith("raw-") else 10)
        assert len(cell["sha256"]) == 64


def test_the_page_shows_what_the_figures_hold() -> None:
    page = (DOCS / "results" / "paper.md").read_text()
    for _, curve in curves("4a"):
        place = curve["x"].index(0.0)
        half = curve["half_width"][place]
        shown = f"{curve['top1'][place]:.3f}" + ("" if half is None else f" ± {half:.3f}")
        (row,) = (
            row
            for row in page.partition("| B = 256 |")[2].partition("\n\n")[0].splitlines()
            if row.startswith(f"| {curve['label']} |")
        )
        assert shown in row
    missing = json.loads((FIGURES / "4a.json").read_text())["not_finished"]
    assert (f"Not finished: {len(missing)}," in page) == bool(missing)
