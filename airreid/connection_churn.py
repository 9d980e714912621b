"""Churn of connections: opening and ending them costs, and is charged to the network that does.

A camera's stream that is open and silent costs nothing, however long. That hundreds of them end at
once, over and over, holds up the event loop that serves all cameras.
"""

from __future__ import annotations

from airreid.decaying_counts import DecayingCounts

YOUNG_SECONDS = 60.0
"""Age from which the end of a connection or call is free: links fail now and then."""
_COST, _COST_PER_SECOND = 1100.0, 32.0
"""Cost that a network may cause at once, and how much more each second."""
UNHEARD, HEARD, OTHER = 1.0, 1 / 4, 1 / 8
"""Cost of a call that ends without a message; of a connection whose first call ends after one; of
one whose first call is refused, or never came: many that come at once are refused unseen."""


class ConnectionChurn:
    """Account of the young connections and calls of each network that ended."""

    def __init__(self) -> None:
        self._costs = DecayingCounts(_COST_PER_SECOND, _COST)

    def charge(self, network: str, cost: float, now: float) -> bool:
        """Charges a network with what ended; returns whether that is more than it may cost."""
        return self._costs.add(network, cost, now) > _COST
