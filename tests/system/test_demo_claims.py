"""Claims of the README and the model card on the demo, held against a run."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from airreid.bundle import Bundle
from airreid.scheme_info import DigitalInfo

from .test_cli import airreid


def test_the_card_shows_every_scheme_above_pca(bundle: Bundle) -> None:
    accuracy = bundle.manifest.provenance.accuracy
    assert accuracy is not None
    assert accuracy.noiseless_int8_top1 is not None
    assert 0.90 <= accuracy.noiseless_int8_top1 <= 0.99
    rows = accuracy.over_the_air
    jscc = {info.id for info in bundle.manifest.schemes if not isinstance(info, DigitalInfo)}
    assert {row.scheme for row in rows} == jscc
    for row in rows:
        assert row.top1_half_width is not None
        assert row.pca_half_width is not None
        assert row.top1 + row.top1_half_width >= row.pca_top1 - row.pca_half_width, row


def test_the_card_shows_every_digital_scheme_above_quantised_pca(bundle: Bundle) -> None:
    accuracy = bundle.manifest.provenance.accuracy
    assert accuracy is not None
    rows = accuracy.digital
    digital = {info.id for info in bundle.manifest.schemes if isinstance(info, DigitalInfo)}
    assert {row.scheme for row in rows} == digital
    for row in rows:
        assert row.top1 > row.pca_top1, row
        assert row.pca_bits_mean >= row.bits_mean - 0.5
        assert row.bits_mean <= row.bits_ideal_mean + 2
        assert 0 < row.bits_noise_estimate_gap < 0.1 * row.bits_mean


@pytest.mark.slow
def test_a_hundred_strangers_over_the_air(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    snrs = [20, 10, 5, 0, -3, -6, -10]
    result = airreid(
        *("simulate", "--scheme", "jscc-ae-256", "--report", tmp_path, "--json", out),
        *(word for snr in snrs for word in ("--snr", snr)),
        seconds=300,
    )
    assert result.returncode == 0, result.stderr
    run = json.loads(out.read_text())
    assert 0.90 <= run["settings"]["noiseless_top1"] <= 0.99
    assert run["settings"]["gallery_identities"] == 100
    top1 = {row["snr_db"]: row["top1"] for row in run["results"]}
    assert top1[20] >= 0.90
    assert top1[-10] >= 0.6  # degrades, no cliff: 300 queries, so a step is noisy by 0.03
    assert all(top1[a] >= top1[b] - 0.03 for a, b in pairwise(snrs))
    assert all(row["replay_identical"] == 300 for row in run["results"])
