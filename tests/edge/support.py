"""An edge's parts put together for a test, with a quick stand-in for the backbone."""

from __future__ import annotations

import io
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
from PIL import Image

from airreid.bundle import Bundle
from airreid.scheme import BlockCost
from airreid.v1 import common_pb2, uplink_pb2, uplink_pb2_grpc
from edge.airtime import Radio
from edge.encoder import Encoder
from edge.metrics import Metrics
from edge.pipeline import Pipeline
from edge.results import Outcome
from edge.settings import SendSettings
from edge.spool import Spool
from edge.spool_entry import Entry

SENDING = SendSettings(scheme_id="jscc-ae-64", link="analog")


class Quick(Encoder):
    """Features drawn by a seed that the picture gives, in no time. Counts its batches."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle, 1)
        self.batches: list[int] = []
        self.slow = 0.0
        self.fail: Callable[[Image.Image], None] = lambda image: None

    def features(self, images: list[Image.Image], scheme_id: str | None = None) -> np.ndarray:
        time.sleep(self.slow)
        self.batches.append(len(images))
        for image in images:
            self.fail(image)
        seeds = [int(np.asarray(image).sum()) for image in images]
        rows = [np.random.default_rng(seed).standard_normal(2048) for seed in seeds]
        return np.stack(rows).astype(np.float32)


def picture(number: int = 0) -> bytes:
    """A PNG that no other number has."""
    pixels = np.random.default_rng(number).integers(0, 256, (16, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def entry(name: str = "a.png", size: int = 64, file_key: str = "") -> Entry:
    """Makes an entry of the spool: symbols that follow from the name."""
    seed = int.from_bytes(name.encode()[:8], "little")
    symbols = np.random.default_rng(seed).standard_normal(size).astype("<f4")
    block = uplink_pb2.QueryRequest(
        bundle_id="b", scheme_id="s", analog=uplink_pb2.AnalogBlock(symbols=symbols.tobytes())
    )
    return Entry("grpc", name, block, BlockCost(size, 0, 0, 0), 1.5, file_key=file_key)


def answer(spool: Spool, sequence: int, who: str = "alice", code: int = 1) -> Outcome:
    response = uplink_pb2.QueryResponse(id=spool.block_id(sequence))
    response.status.code = code  # type: ignore[assignment]
    response.identities.add(subject=who, score=0.5, entry_id=3, camera="c")
    return Outcome(sequence, response, 2.0)


@contextmanager
def pipeline_on(encoder: Encoder, spool: Spool) -> Iterator[Pipeline]:
    pipeline = Pipeline(encoder, spool, SENDING, Radio(), Metrics())
    try:
        yield pipeline
    finally:
        pipeline.close()


class AccessPoint(uplink_pb2_grpc.UplinkServiceServicer):
    """Answers every block at once, but misbehaves where it is told to."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.tracks: list[str] = []
        self.truths: list[str] = []
        self.settled: list[int] = []
        """Settled numbers that came apart from blocks."""
        self.not_ready = 0
        """Blocks that are answered CODE_NOT_READY, the first ones."""
        self.bundle_id = ""
        """Bundle that is served: blocks of another are answered CODE_WRONG_BUNDLE. Empty: any."""
        self.twice = False
        self.strangers = False
        self.forget: set[int] = set()
        """Numbers whose first block is not answered."""
        self.break_after = 0
        """Ends each stream after so many answers; 0: never."""
        self.gate = threading.Event()
        self.gate.set()

    def Query(self, request_iterator, context):  # type: ignore[no-untyped-def]
        for count in itertools.count(1):
            request = next(request_iterator, None)
            if request is None:
                return
            if request.settled_only:
                self.settled.append(request.settled_below)
                continue
            self.seen.append((request.id.spool_id, request.id.sequence))
            self.tracks.append(request.track_id)
            self.truths.append(request.truth)
            while not self.gate.wait(0.05):
                if not context.is_active():
                    return
            if self.strangers:
                yield uplink_pb2.QueryResponse(id=common_pb2.BlockId(sequence=999))
            if request.id.sequence in self.forget:
                self.forget.remove(request.id.sequence)
                continue
            if self.not_ready:
                self.not_ready -= 1
                response = uplink_pb2.QueryResponse(id=request.id)
                response.status.code = common_pb2.CODE_NOT_READY
                response.status.message = "the gallery is being loaded"
                yield response
                continue
            if self.bundle_id and request.bundle_id != self.bundle_id:
                response = uplink_pb2.QueryResponse(id=request.id)
                response.status.code = common_pb2.CODE_WRONG_BUNDLE
                response.status.message = f"bundle {request.bundle_id} is not the one served"
                yield response
                continue
            for name in ["first", "second"][: 1 + self.twice]:
                response = uplink_pb2.QueryResponse(id=request.id)
                response.status.code = common_pb2.CODE_OK
                response.identities.add(subject=name, score=0.9)
                yield response
            if count == self.break_after:
                context.abort(grpc.StatusCode.UNAVAILABLE, "gone for a while")


@contextmanager
def served(access_point: AccessPoint, port: int = 0) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(8))
    uplink_pb2_grpc.add_UplinkServiceServicer_to_server(access_point, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        access_point.gate.set()
        server.stop(None).wait()


def interruptible(*arguments: object) -> list[str]:
    """Returns the command ``airreid ARGUMENTS...`` that takes interrupts and hangups.

    A shell's background jobs ignore interrupts, ``nohup`` ignores hangups, and both hand that on.
    A ``preexec_fn`` would be run in a fork of this process, which gRPC's threads do not survive.
    """
    code = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        "os.execv(sys.executable, [sys.executable, '-m', 'airreid.cli', *sys.argv[1:]])"
    )
    return [sys.executable, "-c", code, *map(str, arguments)]


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Waits for a condition; fails when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def drop_in(folder: Path, name: str, data: bytes) -> None:
    """Hands a file over the way a detector does: by rename."""
    partial = folder / f".{name}"
    partial.write_bytes(data)
    partial.rename(folder / name)
