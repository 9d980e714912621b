"""Ways to an access point that misbehave: a wire that is cut, a relay that doubles and swaps."""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

SERVICE, METHOD = "airreid.v1.UplinkService", "Query"
HELD_SECONDS = 0.05
"""Longest time that a message waits for one that overtakes it."""


class CutWire:
    """TCP port that passes everything on, until all its connections are cut."""

    def __init__(self, port: int) -> None:
        """``port``: where connections are passed on to."""
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.cuts = 0
        """Connections that were cut."""
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Cuts every connection."""
        with self._lock:
            ends, self._open = self._open, set()
        self.cuts += len(ends) // 2  # two ends each
        for end in ends:
            _close(end)

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return bool(self._open)

    def close(self) -> None:
        _close(self._listener)
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._to))
                except OSError:
                    near.close()
                    continue
                with self._lock:
                    self._open |= {near, far}
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        with self._lock:
            self._open -= {source, sink}
        for end in (source, sink):
            _close(end)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


class UnrulyRelay:
    """Uplink that passes streams on, with messages of both ways doubled and out of order."""

    def __init__(self, port: int, faults: float, seed: int) -> None:
        """``faults``: probability that a message is doubled, and that the next overtakes it."""
        self._upstream = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._query: Any = self._upstream.stream_stream(f"/{SERVICE}/{METHOD}")
        self._faults = faults
        self._rng = random.Random(seed)
        self.did: Counter[str] = Counter()
        """Messages by what was done to them."""
        self._server = grpc.server(ThreadPoolExecutor(16))
        handler: Any = grpc.stream_stream_rpc_method_handler(self._relay)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),)
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def close(self) -> None:
        self._server.stop(None).wait()
        self._upstream.close()

    def _relay(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        call: Any = self._query(self._upset(_while_there(requests), "block"))
        context.add_callback(call.cancel)
        try:
            yield from self._upset(call, "answer")
        except grpc.RpcError as error:
            code: Any = error
            context.abort(code.code(), "the other end is gone")

    def _upset(self, messages: Iterable[bytes], what: str) -> Iterator[bytes]:
        """Yields messages, some of them twice and some after the next one."""
        arriving: queue.Queue[Callable[[], bytes | None]] = queue.Queue()
        threading.Thread(target=_read, args=(messages, arriving), daemon=True).start()
        held: bytes | None = None
        while True:
            try:
                message = arriving.get(timeout=None if held is None else HELD_SECONDS)()
            except queue.Empty:
                assert held is not None
                yield held
                held = None
                continue
            if message is None:
                break
            if held is None and self._rng.random() < self._faults:
                held = message
                continue
            yield message
            if self._rng.random() < self._faults:
                self.did[f"{what} doubled"] += 1
                yield message
            if held is not None:
                self.did[f"{what} overtaken"] += 1
                yield held
                held = None
        if held is not None:
            yield held


def _while_there(requests: Iterable[bytes]) -> Iterator[bytes]:
    """Yields what a client sends, until it ends or is gone."""
    with contextlib.suppress(grpc.RpcError):
        yield from requests


def _read(messages: Iterable[bytes], arriving: queue.Queue[Callable[[], bytes | None]]) -> None:
    """Puts what gives each message, then what gives None or raises."""
    try:
        for message in messages:
            arriving.put(lambda message=message: message)  # type: ignore[misc]
    except grpc.RpcError as error:
        arriving.put(lambda error=error: _raise(error))  # type: ignore[misc]
    else:
        arriving.put(lambda: None)


def _raise(error: Exception) -> bytes | None:
    raise error
