"""Watch over the connections of a gRPC port: one that brings much and says nothing is ended.

gRPC's C library handles frames without a message (SETTINGS, PING, empty DATA, headers without an
end, calls that are reset) by itself, in few threads, of which each such connection keeps one busy:
cameras then wait for seconds. All that Python can see of it is that a connection has brought more
bytes than its messages explain.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping

from airreid import log
from airreid.connection_churn import OTHER, YOUNG_SECONDS, ConnectionChurn
from airreid.counted_calls import CountedCalls, Progress
from airreid.port_sockets import BANS_MAX, Connection, PortSockets, network_of
from airreid.refused_networks import LONG_SECONDS, SHORT_SECONDS, RefusedNetworks

_FREE_BYTES = 96 << 10
"""Bytes that a connection may bring beyond what its messages explain; a stream that is refused has
64 KiB on its way already."""
_FREE_BYTES_OF_MANY, _FREE_BYTES_OF_ALL = 16 << 10, 512 << 10
"""The same where such bytes of all connections are more: many flood slowly, each of them."""
_FREE_BYTES_PER_SECOND = 8 << 10
"""Bytes of that kind that are forgotten in a second."""
_MESSAGES_UNDER_WAY = 16
"""Longest messages that may be on their way on one connection at once."""
_BROKEN_OFF_PER_SECOND = 1 << 20
"""Bytes of messages that break off, forgiven in a second."""
_REFUSED, _REFUSED_PER_SECOND = 128.0, 10.0
"""Calls of a connection that may be refused, and how many more of them each second."""
_LOOK_SECONDS, _LOOK_SHARE = 0.1, 50
"""Time between two looks, and at least so many times what a look takes."""
_LOOKS = 5
"""Looks at which bytes beyond the free ones have become more, before it is a flood. Those of a call
that has not begun, because the machine is busy, become more until the window is full."""
_STRIKES, _STRIKE_SECONDS = 3, 30.0
"""Connections of one network that are ended within a time, before it is refused."""


class _Account:
    """Account of one connection in the watch."""

    def __init__(self, connection: Connection, forgivable: float, now: float) -> None:
        self.connection = connection
        self._most_forgivable = self._forgivable = forgivable
        """Bytes of messages that may break off."""
        self._forgiven = 0.0
        self._broken_off = self._refused = 0
        """Numbers of the connection's progress at the last look."""
        self._refusals = 0.0
        """Refused calls, less those that are forgotten."""
        self.found_at = self._looked_at = now
        self._excess, self._rises = 0.0, 0

    def floods(self, excess: float, free: float) -> bool:
        """Returns whether bytes that nothing explains came on and on, look after look."""
        if excess <= free:
            self._rises = 0
        elif excess > self._excess:
            self._rises += 1
        self._excess = excess
        return excess == math.inf or self._rises >= _LOOKS

    def look(self, received: int, progress: Progress, under_way: int, now: float) -> float:
        """Returns the bytes that a connection has brought for nothing that is known of; with too
        many refused calls that is without end."""
        seconds, self._looked_at = now - self._looked_at, now
        broken_off, self._broken_off = progress.broken_off - self._broken_off, progress.broken_off
        refused, self._refused = progress.refused - self._refused, progress.refused
        self._refusals = max(0.0, self._refusals - _REFUSED_PER_SECOND * seconds) + refused
        unexplained = max(0.0, received - progress.explained - self._forgiven)
        self._forgivable = min(
            self._forgivable + _BROKEN_OFF_PER_SECOND * seconds, self._most_forgivable
        )
        forgiven = min(broken_off, self._forgivable, unexplained)
        self._forgivable -= forgiven
        forgiven += min(_FREE_BYTES_PER_SECOND * seconds, unexplained - forgiven)
        self._forgiven += forgiven
        return math.inf if self._refusals > _REFUSED else unexplained - forgiven - under_way


