"""The channel: its noise against NumPy's, its service against a proxy that does nothing.

    python -m benchmarks.channel --json FILE

What is compared takes turns, in short bursts, so that a machine whose speed drifts slows
all of it alike; the figures are medians over rounds and their ratios. The proxies stand
between the same load generator and the same sink, each in a process of its own; the
generator sends blocks that were serialised beforehand and nobody but the proxy looks
into a message. Two figures say what a proxy costs: blocks a second through it, and the
processor time that its process takes for a block, which does not depend on how many
cores the other processes find.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from grpc import aio

from airreid.noise import NoiseStream
from airreid.signal import awgn, normalise_power
from airreid.v1 import uplink_pb2, uplink_pb2_grpc
from channel_sim.links import Links
from channel_sim.models import apply
from channel_sim.service import UPLINK, UplinkProxy
from channel_sim.settings import LinkSettings

BATCHES = (16, 64, 256, 1024)
BANDWIDTH = 256
ROUNDS = 15
NOISE_LIMIT = 0.3
STREAMS, BLOCKS = 4, 200
"""Edges at once, and blocks that each sends in a burst."""
BURSTS = 12
COST_LIMIT = 1.3
SYMBOLS_AIM = 2e6
MODELS = {
    "awgn": LinkSettings(snr_db=5),
    "rayleigh, csi": LinkSettings(model="rayleigh", snr_db=5),
    "rayleigh, doppler 0.01, no csi": LinkSettings(
        model="rayleigh", snr_db=5, doppler=0.01, csi=False
    ),
    "impulsive": LinkSettings(model="impulsive", snr_db=5),
    "erasure": LinkSettings(model="erasure", snr_db=5),
}
Context = aio.ServicerContext[Any, Any]
Query = aio.StreamStreamMultiCallable[bytes, bytes]


def _rates(calls: dict[str, Callable[[], object]], symbols: int) -> dict[str, float]:
    """Symbols a second of each call, all taking turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            call()
            for _ in range(5):
                started = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - started)
    return {name: symbols / float(np.median(taken)) for name, taken in times.items()}


def measure_models() -> list[dict[str, Any]]:
    """Rows of symbols per second of the pure functions, for batches of blocks."""
    rows = []
    rng, stream = np.random.default_rng(0), NoiseStream(1, "cam-1")
    for batch in BATCHES:
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
        rates = _rates(calls, batch * BANDWIDTH)
        for name in list(calls)[2:]:
            rows += [
                {
                    "name": f"{name}, batch {batch}",
                    "unit": "million symbols/s",
                    "ours": round(rates[name] / 1e6, 1),
                    "peer": round(rates[peer] / 1e6, 1),
                    "peer_name": f"bare standard_normal of {peer}",
                    "ratio": round(rates[name] / rates[peer], 2),
                    "limit": NOISE_LIMIT if name in ("noise", "awgn") else None,
                }
                for peer in ("numpy", "numpy, float32")
            ]
    return rows


# -- the service -----------------------------------------------------------------------


def _bytes_handler(behaviour: Callable[..., AsyncIterator[bytes]]) -> grpc.GenericRpcHandler:
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(behaviour)
    return grpc.method_handlers_generic_handler(UPLINK, {"Query": handler})


