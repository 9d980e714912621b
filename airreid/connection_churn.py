"""Churn of connections: opening and ending them costs, and is charged to the network that does.

A camera's stream that is open and silent costs nothing, however long. That hundreds of them end at
once, over and over, holds up the event loop that serves all cameras.
"""

from __future__ import annotations

YOUNG_SECONDS = 60.0
"""Age from which the end of a connection or call is free: links fail now and then."""
_ENDINGS, _PER_SECOND = 1100.0, 32.0
"""Endings without a message that a network may have at once, and how many more each second."""
_SHARE_OF_OTHERS = 1 / 4
"""Share of such an ending that others count: after a message, or refused, they are cheap."""
_NETWORKS_MAX = 1024
"""Networks whose endings are remembered."""


class ConnectionChurn:
    """Account of the young connections and calls of each network that ended."""

    def __init__(self) -> None:
        self._levels: dict[str, tuple[float, float]] = {}
        """Endings of each network that are not forgotten, and when they were counted; the network
        that was charged last stands last."""

    def charge(self, network: str, unheard: int, others: int, now: float) -> bool:
        """Charges a network with what ended; returns whether that is more than it may.

        ``unheard``: calls that ended without a message, and connections without a call;
        ``others``: connections whose first call ended after a message, or was refused.
        """
        level, counted_at = self._levels.pop(network, (0.0, now))
        level = max(0.0, level - _PER_SECOND * (now - counted_at))
        level += unheard + _SHARE_OF_OTHERS * others
        self._levels[network] = min(level, _ENDINGS), now
        if len(self._levels) > _NETWORKS_MAX:
            del self._levels[next(iter(self._levels))]
        return level > _ENDINGS
