"""Wait for an answer over a slow link: a camera in pieces beside one that sends whole blocks.

Both are real edges behind one channel, which takes its time for symbols and words. Their blocks go
out in turns, each after the answer to the one before.
"""

from __future__ import annotations

import queue
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import numpy as np

from airreid.errors import LinkError
from airreid.link_report import ReportedLink
from airreid.scheme import BlockCost
from airreid.uplink_client import Uplink
from airreid.v1 import common_pb2, uplink_pb2
from benchmarks.processes import channel_arguments
from edge.airtime import Radio, pacing_of
from edge.results import Outcome
from edge.spool import Spool
from edge.spool_entry import Entry
from edge.uplink_stream import UplinkStream
from simulation.processes import Role

_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class SlowLink:
    """A link that takes its time."""

    round_trip_ms: float
    symbol_rate: float
    """Real channel uses per second."""


@dataclass(frozen=True)
class Waits:
    """Blocks of one camera that were answered."""

    milliseconds: float
    """Mean time from a block's first symbol to its answer."""
    uses: float
    """Mean channel uses of a block."""


class _Camera:
    """A camera's spool and stream, without images."""

    def __init__(self, name: str, uplink: Uplink, symbol_rate: float) -> None:
        self._spool = Spool(None, name, 16)
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._stream = UplinkStream(
            self._spool,
            Counter(),
            self._outcomes.put,
            lambda outcome, news: None,
            1.0,
            random.Random(0),
            ReportedLink(),
            pacing=pacing_of(Radio(symbol_rate=symbol_rate)),
        )
        self._spool.on_accept(self._stream.notify)
        self._thread = threading.Thread(
            target=self._stream.run, args=(uplink, 1, _PATIENCE_SECONDS), daemon=True
        )
        self._thread.start()

    def send(self, block: uplink_pb2.QueryRequest, uses: int) -> Outcome:
        """Sends a block and waits for its answer. Raises :class:`LinkError` without one."""
        self._spool.accept([Entry("bench", "", block, BlockCost(uses, 0, 0, 0), 0.0)])
        try:
            outcome = self._outcomes.get(timeout=_PATIENCE_SECONDS)
        except queue.Empty:
            raise LinkError(f"no answer within {_PATIENCE_SECONDS:g} s") from None
        if outcome.response.status.code != common_pb2.CODE_OK:
            raise LinkError(outcome.message)
        self._spool.settle([outcome])
        return outcome

    def close(self) -> None:
        """Ends the stream."""
        self._stream.end()
        self._thread.join(_PATIENCE_SECONDS)
        self._spool.close()


@contextmanager
def _cameras(target: str, symbol_rate: float, *names: str) -> Iterator[list[_Camera]]:
    with Uplink(target) as first, Uplink(target) as second:
        cameras = [
            _Camera(name, uplink, symbol_rate)
            for name, uplink in zip(names, (first, second), strict=True)
        ]
        with closing(cameras[0]), closing(cameras[1]):
            yield cameras


def measure_waits(
    target: str,
    blocks: Sequence[uplink_pb2.QueryRequest],
    bandwidth: int,
    snr_db: float,
    count: int,
    slow: SlowLink,
) -> tuple[Waits, Waits]:
    """Returns the waits of a camera in pieces and of one that sends whole blocks.

    ``target``: the access point. ``blocks``: whole ones, of which ``count`` go out from each.
    """
    arguments = [
        *channel_arguments(target, snr_db),
        *("--round-trip-ms", f"{slow.round_trip_ms}", "--symbol-rate", f"{slow.symbol_rate}"),
    ]
    times: dict[bool, list[float]] = {True: [], False: []}
    uses: dict[bool, list[int]] = {True: [], False: []}
    with Role("channel", arguments) as role:
        address = f"127.0.0.1:{role.ready['grpc_port']}"
        with _cameras(address, slow.symbol_rate, "pieces", "whole") as cameras:
            for number in range(count):
                for in_pieces, camera in zip((True, False), cameras, strict=True):
                    block = uplink_pb2.QueryRequest()
                    block.CopyFrom(blocks[number % len(blocks)])
                    block.more_available = block.report_wanted = in_pieces
                    outcome = camera.send(block, bandwidth)
                    times[in_pieces].append(outcome.link_ms)
                    uses[in_pieces].append(outcome.response.uses_heard)
    pieces, whole = (
        Waits(float(np.mean(times[way])), float(np.mean(uses[way]))) for way in (True, False)
    )
    return pieces, whole
