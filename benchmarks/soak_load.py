"""Load of a soak: its size, cameras that send, an operator beside them, and what is counted."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

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
from benchmarks.uplink import SENT

_QUERY = "/airreid.v1.UplinkService/Query"
_AGAIN_SECONDS = 1.0
"""Pause before a camera connects again, or sends a block again that was not taken."""
_SETTLE_SECONDS = 180.0
"""Time in the end for everything that waits to be answered."""
FURTHEST_STEP = 12 * 3600.0
"""Seconds by which the wall clock is ahead or behind, at most."""
_KEPT_SECONDS = 10 * FURTHEST_STEP
"""Time for which every other person is to be kept: no step ends it."""
_BROKEN = (grpc.RpcError, aio.UsageError, asyncio.InvalidStateError, TimeoutError)
"""Errors of a stream whose other end is gone."""


class Settings(FrozenModel):
    """Size of a soak."""

    minutes: Annotated[float, Field(gt=0, le=10_000)] = 30.0
    streams: Annotated[int, Field(ge=1, le=1000)] = 300
    blocks_per_second: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Blocks that each camera sends."""
    entries: Annotated[int, Field(ge=SENT, le=1_000_000)] = 2000
    kill_seconds: Annotated[float, Field(ge=1)] = 60.0
    """Time between two kills."""
    step_seconds: Annotated[float, Field(ge=1)] = 45.0
    """Time between two steps of the wall clock."""
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
    clock_steps: int = 0
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

    def __init__(
        self,
        target: str,
        counts: Counts,
        full: threading.Event,
        seed: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock``: wall clock of the access point."""
        self._target, self._counts, self._full = target, counts, full
        self._clock = clock
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
            item = gallery_pb2.EnrollItem(subject=name, camera="c", key="k", feature=feature)
            if self._next % 2:
                item.expires_at.FromSeconds(int(self._clock() + _KEPT_SECONDS))
            items.append(item)
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
