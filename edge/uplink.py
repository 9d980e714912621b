"""The stream to the channel or the access point, with a bounded number of blocks under way."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import grpc

from airreid.client import Connection
from airreid.errors import LinkError
from airreid.v1 import uplink_pb2, uplink_pb2_grpc


@dataclass(frozen=True)
class Answer:
    """What came back for a block."""

    response: uplink_pb2.QueryResponse
    latency_ms: float
    """From handing the block to the stream until its answer was read."""


class Uplink(Connection):
    """A connection to a service that speaks UplinkService; use as a context manager."""

    def __init__(self, target: str, connect_seconds: float = 10.0) -> None:
        """Raises :class:`LinkError` when nothing answers at ``target`` (HOST:PORT)."""
        super().__init__(target, connect_seconds)
        self._stub = uplink_pb2_grpc.UplinkServiceStub(self._channel)

    def query(self, blocks: Iterable[uplink_pb2.QueryRequest], window: int = 4) -> Iterator[Answer]:
        """Streams blocks and yields their answers as they come.

        At most ``window`` blocks are unanswered at any time. Raises :class:`LinkError`
        when the stream breaks.
        """
        free = threading.Semaphore(window)
        sent: dict[int, float] = {}
        stop = threading.Event()
        failed: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

        def outgoing() -> Iterator[uplink_pb2.QueryRequest]:
            try:
                for block in blocks:
                    while not free.acquire(timeout=0.5):
                        if stop.is_set():
                            return
                    sent[block.id.sequence] = time.perf_counter()
                    yield block
            except BaseException as error:  # gRPC would swallow it
                failed.put(error)

        call = self._stub.Query(outgoing())
        try:
            for response in call:
                free.release()
                started = sent.pop(response.id.sequence, time.perf_counter())
                yield Answer(response, (time.perf_counter() - started) * 1e3)
            if not failed.empty():
                raise failed.get()
        except grpc.RpcError as error:
            details = error.details() if isinstance(error, grpc.Call) else str(error)
            raise LinkError(f"{self._target}: the stream broke: {details}") from None
        finally:
            stop.set()
            call.cancel()
