"""Half an hour of everything at once: many cameras, a gallery that changes, kills, a full disk.

Cameras send blocks through the channel simulator to the access point and send again what a kill
left unanswered, as an edge does. An operator enrols, deletes and searches beside them. Each minute
the access point or the channel is killed and started again. What was acknowledged is compared with
what there is in the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import grpc
import numpy as np
from grpc import aio
from pydantic import Field

from airreid import wire
from airreid.bundle import default_bundle_path, load_bundle
from airreid.client import GalleryClient, ok
from airreid.errors import AirReidError
from airreid.proxies import DIRECT
from airreid.v1 import common_pb2, gallery_pb2, uplink_pb2
from airreid.validation import FrozenModel
from benchmarks.processes import rss_mib
from benchmarks.uplink import SENT, Load, make_gallery
from simulation.processes import Role

SMALL_DISK = 2 << 30
"""Free bytes of a disk up to which it is filled."""
_QUERY = "/airreid.v1.UplinkService/Query"
_AGAIN_SECONDS = 1.0
"""Pause before a camera connects again, or sends a block again that was not taken."""
_SETTLE_SECONDS = 180.0
"""Time in the end for everything that waits to be answered."""
_FULL_SECONDS = 20.0
_BROKEN = (grpc.RpcError, aio.UsageError, asyncio.InvalidStateError, TimeoutError)
"""Errors of a stream whose other end is gone."""
_SNR_DB = 40.0


class Settings(FrozenModel):
    """Size of a soak."""

    minutes: Annotated[float, Field(gt=0, le=10_000)] = 30.0
    streams: Annotated[int, Field(ge=1, le=1000)] = 300
    blocks_per_second: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Blocks that each camera sends."""
    entries: Annotated[int, Field(ge=SENT, le=1_000_000)] = 2000
    kill_seconds: Annotated[float, Field(ge=1)] = 60.0
    """Time between two kills."""
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass
class Counts:
    """Counts of a soak, of all threads; those in the second part must be zero."""

    blocks: int = 0
    answers: int = 0
    sent_again: int = 0
    enrolled: int = 0
    deleted: int = 0
    searches: int = 0
    refused: int = 0
    """Changes and searches that were told to come again, or fell into a kill."""
    refused_when_full: int = 0
    """Enrolments that were refused while the disk was full."""
    kills: int = 0
    codes: Counter[str] = field(default_factory=Counter)

    lost_blocks: int = 0
    doubled_answers: int = 0
    """Blocks that were answered twice on one stream."""
    wrong_answers: int = 0
    lost_entries: int = 0
    """People whose enrolment was acknowledged and who are not there in the end."""
    deleted_and_back: int = 0
    doubled_entries: int = 0
    not_found: int = 0
    """Searches of a person who was there that named another, or nobody."""

    def faults(self) -> dict[str, int]:
        """Returns the counts that are not zero and must be."""
        names = list(self.__dataclass_fields__)
        held = {name: getattr(self, name) for name in names[names.index("lost_blocks") :]}
        return {name: count for name, count in held.items() if count}


