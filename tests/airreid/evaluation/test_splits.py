"""CUHK03's old protocol: every split by itself, then the mean."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from airreid.bundle import Bundle
from airreid.datasets import open_data
from airreid.errors import InputError
from airreid.evaluation.evaluate import Settings, evaluate

from ..datasets import published
from .invoking import invoke


def test_mean_and_deviation_over_splits(tiny: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "cuhk-03.mat"
    tests = [[(1, 2), (2, 1), (2, 2)], [(1, 1), (3, 1), (1, 3)], [(4, 1), (5, 1), (2, 3)]]
    published.cuhk03_mat(path, {(0, 1, 3)}, tests)
    out = tmp_path / "old.json"
    arguments = ["evaluate", "--bundle", str(tiny.path), "--data", str(path), "--protocol", "old"]
    arguments += ["--cache", str(tmp_path / "cache"), "--seeds", "2", "--json", str(out)]
    arguments += ["--scheme", "jscc-fc-16", "--snr", "5", "--pca-images", "30"]
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert "standard deviation of top-1 over the 3 splits" in result.output
    content = json.loads(out.read_text())
    assert (content["protocol"], content["splits"]) == ("old", 3)
    settings = Settings(
        (5.0,), tmp_path / "cache2", seeds=2, schemes=("jscc-fc-16",), pca_images=30
    )
    alone = [
        evaluate(tiny, open_data(path, f"old-{n}"), settings, lambda name, steps: lambda: None)
        for n in (1, 2, 3)
    ]
    for position, merged in enumerate(content["points"]):
        tops = [points[position].top1 for points in alone]
        assert merged["scheme"] == alone[0][position].scheme
        assert merged["top1"] == pytest.approx(np.mean(tops), abs=2e-5)
        assert merged["top1_sd"] == pytest.approx(np.std(tops, ddof=1), abs=2e-5)
        assert merged["queries"] == sum(points[position].queries for points in alone)


def test_old_needs_the_original_file(tiny: Bundle, dressed: Path) -> None:
    arguments = ["evaluate", "--bundle", str(tiny.path), "--data", str(dressed)]
    result = invoke(*arguments, "--protocol", "old")
    assert isinstance(result.exception, InputError)
    assert "cuhk-03.mat, which has the splits" in str(result.exception)
