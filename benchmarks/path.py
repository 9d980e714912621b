"""The whole path over three processes, beside its stages measured bare in the same run.

Edges, a channel and an access point with made-up entries, each a process of its own on
this machine. *Bare* stages are called one after the other in one thread of this process:
read a JPEG, encode it, put the block through the channel's model, decode it, search.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
from pydantic import Field
from threadpoolctl import threadpool_limits

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle, default_bundle_path, load_bundle
from airreid.channels.settings import LinkSettings
from airreid.images import load
from airreid.v1 import uplink_pb2
from airreid.validation import FrozenModel
from benchmarks import replay
from benchmarks.path_edge import EdgeLoad, run
from benchmarks.pictures import jpegs
from benchmarks.processes import access_point_arguments, channel_arguments, cpu_seconds
from benchmarks.replay import Settings as ReplaySettings
from benchmarks.rows import Row, Turns, in_turns, row, spread
from benchmarks.uplink import Load, make_gallery
from channel_sim.links import Links
from edge.blocks import BlockMaker
from edge.encoder import Encoder
from simulation.processes import Role

METHOD = (
    "processes on the same cores, each network and each search with one thread; bare stages in "
    "turns in one thread, medians, processor time where they are added up for the rate"
)
READ, ENCODE, CHANNEL, RECEIVE, SEARCH = STAGES = (
    "read a JPEG",
    "encode",
    "channel",
    "receive",
    "search",
)
P99_FACTOR, P99_MS = 1.3, 5.0
SHARE = 0.85
ALONE_MAX = 300
_BLOCKS = 512


class Settings(FrozenModel):
    """Settings of the path's benchmark."""

    queries: Annotated[int, Field(ge=20, le=1_000_000)] = 500
    """Queries of all edges together where they overlap; one by one, at most ``ALONE_MAX``."""
    entries: Annotated[int, Field(ge=256, le=1_000_000)] = 10_000
    scheme: str = "jscc-ae-256"
    snr_db: Annotated[float, Field(ge=-60, le=100)] = 10.0
    edges: Annotated[int, Field(ge=2, le=256)] = 16
    rounds: Annotated[int, Field(ge=1, le=1000)] = 10
    replay: ReplaySettings = ReplaySettings()


def measure(settings: Settings, tick: Callable[[], object] = lambda: None) -> list[Row]:
    """Measures the path; ``tick`` is called after each of ``steps``."""
    bundle = load_bundle(default_bundle_path())
    with TemporaryDirectory(prefix="airreid-bench-") as scratch:
        folder = Path(scratch)
        files = _files(folder)
        galleries = folder / "gallery"
        galleries.mkdir()
        make_gallery(galleries, bundle, Load(entries=settings.entries, scheme=settings.scheme))
        tick()
        bare = measure_bare(bundle, galleries, files, settings)
        tick()
        rows = _from_files(galleries, tuple(files), bare, settings, tick)
        rows += replay.measure(
            galleries, settings.entries, bundle, settings.snr_db, settings.replay, tick
        )
    return rows + _stages(bare)