def _sink(server: aio.Server, _: str) -> None:
    answer = uplink_pb2.QueryResponse(link="analog").SerializeToString()

    async def swallow(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield answer

    server.add_generic_rpc_handlers((_bytes_handler(swallow),))


def _nothing_bytes(server: aio.Server, upstream: str) -> None:
    """A proxy that passes bytes: the least that grpc.aio can do."""
    query: Query = aio.insecure_channel(upstream).stream_stream(f"/{UPLINK}/Query")

    async def relay(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for response in query(requests):
            yield response

    server.add_generic_rpc_handlers((_bytes_handler(relay),))


def _nothing_messages(server: aio.Server, upstream: str) -> None:
    """A proxy as one writes it: the generated stub and servicer, messages parsed."""
    stub = uplink_pb2_grpc.UplinkServiceStub(aio.insecure_channel(upstream))

    class Relay(uplink_pb2_grpc.UplinkServiceServicer):
        async def Query(
            self, request_iterator: AsyncIterator[uplink_pb2.QueryRequest], context: Context
        ) -> AsyncIterator[uplink_pb2.QueryResponse]:
            async for response in stub.Query(request_iterator):
                yield response

    uplink_pb2_grpc.add_UplinkServiceServicer_to_server(Relay(), server)


def _ours(model: str) -> Callable[[aio.Server, str], None]:
    def register(server: aio.Server, upstream: str) -> None:
        channel = aio.insecure_channel(upstream)
        UplinkProxy(Links(MODELS[model]), channel, upstream).register(server)

    return register


_SERVERS: dict[str, Callable[[aio.Server, str], None]] = {
    "sink": _sink,
    "nothing, bytes": _nothing_bytes,
    "nothing, messages": _nothing_messages,
    **{name: _ours(name) for name in MODELS},
}


async def _serve(name: str, upstream: str, pipe: Connection) -> None:
    server = aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    _SERVERS[name](server, upstream)
    await server.start()
    pipe.send(port)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, pipe.recv):
        pipe.send(time.process_time())
    await server.stop(None)


def _main_of_process(name: str, upstream: str, pipe: Connection) -> None:
    asyncio.run(_serve(name, upstream, pipe))


class _Process:
    """A server of ``_SERVERS`` in a process of its own."""

    def __init__(self, name: str, upstream: str = "") -> None:
        self._pipe, other = multiprocessing.Pipe()
        spawn = multiprocessing.get_context("spawn")
        self._process = spawn.Process(target=_main_of_process, args=(name, upstream, other))
        self._process.start()
        self.target = f"127.0.0.1:{self._pipe.recv()}"

    def cpu_seconds(self) -> float:
        self._pipe.send(True)
        return float(self._pipe.recv())

    def stop(self) -> None:
        self._pipe.send(False)
        self._process.join()


@contextmanager
def _processes(names: list[str]) -> Iterator[dict[str, _Process]]:
    sink = _Process("sink")
    made = {name: _Process(name, sink.target) for name in names}
    try:
        yield made
    finally:
        for process in [*made.values(), sink]:
            process.stop()


def _requests(bandwidth: int) -> list[list[bytes]]:
    """What each edge sends in a burst: its blocks in order, serialised."""
    x = normalise_power(np.random.default_rng(0).standard_normal(bandwidth)).astype("<f4")
    made = []
    for edge in range(STREAMS):
        request = uplink_pb2.QueryRequest(bundle_id="0" * 64, scheme_id=f"jscc-ae-{bandwidth}")
        request.analog.symbols = x.tobytes()
        request.id.edge_id, request.id.spool_id = f"cam-{edge}", "0" * 32
        blocks = []
        for sequence in range(BLOCKS):
            request.id.sequence = sequence
            blocks.append(request.SerializeToString())
        made.append(blocks)
    return made


async def _burst(target: str, requests: list[list[bytes]]) -> float:
    """Seconds that all edges take to send their blocks and have their answers."""
    async with aio.insecure_channel(target) as channel:
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


def measure_service(bandwidth: int, names: list[str]) -> list[dict[str, Any]]:
    """Rows of what our service and proxies that do nothing carry, and cost."""
    requests, blocks = _requests(bandwidth), STREAMS * BLOCKS
    with _processes(names) as made:
        rates: dict[str, list[float]] = {name: [] for name in names}
        costs: dict[str, list[float]] = {name: [] for name in names}
        for burst in range(BURSTS + 1):
            for name, process in made.items():
                before = process.cpu_seconds()
                seconds = asyncio.run(_burst(process.target, requests))
                if burst:
                    costs[name].append((process.cpu_seconds() - before) / blocks)
                    rates[name].append(blocks / seconds)
    rate = {name: float(np.median(taken)) for name, taken in rates.items()}
    cost = {name: float(np.median(taken)) for name, taken in costs.items()}

    def times_as_much(taken: dict[str, list[float]], name: str, peer: str) -> float:
        """Median over rounds of the ratio of two that had their turns in the same round."""
        return round(float(np.median(np.divide(taken[name], taken[peer]))), 2)

    return [
        {
            "name": f"channel service, {name}, B = {bandwidth}",
            "unit": "blocks/s",
            "ours": round(rate[name]),
            "peer": round(rate[peer]),
            "peer_name": f"grpc.aio proxy that does {peer}",
            "ratio": times_as_much(rates, name, peer),
            "million_symbols_per_s": round(rate[name] * bandwidth / 1e6, 2),
            "aim_million_symbols_per_s": SYMBOLS_AIM / 1e6,
            "cost": times_as_much(rates, peer, name),
            "cpu_us_per_block": round(cost[name] * 1e6, 1),
            "peer_cpu_us_per_block": round(cost[peer] * 1e6, 1),
            "cpu_cost": times_as_much(costs, name, peer),
            "cost_at_most": COST_LIMIT,
        }
        for name in names
        for peer in names
        if name in MODELS and peer not in MODELS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--only", choices=["models", "service"], help="half of it")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    if arguments.only != "service":
        rows += measure_models()
    if arguments.only != "models":
        peers = ["nothing, bytes", "nothing, messages"]
        for bandwidth in (256, 512, 1024):
            rows += measure_service(bandwidth, [*peers, "awgn", "rayleigh, csi"])
    result = {
        "machine": {
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "versions": {name: version(name) for name in ("numpy", "grpcio", "protobuf")},
            "method": "in turns, medians; every process on the same cores",
        },
        "rows": rows,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items() if value is not None))


if __name__ == "__main__":
    main()
