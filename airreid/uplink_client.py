"""The stream to the channel or the access point, with a bounded number of blocks under way."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import grpc

from airreid.client import Connection
from airreid.credentials import NOBODY, ClientCredentials
from airreid.errors import LinkError
from airreid.v1 import uplink_pb2, uplink_pb2_grpc


@dataclass(frozen=True)
class Answer:
    """Answer to a block."""

    response: uplink_pb2.QueryResponse
    latency_ms: float
    """From handing the block to the stream until its answer was read."""


class _Credits:
    """Blocks that may still be sent unanswered."""

    def __init__(self, window: int) -> None:
        self._own = self._window = window
        self._unanswered = 0
        self._changed = threading.Condition()

    def take(self, seconds: float) -> bool:
        """Waits for leave to send a block; False if there was none within ``seconds``."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._unanswered < self._window, seconds):
                return False
            self._unanswered += 1
            return True

    def give_back(self) -> None:
        """A block has been answered."""
        with self._changed:
            self._unanswered -= 1
            self._changed.notify()

    def heard(self, window: int) -> None:
        """The other end takes ``window`` from now on; 0 says nothing."""
        if window and window != self._window:
            with self._changed:
                self._window = min(self._own, window)
                self._changed.notify()


class Uplink(Connection):
    """A connection to a service that speaks UplinkService; use as a context manager."""

    def __init__(
        self,
        target: str,
        connect_seconds: float = 10.0,
        credentials: ClientCredentials = NOBODY,
    ) -> None:
        """Raises :class:`LinkError` when nothing answers at ``target`` (HOST:PORT)."""
        super().__init__(target, connect_seconds, credentials)
        self._stub = uplink_pb2_grpc.UplinkServiceStub(self._channel)

    def close(self) -> None:
        """Breaks the stream off, from any thread."""
        self._channel.close()

    def query(
        self,
        blocks: Iterable[uplink_pb2.QueryRequest],
        window: int = 4,
        answer_seconds: float | None = None,
    ) -> Iterator[Answer]:
        """Streams blocks and yields their answers as they come.

        At most ``window`` blocks are unanswered at any time, and no more than the other end
        last said it takes. A message that only settles blocks counts for nothing. Raises
        :class:`LinkError` when the stream breaks, and when a block has no answer after
        ``answer_seconds`` (None: waits for ever).
        """
        free = _Credits(window)
        sent: dict[int, float] = {}
        stop = threading.Event()
        failed: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

        def outgoing() -> Iterator[uplink_pb2.QueryRequest]:
            try:
                for block in blocks:
                    if not block.settled_only:
                        while not free.take(0.5):
                            if stop.is_set():
                                return
                        sent[block.id.sequence] = time.perf_counter()
                    yield block
            except BaseException as error:  # gRPC would swallow it
                failed.put(error)

        def watch() -> None:
            """Ends a stream on which an answer does not come: the other end may be gone."""
            assert answer_seconds is not None
            while not stop.wait(min(1.0, answer_seconds / 4)):
                oldest = min(list(sent.values()), default=None)
                if oldest is not None and time.perf_counter() - oldest > answer_seconds:
                    silent.set()
                    call.cancel()
                    return

        silent = threading.Event()
        call = self._stub.Query(outgoing())
        if answer_seconds is not None:
            threading.Thread(target=watch, name="uplink-watch", daemon=True).start()
        try:
            for response in call:
                free.heard(response.window)
                started = sent.pop(response.id.sequence, None)
                if started is None:  # nobody asked, or it was answered before: no credit
                    started = time.perf_counter()
                else:
                    free.give_back()
                yield Answer(response, (time.perf_counter() - started) * 1e3)
            if not failed.empty():
                raise failed.get()
        except grpc.RpcError as error:
            if silent.is_set():
                raise LinkError(
                    f"{self._target}: a block had no answer within {answer_seconds:g} s"
                ) from None
            details = error.details() if isinstance(error, grpc.Call) else str(error)
            raise LinkError(f"{self._target}: the stream broke: {details}") from None
        finally:
            stop.set()
            call.cancel()
