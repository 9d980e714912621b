"""Churn of connections: opening and ending them costs, and is charged to the network that does.

A camera's stream that is open and silent costs nothing, however long. That hundreds of them end at
once, over and over, holds up the event loop that serves all cameras.
"""

from __future__ import annotations

YOUNG_SECONDS = 60.0
"""Age from which the end of a connection or call is free: links fail now and then."""
_COST, _COST_PER_SECOND = 1100.0, 32.0
"""Cost that a network may cause at once, and how much more each second."""
UNHEARD, HEARD, OTHER = 1.0, 1 / 4, 1 / 8
"""Cost of a call that ends without a message; of a connection whose first call ends after one; of
one whose first call is refused, or never came: many that come at once are refused unseen."""
_NETWORKS_MAX = 1024
"""Networks whose cost is remembered."""


class ConnectionChurn:
    """Account of the young connections and calls of each network that ended."""

    def __init__(self) -> None:
        self._levels: dict[str, tuple[float, float]] = {}
        """Cost of each network that is not forgotten, and when it was charged; the network that
        was charged last stands last."""

    def charge(self, network: str, cost: float, now: float) -> bool:
        """Charges a network with what ended; returns whether that is more than it may cost."""
        level, charged_at = self._levels.pop(network, (0.0, now))
        level = max(0.0, level - _COST_PER_SECOND * (now - charged_at)) + cost
        self._levels[network] = min(level, _COST), now
        if len(self._levels) > _NETWORKS_MAX:
            del self._levels[next(iter(self._levels))]
        return level > _COST
