"""Connections that are opened and ended over and over have their network refused; what means well
comes and goes as it likes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from airreid.connection_churn import YOUNG_SECONDS, ConnectionChurn
from airreid.counted_calls import CountedCalls
from airreid.flood_watch import FloodWatch
from airreid.port_sockets import Connection, PortSockets, network_of

BAD, GOOD = "192.0.2.7", "192.0.2.8"
MESSAGE_BYTES = 1 << 20
OK, UNAUTHENTICATED = grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED
LOOK = 0.1


class Sockets(PortSockets):
    """Sockets that a test opens and ends."""

    def __init__(self) -> None:
        super().__init__(1)
        self.open: dict[int, Connection] = {}
        self.refused: list[str] = []
        self._inode = 0

    def add(self, address: str) -> Connection:
        self._inode += 1
        added = Connection(self._inode, self._inode, (address, self._inode))
        self.open[self._inode] = added
        return added

    def connections(self) -> list[Connection]:
        return list(self.open.values())

    def received(self, connection: Connection) -> int:
        return 0

    def end(self, connection: Connection) -> None:
        raise AssertionError("nothing floods here")

    def refuse(self, networks: Any) -> None:
        self.refused = list(networks)


class CallContext:
    """Context of a call on a connection."""

    def __init__(self, connection: Connection, code: grpc.StatusCode) -> None:
        self._connection, self._code = connection, code

    def peer(self) -> str:
        host, port = self._connection.peer
        return f"ipv4:{host}:{port}"

    def code(self) -> grpc.StatusCode:
        return self._code


class Port:
    """Port with a clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sockets = Sockets()
        self.calls = CountedCalls(MESSAGE_BYTES, {}, lambda: self.now)
        self.watch = FloodWatch(1, self.calls, MESSAGE_BYTES, self.sockets)
        self._streams: dict[int, asyncio.Task[None]] = {}

    async def wait(self, seconds: float) -> None:
        """Lets time pass: what calls do now is done, and the watch looks."""
        for _ in range(5):
            await asyncio.sleep(0)
        self.now += seconds
        self.watch.look(self.now)

    async def connect(
        self,
        address: str,
        count: int,
        *messages: bytes,
        streams: int = 1,
        code: grpc.StatusCode = OK,
    ) -> list[Connection]:
        """Opens connections with a stream each that brings messages, then stays open; or is
        refused with a code."""
        added = [self.sockets.add(address) for _ in range(count)]
        for connection in added * streams:
            handler = await self.calls.intercept_service(_handler, _Details())
            context = CallContext(connection, code)
            task = asyncio.create_task(_read(handler, _messages(messages, code), context))
            self._streams[len(self._streams)] = task
        return added

    async def end(self, connections: list[Connection]) -> None:
        """Ends connections; all streams end."""
        for connection in connections:
            del self.sockets.open[connection.inode]
        for task in self._streams.values():
            task.cancel()
        await asyncio.gather(*self._streams.values(), return_exceptions=True)
        self._streams.clear()

    @property
    def refused(self) -> list[str]:
        return self.sockets.refused


class _Details:
    method = "/test.Uplink/Query"


