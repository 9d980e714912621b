"""Networks that a port refuses: for longer each time."""

from __future__ import annotations

from typing import NamedTuple

from airreid.port_sockets import BANS_MAX

SHORT_SECONDS, LONG_SECONDS = 5.0, 60.0
"""Shortest refusal and longest one."""
_REMEMBERED_SECONDS = 300.0
"""Time after the end of a refusal within which the next one is twice as long."""


class _Refusal(NamedTuple):
    until: float
    seconds: float


class RefusedNetworks:
    """Account of which networks are refused, and until when."""

    def __init__(self) -> None:
        self._refusals: dict[str, _Refusal] = {}
        """Refusals that are in force or remembered; the one that began last stands last."""

    def refuse(self, network: str, at_least: float, now: float) -> float | None:
        """Refuses a network for ``at_least`` so many seconds, twice as long as the last time.

        Returns for how many seconds; None where it is refused already: that begins anew.
        """
        before = self._refusals.pop(network, None)
        in_force = before is not None and now < before.until
        seconds = at_least
        if before is not None:
            longer = before.seconds if in_force else 2 * before.seconds
            seconds = min(max(longer, at_least), LONG_SECONDS)
        self._refusals[network] = _Refusal(now + seconds, seconds)
        if len(self._refusals) > BANS_MAX:
            del self._refusals[next(iter(self._refusals))]
        return None if in_force else seconds

    def at(self, now: float) -> list[str]:
        """Returns the networks that are refused at a time; forgets what was long ago."""
        self._refusals = {
            network: refusal
            for network, refusal in self._refusals.items()
            if now < refusal.until + _REMEMBERED_SECONDS
        }
        return [network for network, refusal in self._refusals.items() if now < refusal.until]
