"""Many cameras at one access point: what each gets, how long it waits, what memory does.

The streams send symbols that were encoded beforehand, each as fast as its window lets it, so
that the access point alone is the bottleneck. The gallery is made of random features; a
block's right answer is known and is checked.
"""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import grpc
import numpy as np
from grpc import aio
from pydantic import Field

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.store.store import Store
from airreid import __version__, child_process
from airreid.bundle import Bundle, default_bundle_path, load_bundle
from airreid.descriptors import raise_limit
from airreid.errors import LinkError
from airreid.payload import put
from airreid.scheme_kinds import open_scheme
from airreid.v1 import common_pb2, uplink_pb2
from airreid.validation import FrozenModel
from benchmarks import rows
from benchmarks.idle_streams import CONNECTION, QUERY, idle_streams
from benchmarks.processes import access_point_arguments, cpu_seconds, rss_mib
from benchmarks.rows import Row, row
from simulation.processes import Role

SENT = 256
"""Different blocks that are sent, over and over."""
METHOD = "one run of each server, one after the other"


class Load(FrozenModel):
    """Load that the access point is put under."""

    streams: Annotated[int, Field(ge=1, le=2000)] = 200
    seconds: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    entries: Annotated[int, Field(ge=SENT, le=1_000_000)] = 10_000
    scheme: str = "jscc-ae-64"
    window: Annotated[int, Field(ge=1, le=256)] = 4
    """Unanswered blocks of each stream; the access point may allow fewer."""
    idle: Annotated[int, Field(ge=0, le=2000)] = 0
    """Streams beside these that stay open and send nothing."""
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def all_streams(self) -> int:
        """Streams that are open at once."""
        return self.streams + self.idle


@dataclass
class StreamCounts:
    """Counts of all streams of a load."""

    counts: list[int]
    """Answers of each stream within the time."""
    latencies_ms: list[float] = field(default_factory=list)
    wrong: int = 0
    """Answers that were not OK, or named another person."""
    lost: int = 0
    """Blocks without an answer."""
    broken: int = 0
    """Streams that ended with an error."""
    repeated: int = 0
    smallest_window: int = 1 << 30


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """Figures of one server under one load."""

    server: str
    items: int
    items_per_second: float
    p50_ms: float
    p99_ms: float
    slowest_over_median: float
    """Answers of the stream that got the fewest, over the median stream's."""
    fewest: int
    median: float
    most: int
    wrong: int
    lost: int
    broken: int
    smallest_window: int
    """Smallest window that the access point let a stream have."""
    rss_mib: list[float]
    """Memory of the server, once a second."""
    rss_growth: float
    """Median of the last quarter over that of the second quarter, minus 1."""
    cpu_seconds: float
    """Processor time that the server took."""


def make_gallery(folder: Path, bundle: Bundle, load: Load) -> list[uplink_pb2.QueryRequest]:
    """Fills a gallery with subjects ``p0``, ``p1``, ...; returns blocks of the first, whose
    ``truth`` says whom they show."""
    rng = np.random.default_rng(load.seed)
    store = Store(folder / "gallery.sqlite")
    gallery = Gallery(store, bundle, 1)
    first = np.zeros((0, 0), np.float32)
    for start in range(0, load.entries, 1000):
        size = min(1000, load.entries - start)
        features = rng.standard_normal((size, bundle.backbone.feature_dim)).astype(np.float32)
        first = features[:SENT] if start == 0 else first
        gallery.enrol(
            [
                NewEntry(f"p{start + i}", "c", gallery.space_id, row)
                for i, row in enumerate(features)
            ]
        )
    gallery.close()
    store.close()
    scheme = open_scheme(bundle, bundle.scheme(load.scheme), 1)
    blocks = []
    for person, payload in enumerate(scheme.pack(first, "analog")):
        block = uplink_pb2.QueryRequest(
            bundle_id=bundle.bundle_id, scheme_id=load.scheme, top_k=5, truth=f"p{person}"
        )
        put(payload, block)
        blocks.append(block)
    return blocks


