"""Answers of gRPC calls that their callers do not read: they wait in memory, and are counted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from airreid.port_sockets import Peer

ANSWER_SECONDS = 60.0
"""Time for which an answer may wait for a caller who does not read it."""
ANSWERS_BYTES, CONNECTION_BYTES = 64 << 20, 8 << 20
"""Bytes of all answers that wait, and of those of one connection."""
_CALL_BYTES = 16 << 10
"""Bytes that a call takes beside its answer."""


class UnreadAnswers:
    """Answers on their way by connection. The event loop writes, a watch reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[float, Peer, int]] = {}
        """Start, connection and bytes of each answer, the oldest first."""
        self._next = 0

    def add(self, peer: Peer, length: int) -> Callable[[], None]:
        """Counts an answer; returns what is to be called once it was taken, or its call is over."""
        size = length + _CALL_BYTES
        with self._lock:
            self._next += 1
            number = self._next
            self._waiting[number] = time.monotonic(), peer, size

        def taken() -> None:
            with self._lock:
                self._waiting.pop(number, None)

        return taken

    def overdue(self, now: float) -> list[Peer]:
        """Returns the connections to end.

        They are those with an answer that waits for too long, and of those that hold too much the
        one that holds most: what ends with it takes its time. Where all together hold twice what
        they may, it is as many as that takes.
        """
        held: Counter[Peer] = Counter()
        with self._lock:
            waiting = list(self._waiting.values())
        for _, peer, size in waiting:
            held[peer] += size
        overdue = {peer: None for since, peer, _ in waiting if now - since > ANSWER_SECONDS}
        in_all = sum(held.values())
        for peer, size in held.most_common():
            if size <= CONNECTION_BYTES and in_all <= ANSWERS_BYTES:
                break
            overdue[peer] = None
            in_all -= size
            if in_all <= 2 * ANSWERS_BYTES:
                break
        return list(overdue)
