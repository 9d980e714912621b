"""Open streams by camera: one that opens many takes its own places, and nobody else's."""

from __future__ import annotations

from collections import deque

from accesspoint.receiver.outbox import Outbox
from accesspoint.receiver.pipeline import Ticket


class CameraStreams:
    """Streams that have sent a block of their camera's, the oldest first; in one event loop."""

    def __init__(self, most: int) -> None:
        """``most``: streams of one camera."""
        self._most = most
        self._streams: dict[str, deque[Outbox[Ticket]]] = {}

    def add(self, edge_id: str, outbox: Outbox[Ticket]) -> Outbox[Ticket] | None:
        """Adds a camera's stream; returns the one that is to end for it, if there are too many."""
        streams = self._streams.setdefault(edge_id, deque())
        streams.append(outbox)
        return self.pop_oldest(edge_id) if len(streams) > self._most else None

    def pop_oldest(self, edge_id: str) -> Outbox[Ticket] | None:
        """Removes a camera's oldest stream, which is likely dead; returns it."""
        streams = self._streams.get(edge_id)
        if not streams:
            return None
        oldest = streams.popleft()
        if not streams:
            del self._streams[edge_id]
        return oldest

    def remove(self, edge_id: str, outbox: Outbox[Ticket]) -> None:
        """Removes a stream that has ended, if it is there."""
        streams = self._streams.get(edge_id)
        if streams is not None and outbox in streams:
            streams.remove(outbox)
            if not streams:
                del self._streams[edge_id]