async def send(
    target: str, blocks: list[uplink_pb2.QueryRequest], load: Load, tick: Callable[[], object]
) -> StreamCounts:
    """Sends all streams at once for the load's time, beside the idle ones.

    ``tick`` is called once a second.
    """
    async with idle_streams(target, blocks[0], load.idle) as idle:
        counted = await _send(target, blocks, load, tick)
    counted.broken += idle.broken
    return counted


async def _send(
    target: str, blocks: list[uplink_pb2.QueryRequest], load: Load, tick: Callable[[], object]
) -> StreamCounts:
    counted = StreamCounts([0] * load.streams)
    bodies = [block.SerializeToString() for block in blocks]
    truths = [block.truth for block in blocks]
    start = asyncio.Event()
    streams = [
        asyncio.create_task(_stream(number, target, bodies, truths, load, counted, start))
        for number in range(load.streams)
    ]
    await asyncio.sleep(0.5)  # the connections
    start.set()
    for _ in range(int(load.seconds)):
        await asyncio.sleep(1.0)
        tick()
    for ending in await asyncio.gather(*streams, return_exceptions=True):
        if isinstance(ending, BaseException):
            counted.broken += 1
    return counted


async def _stream(
    number: int,
    target: str,
    bodies: list[bytes],
    truths: list[str],
    load: Load,
    counted: StreamCounts,
    start: asyncio.Event,
) -> None:
    name = common_pb2.BlockId(edge_id=f"edge-{number}", spool_id=f"{load.seed}")
    under_way: dict[int, float] = {}
    window, room = load.window, asyncio.Event()
    async with aio.insecure_channel(target, options=CONNECTION) as channel:
        await channel.channel_ready()
        query: aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(QUERY)
        call = query()
        await start.wait()
        until = time.perf_counter() + load.seconds

        async def read() -> None:
            nonlocal window
            async for data in call:
                now = time.perf_counter()
                answer = uplink_pb2.QueryResponse.FromString(data)
                began = under_way.pop(answer.id.sequence)
                if now <= until:
                    counted.counts[number] += 1
                    counted.latencies_ms.append((now - began) * 1e3)
                truth = truths[(answer.id.sequence + number) % len(truths)]
                right = answer.identities and answer.identities[0].subject == truth
                counted.wrong += not right
                counted.repeated += answer.repeated_answer
                window = min(load.window, answer.window or load.window)
                counted.smallest_window = min(counted.smallest_window, window)
                room.set()

        reader = asyncio.create_task(read())
        reader.add_done_callback(lambda _: room.set())
        sequence = 0
        try:
            while time.perf_counter() < until and not reader.done():
                if len(under_way) >= window:
                    room.clear()
                    await room.wait()
                    continue
                sequence += 1
                name.sequence = sequence
                head = uplink_pb2.QueryRequest(id=name, settled_below=min(under_way, default=0))
                under_way[sequence] = time.perf_counter()
                # Two serialised messages one after the other are the two merged.
                body = bodies[(sequence + number) % len(bodies)]
                await call.write(head.SerializeToString() + body)
            await call.done_writing()
            await asyncio.wait_for(reader, 30.0)
            if await call.code() is not grpc.StatusCode.OK:
                raise LinkError(f"edge-{number}: {await call.details()}")
        finally:
            counted.lost += len(under_way)
            reader.cancel()


@contextmanager
def peer(folder: Path) -> Iterator[tuple[str, int]]:
    """Starts the synchronous server as a process: yields its address and process id."""
    arguments = child_process.python_module("benchmarks.uplink_peer", str(folder))
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        try:
            if not port:
                raise LinkError("the synchronous server did not start")
            yield f"127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            process.stdout.close()


@contextmanager
def access_point(folder: Path, streams: int = 1000) -> Iterator[tuple[str, int]]:
    """Starts the access point, which takes so many streams: yields its address and process id."""
    arguments = [*access_point_arguments(folder), "--max-streams", f"{streams}"]
    with Role("access point", arguments, 300.0) as role:
        yield f"127.0.0.1:{role.ready['grpc_port']}", role.process.pid


