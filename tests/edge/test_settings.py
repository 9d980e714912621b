"""Limits and defaults of the camera's settings."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from edge.airtime import Radio
from edge.settings import (
    CameraSettings,
    OneShotSettings,
    SendSettings,
    ServeSettings,
    UplinkSettings,
    WatchSettings,
)

from ..limits import defaults, limits

SECONDS = ["<= 10000000.0", "> 0"]
CAMERA = {
    "edge_id": ["length <= 128", "length >= 1"],
    "threads": ["<= 64", ">= 1"],
    "target_outage": ["< 1", "> 0"],
}


def test_bounds() -> None:
    top_k, share = ["<= 1000", ">= 1"], ["< 1", "> 0"]
    assert limits(SendSettings) == {"top_k": top_k, "target_outage": share}
    assert limits(UplinkSettings) == {
        "window": ["<= 256", ">= 1"],
        "connect_seconds": SECONDS,
        "answer_seconds": SECONDS,
        "backoff_seconds": SECONDS,
    }
    assert limits(WatchSettings) == {
        "poll_seconds": ["<= 60", ">= 0.01"],
        "settle_seconds": ["<= 3600", ">= 0"],
    }
    assert limits(CameraSettings) == CAMERA
    assert limits(OneShotSettings) == {**CAMERA, "top_k": top_k}
    assert limits(ServeSettings) == {
        **CAMERA,
        "top_k": top_k,
        "spool_blocks": ["<= 100000000", ">= 1"],
        "keep_rows": [">= 0"],
        "deadline": SECONDS,
        "drain_seconds": ["<= 3600", ">= 0"],
    }
    assert limits(Radio) == {
        "symbol_rate": ["<= 1000000000000.0", "> 0"],
        "tx_power_mw": ["<= 1000000.0", "> 0"],
    }


def test_defaults() -> None:
    camera = {
        "to": "127.0.0.1:50051",
        "scheme": None,
        "link": None,
        "bandwidth": None,
        "target_outage": 0.05,
        "bundle": None,
        "edge_id": "cam-1",
        "threads": 1,
    }
    assert defaults(SendSettings) == {"top_k": 10, "bandwidth": None, "target_outage": 0.05}
    assert defaults(UplinkSettings) == {
        "window": 16,
        "connect_seconds": 5.0,
        "answer_seconds": 30.0,
        "backoff_seconds": 30.0,
    }
    assert defaults(WatchSettings) == {
        "after": "move",
        "poll_seconds": 0.2,
        "settle_seconds": 5.0,
        "marks": None,
    }
    assert defaults(OneShotSettings) == {**camera, "top_k": 5, "truth": False}
    assert defaults(ServeSettings) == {
        **camera,
        "top_k": 10,
        "listen": "127.0.0.1:50050",
        "insecure_no_auth": False,
        "watch": None,
        "stdin": False,
        "spool": None,
        "spool_blocks": 10_000,
        "keep_rows": 1_000_000,
        "deadline": None,
        "drain_seconds": 5.0,
        "metrics": None,
    }
    assert defaults(Radio) == {"symbol_rate": None, "tx_power_mw": None}


@pytest.mark.parametrize(
    "bandwidth", ["0", "-1", "033", "100000", "1e2", "\u00b2", "", "Auto", "3.5"]
)
def test_a_bandwidth_that_is_none_is_told_what_there_is(bandwidth: str) -> None:
    with pytest.raises(ValidationError, match="give auto, report or a number of channel uses"):
        OneShotSettings.model_validate({"bandwidth": bandwidth})


def test_a_file_may_give_a_bandwidth_as_a_number() -> None:
    assert OneShotSettings.model_validate({"bandwidth": 96}).bandwidth == "96"