def _from_files(
    gallery: Path,
    files: tuple[Path, ...],
    bare: Turns,
    settings: Settings,
    tick: Callable[[], object],
) -> list[Row]:
    """Measures edges that read files, and wait for each answer or do not."""
    with ExitStack() as stack:
        access_point = Role("access point", access_point_arguments(gallery), 300.0)
        stack.enter_context(access_point)
        upstream = f"127.0.0.1:{access_point.ready['grpc_port']}"
        channel = Role("channel", channel_arguments(upstream, settings.snr_db))
        stack.enter_context(channel)
        target = f"127.0.0.1:{channel.ready['grpc_port']}"
        alone = min(settings.queries, ALONE_MAX)
        rows = [_single(EdgeLoad(target, files, settings.scheme, alone, alone=True), bare)]
        tick()
        between = {role.name: role.process.pid for role in (channel, access_point)}
        for edges in (1, settings.edges):
            each = -(-settings.queries // edges)
            part = EdgeLoad(target, files, settings.scheme, each, alone=False)
            rows.append(_pipelined(part, edges, bare, between))
            tick()
    return rows


def steps(settings: Settings) -> int:
    """Returns how often :func:`measure` calls ``tick``."""
    return 5 + replay.steps(settings.replay)


def measure_bare(bundle: Bundle, folder: Path, files: list[Path], settings: Settings) -> Turns:
    """Times each stage by itself, over the gallery in ``folder``."""
    encoder = Encoder(bundle, 1)
    scheme = encoder.scheme(settings.scheme)
    links = Links(LinkSettings(snr_db=settings.snr_db))
    store = Store(folder / "gallery.sqlite")
    gallery = Gallery(store, bundle, 1)
    gallery.wait_ready()
    images = [load(path) for path in files]
    payloads = scheme.pack(encoder.features(images), "analog")
    maker = BlockMaker("bare", bundle.bundle_id)
    blocks = maker.blocks((payloads[i % len(payloads)] for i in range(_BLOCKS)), settings.scheme)
    sent = cycle([block.SerializeToString() for block in blocks])
    receiver = gallery.scheme(settings.scheme)
    embeddings = receiver.unpack(payloads, [settings.snr_db] * len(payloads)).embeddings
    paths, crops, heard, rows = cycle(files), cycle(images), cycle(payloads), cycle(embeddings)

    def channel() -> None:
        request = uplink_pb2.QueryRequest.FromString(next(sent))
        links.transmit(request)
        request.SerializeToString()

    limit = threadpool_limits(1, "blas")  # as the access point has it
    try:
        return in_turns(
            {
                READ: lambda: load(next(paths)),
                ENCODE: lambda: scheme.pack(encoder.features([next(crops)]), "analog"),
                CHANNEL: channel,
                RECEIVE: lambda: receiver.unpack([next(heard)], [settings.snr_db]),
                SEARCH: lambda: gallery.search(settings.scheme, next(rows)[None], 10, 0),
            },
            settings.rounds,
            10,
        )
    finally:
        limit.restore_original_limits()
        gallery.close()
        store.close()


def core_seconds(bare: Turns) -> float:
    """Returns the processor time of one query through all stages."""
    return sum(bare.core_seconds(stage) for stage in STAGES)


def _single(edge_load: EdgeLoad, bare: Turns) -> Row:
    [times] = run(edge_load, 1)
    p50, p99 = np.percentile(times.milliseconds, [50, 99])
    least = 1e3 * sum(bare.seconds(stage) for stage in STAGES if stage != CHANNEL)
    return row(
        "one query at a time, file to answer, p99",
        "ms",
        float(p99),
        least,
        "read + encode + receive + search, bare, medians",
        limit=round(P99_FACTOR * least + P99_MS, 1),
        limit_of="ours",
        better="less",
        spread=spread(list(times.milliseconds)),
        repetitions=len(times.milliseconds),
        tolerance=0.5,
        note=f"p50 {p50:.1f} ms; asked: {P99_FACTOR:g} times the bare stages + {P99_MS:g} ms",
    )


def _pipelined(edge_load: EdgeLoad, edges: int, bare: Turns, between: dict[str, int]) -> Row:
    """Measures overlapping queries; ``between``: process ids of channel and access point."""
    before = {name: cpu_seconds(pid) for name, pid in between.items()}
    edge_times = run(edge_load, edges)
    queries = edge_load.queries * edges
    seconds = max(times.ended for times in edge_times) - min(times.started for times in edge_times)
    took = {f"edge{'s' * (edges > 1)}": sum(times.core_seconds for times in edge_times)}
    took |= {name: cpu_seconds(pid) - before[name] for name, pid in between.items()}
    shares = ", ".join(f"{name} {1e3 * used / queries:.1f}" for name, used in took.items())
    return row(
        f"queries overlapping, {edges} edge{'s' * (edges > 1)}",
        "queries/s",
        queries / seconds,
        1 / core_seconds(bare),
        "1 / processor time of all bare stages",
        limit=SHARE,
        repetitions=queries,
        note=f"one run; 'airreid edge send' in each process; processor ms a query: {shares} "
        f"(the bare stages: {1e3 * core_seconds(bare):.1f})",
    )


def _stages(bare: Turns) -> list[Row]:
    """Makes rows of each bare stage beside all of them."""
    total = 1e3 * core_seconds(bare)
    return [
        row(
            f"bare stage: {stage}",
            "ms of processor time",
            1e3 * bare.core_seconds(stage),
            total,
            "all stages",
            better="less",
            spread=spread(bare.processor[stage]),
            repetitions=bare.count(stage),
        )
        for stage in STAGES
    ]


def _files(folder: Path) -> list[Path]:
    paths = []
    for number, data in enumerate(jpegs()):
        path = folder / f"crop-{number}.jpg"
        path.write_bytes(data)
        paths.append(path)
    return paths
