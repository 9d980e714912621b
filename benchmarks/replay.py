"""Symbols that were encoded beforehand, sent over three processes: what the rest carries.

*One block at a time*: the next is sent when the answer is here; beside it the same hops
through a proxy that does nothing to a server that answers at once. *Each by itself*: many
streams, and an access point that decodes and searches one block after the other.
*Batched*: the same streams, what waits together computed together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
from pydantic import Field

from airreid.bundle import Bundle
from airreid.v1 import uplink_pb2
from airreid.validation import FrozenModel
from benchmarks.processes import access_point_arguments, channel_arguments
from benchmarks.proxies import answered_at_once
from benchmarks.rows import Row, row
from benchmarks.uplink import Load, StreamCounts, make_gallery, send
from simulation.processes import Role

UNBATCHED, BATCHED = 400.0, 1000.0
STREAMS, WINDOW = 16, 8
_WARM_SECONDS = 1.0


class Settings(FrozenModel):
    """Settings of the replay."""

    schemes: tuple[str, ...] = ("jscc-ae-256", "jscc-fc-256")
    seconds: Annotated[float, Field(ge=1, le=3600)] = 3.0
    """Length of each load."""


def steps(settings: Settings) -> int:
    """Returns how often :func:`measure` calls ``tick``."""
    return 1 + len(settings.schemes)


def measure(
    gallery: Path,
    entries: int,
    bundle: Bundle,
    snr_db: float,
    settings: Settings,
    tick: Callable[[], object],
) -> list[Row]:
    """Measures over the gallery in ``gallery``; right answers are those of ``make_gallery``."""
    blocks = {scheme: _blocks(bundle, scheme) for scheme in settings.schemes}
    first = settings.schemes[0]
    with answered_at_once() as target:
        bare = _Sender(target, blocks, settings.seconds).load(first, 1, 1)
    tick()
    with _path(gallery, snr_db, 1) as target:
        sender = _Sender(target, blocks, settings.seconds)
        singly = {scheme: sender.load(scheme, STREAMS, WINDOW) for scheme in blocks}
    rows = []
    with _path(gallery, snr_db, None) as target:
        sender = _Sender(target, blocks, settings.seconds)
        for scheme in blocks:
            name = f"symbols replayed, {scheme}, {entries} entries"
            alone = sender.load(scheme, 1, 1)
            together = sender.load(scheme, STREAMS, WINDOW)
            peer = "a proxy that does nothing, answers at once"
            rows.append(_row(f"{name}, one block at a time", alone, bare, peer, UNBATCHED))
            alike = "one block at a time"
            rows.append(_row(f"{name}, each by itself", singly[scheme], alone, alike, UNBATCHED))
            rows.append(_row(f"{name}, batched", together, alone, alike, BATCHED))
            tick()
    return rows


class _LoadResult:
    """Rate, answers and a note of one load."""

    def __init__(self, load: Load, counted: StreamCounts) -> None:
        self.answers = sum(counted.counts)
        self.rate = self.answers / load.seconds
        lost = counted.lost + counted.broken
        self.note = (
            f"{load.streams} stream{'s' * (load.streams > 1)} of {load.window}, "
            f"p50 {np.median(counted.latencies_ms or [0]):.1f} ms, "
            f"{1 - counted.wrong / max(self.answers, 1):.1%} right"
            + (f", {lost} lost" if lost else "")
        )


class _Sender:
    """Sender of loads to one target. Every load has edges of its own: a block that has the
    number of another would be refused."""

    def __init__(
        self, target: str, blocks: dict[str, list[uplink_pb2.QueryRequest]], seconds: float
    ) -> None:
        self._target, self._blocks, self._seconds = target, blocks, seconds
        self._seed = 0

    def load(self, scheme: str, streams: int, window: int) -> _LoadResult:
        """Measures a load after a short one that is not counted."""
        for seconds in (_WARM_SECONDS, self._seconds):
            self._seed += 1
            load = Load(
                streams=streams, seconds=seconds, scheme=scheme, window=window, seed=self._seed
            )
            counted = asyncio.run(send(self._target, self._blocks[scheme], load, lambda: None))
        return _LoadResult(load, counted)


@contextmanager
def _path(gallery: Path, snr_db: float, max_batch: int | None) -> Iterator[str]:
    """Yields the address of a channel that stands before an access point."""
    arguments = access_point_arguments(gallery)
    if max_batch is not None:
        arguments += ["--max-batch", str(max_batch)]
    with Role("access point", arguments, 300.0) as access_point:
        upstream = f"127.0.0.1:{access_point.ready['grpc_port']}"
        with Role("channel", channel_arguments(upstream, snr_db)) as channel:
            yield f"127.0.0.1:{channel.ready['grpc_port']}"


def _blocks(bundle: Bundle, scheme: str) -> list[uplink_pb2.QueryRequest]:
    with TemporaryDirectory(prefix="airreid-bench-") as folder:
        return make_gallery(Path(folder), bundle, Load(entries=256, scheme=scheme))


def _row(name: str, ours: _LoadResult, peer: _LoadResult, peer_name: str, limit: float) -> Row:
    return row(
        name,
        "queries/s",
        ours.rate,
        peer.rate,
        peer_name,
        limit=limit,
        limit_of="ours",
        repetitions=ours.answers,
        note=ours.note,
    )
