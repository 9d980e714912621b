"""A block of a number meets the noise, the fade and the fate that it met before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from airreid.channels.settings import link_settings
from airreid.channels.traces import make_trace
from airreid.v1 import common_pb2, uplink_pb2
from channel_sim.links import Links

from .support import FILES, FIRST_BLOCK, LINK, SEED

BLOCKS, USES = 12, 24
SETTINGS: dict[str, dict[str, Any]] = {
    "awgn": {"snr_db": 3.0},
    "range": {"snr_range_db": (-5.0, 15.0)},
    "trace": {"snr_trace": make_trace("t", [0, 3, 7], [0.0, 10.0, -4.0])},
    "rayleigh": {"model": "rayleigh", "snr_db": 5.0},
    "rayleigh-blind": {"model": "rayleigh", "snr_db": 5.0, "csi": False},
    "rayleigh-slow": {"model": "rayleigh", "snr_db": 5.0, "doppler": 0.02},
    "rician": {"model": "rician", "snr_db": 5.0, "k_factor_db": 3.0},
    "rician-slow-range": {"model": "rician", "snr_range_db": (0.0, 9.0), "doppler": 0.1},
    "impulsive": {"model": "impulsive", "snr_db": 8.0, "impulse_probability": 0.1},
    "erasure": {"model": "erasure", "snr_db": 8.0, "erasure_probability": 0.2},
    "erasure-real": {"model": "erasure", "erasure_probability": 0.3, "erasure_unit": "real"},
}
TOLERANCE = 2e-4
"""Difference of symbols around 1: sines and logarithms differ between processors."""


def sent(kind: str) -> list[uplink_pb2.QueryRequest]:
    """The blocks that were sent: power 1, or 24 bits in 24 uses."""
    rng = np.random.default_rng(11)
    requests = []
    for number in range(BLOCKS):
        request = uplink_pb2.QueryRequest(
            id=common_pb2.BlockId(edge_id=LINK, spool_id="s", sequence=FIRST_BLOCK + number)
        )
        levels = rng.standard_normal(USES)
        levels /= np.sqrt(np.square(levels).mean())
        bits = rng.integers(0, 2, USES, dtype=np.uint8)
        if kind == "analog":
            request.analog.symbols = levels.astype("<f4").tobytes()
        else:
            request.ideal.bits = np.packbits(bits).tobytes()
            request.ideal.bit_count, request.ideal.uses = USES, USES
        requests.append(request)
    return requests


@pytest.mark.parametrize("order", ["forward", "backward"])
@pytest.mark.parametrize("name", SETTINGS)
def test_every_model_does_to_a_block_what_it_did(name: str, order: str) -> None:
    """Whatever came before it: blocks drawn ahead and alone are the same."""
    with np.load(FILES / "channel.npz") as recorded:
        symbols, snr_db, lost = (recorded[f"{name}|{k}"] for k in ("symbols", "snr_db", "lost"))
    for kind in ("analog", "ideal"):
        links, requests = Links(link_settings(seed=SEED, **SETTINGS[name])), sent(kind)
        for request in requests if order == "forward" else requests[::-1]:
            links.transmit(request)
        if kind == "analog":
            rows = np.stack([np.frombuffer(r.analog.symbols, "<f4") for r in requests])
            scale = np.maximum(np.abs(symbols), 1)
            np.testing.assert_allclose(rows / scale, symbols / scale, atol=TOLERANCE)
            reports = [request.channel.snr_db for request in requests]
            np.testing.assert_allclose(reports, snr_db, atol=1e-3)
        else:
            assert [request.ideal.lost for request in requests] == lost.tolist()
            assert [bool(request.ideal.bits) for request in requests] == (~lost).tolist()
