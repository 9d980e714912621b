"""The channel: its noise against NumPy's, its service against a proxy that does nothing.

What is compared takes turns, in short bursts, so that a machine whose speed drifts slows
all of it alike; the figures are medians over rounds and their ratios. The proxies stand
between the same load generator and the same sink, each in a process of its own; the
generator sends blocks that were serialised beforehand and nobody but the proxy looks
into a message. Two figures say what a proxy costs: blocks a second through it, and the
processor time that its process takes for a block, which does not depend on how many
cores the other processes find.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from grpc import aio

from airreid.channels.models import apply
from airreid.noise import NoiseStream
from airreid.proxies import DIRECT
from airreid.signal import awgn, normalise_power
from airreid.v1 import uplink_pb2
from benchmarks.proxies import MODELS, Query, Server
from benchmarks.rows import Row, in_turns, row, spread
from channel_sim.service import UPLINK

BATCHES = (16, 64, 256, 1024)
BANDWIDTH = 256
BANDWIDTHS = (256, 512, 1024)
ROUNDS = 15
NOISE_LIMIT = 0.3
STREAMS, BLOCKS = 4, 200
"""Edges at once, and blocks that each sends in a burst."""
BURSTS = 12
COST_LIMIT = 1.3
METHOD = "in turns, medians; every process on the same cores"


def measure(quick: bool = False) -> list[Row]:
    """Measures all rows; ``quick``: one batch, one bandwidth, fewer rounds."""
    rows = measure_models(BATCHES[1:2] if quick else BATCHES, 6 if quick else ROUNDS)
    peers = ["nothing, bytes", "nothing, messages"]
    for bandwidth in BANDWIDTHS[:1] if quick else BANDWIDTHS:
        names = [*peers, "awgn", "rayleigh, csi"]
        rows += measure_service(bandwidth, names, 5 if quick else BURSTS)
    return rows


def measure_models(batches: Sequence[int] = BATCHES, rounds: int = ROUNDS) -> list[Row]:
    """Measures symbols per second of the pure functions, for batches of blocks."""
    rows = []
    rng, stream = np.random.default_rng(0), NoiseStream(1, "cam-1")
    for batch in batches:
        shape = (batch, BANDWIDTH)
        x = normalise_power(rng.standard_normal(shape)).astype(np.float32)
        calls: dict[str, Callable[[], object]] = {
            "numpy": lambda s=shape: rng.standard_normal(s),  # type: ignore[misc]
            "numpy, float32": lambda s=shape: rng.standard_normal(s, np.float32),  # type: ignore[misc]
            "noise": lambda n=batch: stream.blocks(7, n, BANDWIDTH),  # type: ignore[misc]
            "awgn": lambda x=x: awgn(x, stream.blocks(7, len(x), BANDWIDTH), 5.0),  # type: ignore[misc]
        }
        for name, settings in MODELS.items():
            blocks = np.arange(7, 7 + batch, dtype=np.uint64)
            calls[f"apply: {name}"] = lambda s=settings, x=x, b=blocks: apply(s, x, stream, b)  # type: ignore[misc]
        turns = in_turns(calls, rounds, 5)
        million = batch * BANDWIDTH / 1e6
        for name in list(calls)[2:]:
            rows += [
                row(
                    f"{name}, batch {batch}",
                    "million symbols/s",
                    million / turns.seconds(name),
                    million / turns.seconds(peer),
                    f"bare standard_normal of {peer}",
                    limit=NOISE_LIMIT if name in ("noise", "awgn") else None,
                    spread=turns.spread(name),
                    repetitions=turns.count(name),
                )
                for peer in ("numpy", "numpy, float32")
            ]
    return rows


# -- the service -----------------------------------------------------------------------


@contextmanager
def _processes(names: list[str]) -> Iterator[dict[str, Server]]:
    sink = Server("sink")
    servers = {name: Server(name, sink.target) for name in names}
    try:
        yield servers
    finally:
        for process in [*servers.values(), sink]:
            process.stop()


def _requests(bandwidth: int) -> list[list[bytes]]:
    """Makes the blocks that each edge sends in a burst: in order, serialised."""
    x = normalise_power(np.random.default_rng(0).standard_normal(bandwidth)).astype("<f4")
    bursts = []
    for edge in range(STREAMS):
        request = uplink_pb2.QueryRequest(bundle_id="0" * 64, scheme_id=f"jscc-ae-{bandwidth}")
        request.analog.symbols = x.tobytes()
        request.id.edge_id, request.id.spool_id = f"cam-{edge}", "0" * 32
        blocks = []
        for sequence in range(BLOCKS):
            request.id.sequence = sequence
            blocks.append(request.SerializeToString())
        bursts.append(blocks)
    return bursts


async def _burst(target: str, requests: list[list[bytes]]) -> float:
    """Returns the seconds in which all edges send their blocks and have their answers."""
    async with aio.insecure_channel(target, options=[DIRECT]) as channel:
        query: Query = channel.stream_stream(f"/{UPLINK}/Query")

        async def edge(blocks: list[bytes]) -> None:
            async def send() -> AsyncIterator[bytes]:
                for block in blocks:
                    yield block

            answers = 0
            async for _ in query(send()):
                answers += 1
            assert answers == len(blocks)

        await asyncio.gather(*[edge(blocks[:5]) for blocks in requests])
        started = time.perf_counter()
        await asyncio.gather(*[edge(blocks) for blocks in requests])
        return time.perf_counter() - started


def measure_service(bandwidth: int, names: list[str], bursts: int = BURSTS) -> list[Row]:
    """Measures what our service and proxies that do nothing carry, and cost.

    Ratios are medians over rounds of two that had their turns in the same round.
    """
    requests, blocks = _requests(bandwidth), STREAMS * BLOCKS
    with _processes(names) as servers:
        times: dict[str, list[float]] = {name: [] for name in names}
        costs: dict[str, list[float]] = {name: [] for name in names}
        for burst in range(bursts + 1):
            for name, process in servers.items():
                before = process.cpu_seconds()
                seconds = asyncio.run(_burst(process.target, requests))
                if burst:
                    costs[name].append((process.cpu_seconds() - before) / blocks)
                    times[name].append(seconds / blocks)
    rows = []
    for name in names:
        for peer in names:
            if name not in MODELS or peer in MODELS:
                continue
            about: dict[str, Any] = {"repetitions": bursts}
            about["peer_name"] = f"grpc.aio proxy that does {peer}"
            rate, cost = float(np.median(times[name])), float(np.median(costs[name]))
            carried = bandwidth / rate / 1e6
            rows += [
                row(
                    f"channel service, {name}, B = {bandwidth}",
                    "blocks/s",
                    1 / rate,
                    1 / float(np.median(times[peer])),
                    ratio=float(np.median(np.divide(times[peer], times[name]))),
                    spread=spread(times[name]),
                    note=f"{carried:.2f} million symbols/s",
                    **about,
                ),
                row(
                    f"channel service, {name}, B = {bandwidth}, cost",
                    "µs of processor time a block",
                    1e6 * cost,
                    1e6 * float(np.median(costs[peer])),
                    ratio=float(np.median(np.divide(costs[name], costs[peer]))),
                    limit=COST_LIMIT,
                    better="less",
                    spread=spread(costs[name]),
                    **about,
                ),
            ]
    return rows