class FloodWatch:
    """Ends connections of a port that bring more than their messages explain; a context manager.

    A network of which several were ended is refused for a while, as is one that opens and ends
    connections over and over (:class:`ConnectionChurn`); its other connections go on.
    """

    def __init__(
        self, port: int, calls: CountedCalls, message_bytes: int, sockets: PortSockets | None = None
    ) -> None:
        self._port = port
        self._calls = calls
        self._message_bytes = message_bytes
        self._sockets = sockets or PortSockets(port)
        self._accounts: dict[int, _Account] = {}
        """Accounts by the inode of their connection."""
        self._ended: dict[str, deque[float]] = {}
        """Times at which connections of a network were ended."""
        self._churn = ConnectionChurn()
        self._refusals = RefusedNetworks()
        self._refused: list[str] = []
        """Networks that the sockets refuse now."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="flood watch", daemon=True)

    def __enter__(self) -> FloodWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        pause, next_look = _LOOK_SECONDS, 0.0
        while not self._stop.wait(pause):
            if (now := time.monotonic()) < next_look:
                self.charge_calls(now)
            else:
                begun = time.thread_time()
                self.look(now)
                taken = time.thread_time() - begun
                next_look = time.monotonic() + max(_LOOK_SECONDS, _LOOK_SHARE * taken)
            pause = max(0.0, min(_LOOK_SECONDS, next_look - time.monotonic()))

    def look(self, now: float) -> None:
        """Looks at every connection once; ends those that flood."""
        connections = self._sockets.connections()
        accounts = {connection.inode: self._account(connection, now) for connection in connections}
        self.charge_calls(now)
        self._charge_connections(accounts, now)
        self._calls.keep({connection.peer for connection in connections})
        self._accounts = accounts
        for connection in self._overdue(connections, now):
            self._sockets.end(connection)
            log.warning("answers_unread", address=connection.peer[0], port=self._port)
        free, excess = _FREE_BYTES, [(self._excess(each, now), each) for each in accounts.values()]
        slow = (count for count, _ in excess if _FREE_BYTES_OF_MANY < count < math.inf)
        if sum(slow) > _FREE_BYTES_OF_ALL:
            free = _FREE_BYTES_OF_MANY
        for count, account in excess:
            if account.floods(count, free):
                self._strike(account.connection.peer[0], now)  # before its peer can come again
                self._sockets.end(account.connection)
        self._refuse_now(now)

    def _overdue(self, connections: list[Connection], now: float) -> list[Connection]:
        """Returns the connections whose answers wait for too long, or are too many."""
        overdue = self._calls.unread.overdue(now)
        return [connection for connection in connections if connection.peer in overdue]

    def _account(self, connection: Connection, now: float) -> _Account:
        known = self._accounts.get(connection.inode)
        return known or _Account(connection, float(self._message_bytes), now)

    def _excess(self, account: _Account, now: float) -> float:
        progress = self._calls.of(account.connection.peer) or Progress()
        under_way = min(progress.under_way, _MESSAGES_UNDER_WAY * self._message_bytes)
        received = self._sockets.received(account.connection)
        return account.look(received, progress, under_way, now)

    def charge_calls(self, now: float) -> None:
        """Charges networks with the young calls that ended; needs no look."""
        for address, cost in self._calls.take_costs().items():
            self._charge(address, cost, now)

    def _charge_connections(self, accounts: Mapping[int, _Account], now: float) -> None:
        """Charges networks with the young connections that ended since the last look and never
        had a call."""
        ended = Counter(
            account.connection.peer[0]
            for inode, account in self._accounts.items()
            if inode not in accounts
            and now - account.found_at < YOUNG_SECONDS
            and self._calls.of(account.connection.peer) is None
        )
        for address, count in ended.items():
            self._charge(address, OTHER * count, now)

    def _charge(self, address: str, cost: float, now: float) -> None:
        network = network_of(address)
        if self._churn.charge(network, cost, now):
            shared = self._brought_messages(network)
            self._refuse(network, "churn", SHORT_SECONDS if shared else LONG_SECONDS, now)

    def _strike(self, address: str, now: float) -> None:
        network = network_of(address)
        log.warning("connection_flooded", address=address, port=self._port)
        times = self._ended.setdefault(network, deque(maxlen=_STRIKES))
        times.append(now)
        if len(times) == _STRIKES and now - times[0] < _STRIKE_SECONDS:
            self._refuse(network, "flood", LONG_SECONDS, now)
        if len(self._ended) > BANS_MAX:
            del self._ended[next(iter(self._ended))]

    def _refuse(self, network: str, reason: str, at_least: float, now: float) -> None:
        seconds = self._refusals.refuse(network, at_least, now)
        if seconds is not None:
            log.warning(
                "network_refused", network=network, port=self._port, seconds=seconds, reason=reason
            )
            self._refuse_now(now)

    def _refuse_now(self, now: float) -> None:
        """Has the sockets refuse the networks that are refused now, and let the others in."""
        refused = self._refusals.at(now)
        if refused != self._refused:
            self._refused = refused
            self._sockets.refuse(refused)

    def _brought_messages(self, network: str) -> bool:
        """Returns whether an open connection of a network has brought a message: others who mean
        well may use it, as behind a proxy."""
        for account in self._accounts.values():
            peer = account.connection.peer
            progress = self._calls.of(peer)
            if progress is not None and progress.explained and network_of(peer[0]) == network:
                return True
        return False