class Services:
    """An access point and a channel before it, on ports that stay theirs."""

    def __init__(self, folder: Path) -> None:
        ap, http, channel = (_free_port() for _ in range(3))
        self.ap, self.channel = f"127.0.0.1:{ap}", f"127.0.0.1:{channel}"
        serve = ["ap", "serve", "--data-dir", str(folder / "data"), "--grpc", self.ap]
        forward = ["channel", "serve", "--listen", self.channel, "--upstream", self.ap]
        self._arguments = {
            "access point": [*serve, "--http", f"127.0.0.1:{http}"],
            "channel": [*forward, "--snr", f"{_SNR_DB:g}"],
        }
        self._roles: dict[str, Role] = {}
        for name in self._arguments:
            self.start(name)

    def start(self, name: str) -> None:
        self._roles[name] = Role(name, self._arguments[name], 300.0)

    def kill(self, name: str) -> None:
        role = self._roles[name]
        role.process.kill()
        role.stop()

    def memory(self) -> dict[str, float]:
        """Returns MiB of each process that runs."""
        held = {}
        for name, role in list(self._roles.items()):
            with contextlib.suppress(OSError):
                held[name] = rss_mib(role.process.pid)
        return held

    def stop(self) -> None:
        for role in self._roles.values():
            role.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Camera:
    """One edge: sends blocks at its pace, and again until each has been answered."""

    def __init__(self, number: int, blocks: list[bytes], truths: list[str], counts: Counts) -> None:
        self._number, self._blocks, self._truths = number, blocks, truths
        self._counts = counts
        self._waiting: dict[int, bool] = {}
        """Blocks without an answer, and whether each is to be sent on this stream."""
        self._last = 0

    async def run(self, target: str, settings: Settings, until: float) -> None:
        """Sends until the time is over, and then until everything is answered."""
        end = until + _SETTLE_SECONDS
        adding = asyncio.create_task(self._add(settings, until))
        while time.monotonic() < until or (self._waiting and time.monotonic() < end):
            with contextlib.suppress(*_BROKEN):
                await self._stream(target, until, end)
            await asyncio.sleep(_AGAIN_SECONDS)
        await adding
        self._counts.blocks += self._last
        self._counts.lost_blocks += len(self._waiting)

    async def _add(self, settings: Settings, until: float) -> None:
        rng = random.Random(self._number)
        await asyncio.sleep(rng.random() / settings.blocks_per_second)
        while time.monotonic() < until:
            self._last += 1
            self._waiting[self._last] = True
            await asyncio.sleep(rng.uniform(0.5, 1.5) / settings.blocks_per_second)

    async def _stream(self, target: str, until: float, end: float) -> None:
        self._counts.sent_again += sum(not due for due in self._waiting.values())
        self._waiting = dict.fromkeys(self._waiting, True)
        answered: set[int] = set()
        options = [("grpc.use_local_subchannel_pool", 1), DIRECT]
        async with aio.insecure_channel(target, options=options) as channel:
            await asyncio.wait_for(channel.channel_ready(), 10.0)
            call: aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(_QUERY)()
            reader = asyncio.create_task(self._read(call, answered))
            try:
                while not reader.done() and time.monotonic() < end:
                    if time.monotonic() >= until and not self._waiting:
                        await call.done_writing()
                        await asyncio.wait_for(reader, 10.0)
                        return
                    for sequence in [number for number, due in self._waiting.items() if due]:
                        if sequence in self._waiting:
                            self._waiting[sequence] = False
                            await call.write(self._message(sequence))
                    await asyncio.sleep(0.05)
            finally:
                reader.cancel()
                with contextlib.suppress(asyncio.CancelledError, *_BROKEN):
                    await reader

    def _message(self, sequence: int) -> bytes:
        name = common_pb2.BlockId(edge_id=f"edge-{self._number}", spool_id="s", sequence=sequence)
        head = uplink_pb2.QueryRequest(id=name, settled_below=min(self._waiting, default=0))
        # Two serialised messages one after the other are the two merged.
        return head.SerializeToString() + self._blocks[(sequence + self._number) % SENT]

    async def _read(self, call: aio.StreamStreamCall[bytes, bytes], answered: set[int]) -> None:
        async for data in call:
            answer = uplink_pb2.QueryResponse.FromString(data)
            sequence, code = answer.id.sequence, answer.status.code
            self._counts.codes[common_pb2.Code.Name(code)] += 1
            if code == common_pb2.CODE_NOT_READY:
                asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._again, sequence)
                continue
            self._counts.doubled_answers += sequence in answered
            answered.add(sequence)
            truth = self._truths[(sequence + self._number) % SENT]
            right = answer.identities and answer.identities[0].subject == truth
            self._counts.wrong_answers += code != common_pb2.CODE_OK or not right
            self._counts.answers += self._waiting.pop(sequence, None) is not None

    def _again(self, sequence: int) -> None:
        if sequence in self._waiting:
            self._waiting[sequence] = True
            self._counts.sent_again += 1


class Operator:
    """Enrols, deletes and searches, and keeps a list of what was acknowledged."""

    def __init__(self, target: str, counts: Counts, full: threading.Event, seed: int) -> None:
        self._target, self._counts, self._full = target, counts, full
        self._rng = np.random.default_rng([seed, 1])
        backbone = load_bundle(default_bundle_path()).backbone
        self._space, self._dim = backbone.space_id, backbone.feature_dim
        self._there: dict[str, gallery_pb2.Feature] = {}
        self._deleted: set[str] = set()
        self._next = 0

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(0.2):
            for change in (self._enrol, self._delete, self._search):
                try:
                    with GalleryClient(self._target) as client:
                        change(client)
                except AirReidError:
                    self._counts.refused += 1

    def _enrol(self, client: GalleryClient) -> None:
        items = []
        for _ in range(4):
            values = wire.to_bytes(self._rng.standard_normal(self._dim).astype(np.float32))
            feature = gallery_pb2.Feature(space_id=self._space, values=values)
            self._next += 1
            name = f"new-{self._next}"
            items.append(gallery_pb2.EnrollItem(subject=name, camera="c", key="k", feature=feature))
        full = self._full.is_set()
        try:
            for item, result in client.enrol(iter(items)):
                if ok(result.status):
                    self._there[item.subject] = item.feature
                    self._counts.enrolled += 1
                else:
                    self._counts.refused_when_full += full
        except AirReidError:
            self._counts.refused_when_full += full
            raise

    def _delete(self, client: GalleryClient) -> None:
        if len(self._there) > 40:
            name = str(self._rng.choice(list(self._there)))
            del self._there[name]  # a kill may leave it either way
            client.delete_subject(name)
            self._deleted.add(name)
            self._counts.deleted += 1

    def _search(self, client: GalleryClient) -> None:
        if self._there:
            name = str(self._rng.choice(list(self._there)))
            request = gallery_pb2.SearchRequest(
                feature=self._there[name], top_k=1, scheme_id="features"
            )
            answer = client.search(request)
            self._counts.not_found += [hit.subject for hit in answer.subjects] != [name]
            self._counts.searches += 1

    def compare(self) -> None:
        """Compares what there is with what was acknowledged."""
        with GalleryClient(self._target) as client:
            entries = Counter(entry.subject for entry in client.entries())
        self._counts.lost_entries = len(self._there.keys() - entries.keys())
        self._counts.deleted_and_back = len(self._deleted & entries.keys())
        self._counts.doubled_entries = sum(count > 1 for count in entries.values())


