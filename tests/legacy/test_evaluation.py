"""A bundle written before measures the same on the same people."""

from __future__ import annotations

import json
from pathlib import Path

from .support import FILES, airreid, assert_as_recorded

COLUMNS = (
    *("bundle", "scheme", "link", "bandwidth", "snr_db", "queries", "seeds", "top1"),
    *("top1_half_width", "top5", "top10", "map", "minp", "outage", "payload_bits", "crc_bits"),
    *("side_bits", "paper_snr_db", "dimensions"),
)


def test_accuracy_over_the_air_is_as_recorded(tmp_path: Path) -> None:
    arguments = ["--bundle", str(FILES / "bundle"), "--data", str(FILES / "people")]
    arguments += ["--snr", "0", "--snr", "10", "--seeds", "2", "--pca-images", "0"]
    arguments += ["--cache", str(tmp_path / "cache"), "--json", str(tmp_path / "out.json")]
    airreid("evaluate", *arguments)
    actual = json.loads((tmp_path / "out.json").read_text())
    expected = json.loads((FILES / "evaluation.json").read_text())
    assert actual["data_digest"] == expected["data_digest"]
    assert len(actual["points"]) == len(expected["points"])
    for point, recorded in zip(actual["points"], expected["points"], strict=True):
        assert_as_recorded(point, {key: recorded[key] for key in COLUMNS}, recorded["scheme"])