async def _handler(details: Any) -> Any:
    async def answers(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        if context.code() is OK:
            async for message in messages:
                yield message

    return grpc.stream_stream_rpc_method_handler(answers)


async def _messages(messages: tuple[bytes, ...], code: grpc.StatusCode) -> AsyncIterator[bytes]:
    for message in messages:
        yield message
    if code is OK:
        await asyncio.get_running_loop().create_future()  # an open stream, until it is cancelled


async def _read(handler: Any, messages: AsyncIterator[bytes], context: CallContext) -> None:
    async with contextlib.aclosing(handler.stream_stream(messages, context)) as answers:
        async for _ in answers:
            pass


@pytest.mark.parametrize(("count", "streams"), [(1800, 1), (20, 100), (9000, 0)])
async def test_silent_connections_that_end_at_once_have_their_network_refused(
    count: int, streams: int, caplog: pytest.LogCaptureFixture
) -> None:
    port = Port()
    await port.connect(GOOD, 10, b"block")
    opened = await port.connect(BAD, count, streams=streams)
    await port.wait(2.0)
    assert port.refused == []  # silent streams are as good as others
    await port.end(opened)
    await port.wait(LOOK)
    assert port.refused == [network_of(BAD)]
    assert [record.message for record in caplog.records] == ["network_refused"]
    await port.wait(59.0)
    assert port.refused == [network_of(BAD)]
    await port.wait(1.0)
    assert port.refused == []


async def test_a_network_that_others_use_is_let_in_sooner_until_it_churns_again() -> None:
    port = Port()
    await port.connect(BAD, 1, b"block")
    for seconds in (5.0, 10.0):
        opened = await port.connect(BAD, 1800)
        await port.wait(LOOK)
        await port.end(opened)
        await port.wait(LOOK)
        assert port.refused == [network_of(BAD)]
        await port.wait(seconds - LOOK)
        assert port.refused == [network_of(BAD)]
        await port.wait(LOOK)
        assert port.refused == []


async def rounds_until_refused(count: int, *messages: bytes) -> int:
    """Opens and ends connections, so many at once, until their network is refused."""
    port, rounds = Port(), 0
    while not port.refused:
        opened = await port.connect(BAD, count, *messages)
        await port.wait(2.0)
        await port.end(opened)
        await port.wait(LOOK)
        rounds += 1
    return rounds


async def test_few_that_end_over_and_over_have_their_network_refused() -> None:
    assert await rounds_until_refused(300) == 5


async def test_messages_excuse_a_churn_that_is_four_times_as_large() -> None:
    assert await rounds_until_refused(1200, b"block") == 5


async def test_cameras_behind_one_address_come_again_at_once() -> None:
    """After a restart, and again when their proxy restarts too."""
    port = Port()
    for _ in range(2):
        opened = await port.connect(BAD, 4096, b"block")
        await port.wait(LOOK)
        await port.wait(30.0)
        assert port.refused == []
        await port.end(opened)
        await port.wait(LOOK)
        assert port.refused == []
        await port.wait(60.0)


async def test_cameras_that_were_silent_for_hours_may_all_end_at_once() -> None:
    port = Port()
    opened = await port.connect(BAD, 4096)
    for _ in range(3):
        await port.wait(3600.0)
    assert port.now > YOUNG_SECONDS
    await port.end(opened)
    await port.wait(LOOK)
    again = await port.connect(BAD, 4096)
    await port.wait(LOOK)
    assert port.refused == []
    assert len(port.sockets.open) == len(again)


async def test_cameras_that_come_at_once_and_are_refused_unseen_come_again() -> None:
    """gRPC resets calls, before anybody sees them, while more than it keeps have not begun."""
    port = Port()
    for pause in (0.2, 0.4, 0.8):
        opened = await port.connect(BAD, 3000, streams=0)
        await port.wait(LOOK)
        await port.end(opened)
        await port.wait(pause)
    await port.connect(BAD, 4096, b"block")
    await port.wait(LOOK)
    assert port.refused == []


async def test_health_checks_that_only_connect_are_no_churn() -> None:
    port = Port()
    for _ in range(1000):
        opened = await port.connect(BAD, 10, streams=0)  # ten balancers behind one address
        await port.wait(LOOK)
        await port.end(opened)
        await port.wait(1.0 - LOOK)
    assert port.refused == []


async def test_edges_with_a_wrong_token_that_come_again_each_second_are_no_churn() -> None:
    port = Port()
    for _ in range(100):
        opened = await port.connect(BAD, 100, code=UNAUTHENTICATED)
        await port.wait(LOOK)
        await port.end(opened)
        await port.wait(1.0 - LOOK)
    assert port.refused == []


async def test_calls_are_charged_between_two_looks() -> None:
    """A look takes long where there are many connections, and comes the more seldom."""
    port = Port()
    opened = await port.connect(BAD, 1800)
    await port.wait(LOOK)
    await port.end(opened)
    port.watch.charge_calls(port.now)
    assert port.refused == [network_of(BAD)]


def test_what_is_charged_is_forgotten_with_time() -> None:
    churn = ConnectionChurn()
    assert not churn.charge(network_of(BAD), 1100, now=0.0)
    assert churn.charge(network_of(BAD), 1, now=0.0)
    assert not churn.charge(network_of(BAD), 320, now=10.0)
    assert churn.charge(network_of(BAD), 1, now=10.0)
    assert not churn.charge(network_of(GOOD), 1100, now=10.0)


def test_charges_of_many_networks_take_no_more_room_than_those_of_some() -> None:
    churn = ConnectionChurn()
    for number in range(3000):
        churn.charge(f"10.{number >> 8}.{number & 255}.1/32", 1100, now=0.0)
        churn.charge(network_of(BAD), 1, now=0.0)
    assert not churn.charge("10.0.0.1/32", 1100, now=0.0)  # forgotten
    assert churn.charge("10.11.183.1/32", 1, now=0.0)
    assert churn.charge(network_of(BAD), 1, now=0.0)