@contextlib.contextmanager
def _filled(folder: Path, full: threading.Event) -> Iterator[bool]:
    """Fills the disk of a folder if it is a small one; yields whether it did."""
    filler = folder / "filler"
    small = shutil.disk_usage(folder).free <= SMALL_DISK
    try:
        if small:
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 16))
            full.set()
        yield small
    finally:
        full.clear()
        filler.unlink(missing_ok=True)


def run(settings: Settings, folder: Path, tick: Callable[[float], object]) -> dict[str, Any]:
    """Runs a soak. ``tick`` is given the share of its time that is over.

    The disk is filled for some seconds in the middle, unless it has more than ``SMALL_DISK`` free.
    Returns what reproduces it, its counts and its figures.
    """
    counts, full, stop = Counts(), threading.Event(), threading.Event()
    bundle = load_bundle(default_bundle_path())
    load = Load(streams=1, entries=settings.entries, seed=settings.seed)
    (folder / "data").mkdir()
    blocks = make_gallery(folder / "data", bundle, load)
    services = Services(folder)
    started, until = time.monotonic(), time.monotonic() + 60 * settings.minutes
    operator = Operator(services.ap, counts, full, settings.seed)
    rss: list[dict[str, float]] = []
    pool = ThreadPoolExecutor(2)
    working = [
        pool.submit(operator.run, stop),
        pool.submit(_cameras(settings, services, blocks, counts, until)),
    ]
    filled: bool | None = None
    try:
        next_kill, turn = started + settings.kill_seconds, 0
        while (now := time.monotonic()) < until:
            rss.append(services.memory())
            tick((now - started) / (until - started))
            if now >= next_kill and now + 10 < until:
                name = ("access point", "channel")[turn % 2]
                services.kill(name)
                services.start(name)
                counts.kills += 1
                next_kill, turn = time.monotonic() + settings.kill_seconds, turn + 1
            if filled is None and now > (started + until) / 2:
                with _filled(folder, full) as filled:
                    time.sleep(min(_FULL_SECONDS, 15 * settings.minutes) if filled else 0.0)
            time.sleep(1.0)
        stop.set()
        for work in working:
            work.result()
        operator.compare()
    finally:
        stop.set()
        services.stop()
        pool.shutdown()
    return _report(settings, counts, rss, bool(filled))


def _cameras(
    settings: Settings,
    services: Services,
    blocks: list[uplink_pb2.QueryRequest],
    counts: Counts,
    until: float,
) -> Callable[[], None]:
    bodies = [block.SerializeToString() for block in blocks]
    truths = [block.truth for block in blocks]

    async def send() -> None:
        cameras = [Camera(number, bodies, truths, counts) for number in range(settings.streams)]
        await asyncio.gather(*(camera.run(services.channel, settings, until) for camera in cameras))

    return lambda: asyncio.run(send())


def _report(
    settings: Settings, counts: Counts, rss: list[dict[str, float]], filled: bool
) -> dict[str, Any]:
    quarter = max(1, len(rss) // 4)
    memory = {}
    for name in ("access point", "channel"):
        series = [sample[name] for sample in rss if name in sample]
        early, late = (
            float(np.median([sample[name] for sample in part if name in sample] or [0]))
            for part in (rss[quarter : 2 * quarter], rss[-quarter:])
        )
        memory[name] = {
            "second_quarter_mib": round(early, 1),
            "last_quarter_mib": round(late, 1),
            "most_mib": round(max(series, default=0.0), 1),
        }
    return {
        "settings": settings.model_dump() | {"cpu_count": os.cpu_count()},
        "disk_was_full": filled,
        "load_average": round(os.getloadavg()[0], 1),
        "counts": vars(counts) | {"codes": dict(counts.codes)},
        "faults": counts.faults(),
        "memory": memory,
    }


def as_text(report: dict[str, Any]) -> str:
    """Formats a report as JSON."""
    return json.dumps(report, indent=2) + "\n"