def measure(load: Load, with_peer: bool, tick: Callable[[], object]) -> list[LoadReport]:
    """Measures the access point, and the synchronous server if wanted, one after the other."""
    bundle = load_bundle(default_bundle_path())
    raise_limit()  # a connection for each stream
    with TemporaryDirectory() as folder:
        blocks = make_gallery(Path(folder), bundle, load)
        data = Path(folder)
        servers = {"access point": partial(access_point, data, max(1000, load.all_streams))}
        if with_peer:
            servers["synchronous"] = partial(peer, data)
        return [
            _measure_one(name, server(), blocks, load, tick) for name, server in servers.items()
        ]


def _measure_one(
    name: str, server: Any, blocks: list[uplink_pb2.QueryRequest], load: Load, tick: Any
) -> LoadReport:
    with server as (target, pid):
        warm = Load(streams=1, seconds=1.0, entries=load.entries, scheme=load.scheme, seed=99)
        asyncio.run(send(target, blocks, warm, lambda: None))  # makes the index
        rss: list[float] = []

        def each_second() -> None:
            rss.append(rss_mib(pid))
            tick()

        before = cpu_seconds(pid)
        counted = asyncio.run(send(target, blocks, load, each_second))
        return report(name, counted, rss, cpu_seconds(pid) - before, load)


def report(
    server: str, counted: StreamCounts, rss: list[float], cpu: float, load: Load
) -> LoadReport:
    """Sums up the counts of the streams."""
    counts, quarter = sorted(counted.counts), max(1, len(rss) // 4)
    median = float(np.median(counts))
    growth = 0.0
    if len(rss) >= 4:
        early, late = np.median(rss[quarter : 2 * quarter]), np.median(rss[-quarter:])
        growth = float(late / early - 1)
    p50, p99 = np.percentile(counted.latencies_ms or [0.0], [50, 99])
    return LoadReport(
        server=server,
        items=sum(counts),
        items_per_second=round(sum(counts) / load.seconds, 1),
        p50_ms=round(float(p50), 2),
        p99_ms=round(float(p99), 2),
        slowest_over_median=round(counts[0] / median, 3) if median else 0.0,
        fewest=counts[0],
        median=median,
        most=counts[-1],
        wrong=counted.wrong,
        lost=counted.lost,
        broken=counted.broken,
        smallest_window=counted.smallest_window,
        rss_mib=[round(value, 1) for value in rss],
        rss_growth=round(growth, 4),
        cpu_seconds=round(cpu, 2),
    )


def as_dict(load: Load, reports: list[LoadReport]) -> dict[str, Any]:
    """Returns what reproduces the figures, and the figures."""
    return {
        "settings": load.model_dump()
        | {
            "versions": {"airreid": __version__, "python": platform.python_version()},
            "machine": {"cpu_count": os.cpu_count(), "machine": platform.machine()},
            "load_average": os.getloadavg()[0],
        },
        "reports": [asdict(report) for report in reports],
    }


def document(load: Load, reports: list[LoadReport]) -> dict[str, Any]:
    """Returns rows for comparison beside :func:`as_dict`, for JSON."""
    content = rows.report(METHOD, as_rows(load, reports)).model_dump(mode="json")
    return content | as_dict(load, reports)


def as_rows(load: Load, reports: list[LoadReport]) -> list[Row]:
    """Makes rows of the access point beside the synchronous server, where that was measured."""
    ours = reports[0]
    peer = reports[1] if len(reports) > 1 else None
    peer_name = "a thread for each stream, a block at a time" if peer else ""
    beside = f" beside {load.idle} idle" if load.idle else ""
    name = f"{load.streams} streams{beside}, {load.scheme}, {load.entries} entries"
    wrong = f"{ours.wrong} wrong, {ours.lost} lost, {ours.broken} broken"
    return [
        row(
            f"answers, {name}",
            "answers/s",
            ours.items_per_second,
            peer.items_per_second if peer else None,
            peer_name,
            repetitions=ours.items,
            note=f"one run of {load.seconds:g} s; {wrong}; the slowest stream got "
            f"{ours.slowest_over_median:.2f} of the median",
        ),
        row(
            f"wait, p99, {name}",
            "ms",
            ours.p99_ms,
            peer.p99_ms if peer else None,
            peer_name,
            better="less",
            repetitions=ours.items,
        ),
        row(
            f"memory of the access point, {name}",
            "MiB",
            ours.rss_mib[-1],
            peer.rss_mib[-1] if peer else None,
            peer_name,
            better="less",
        ),
    ]
