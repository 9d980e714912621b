"""Servers for comparison, each in a process of its own: sinks, and proxies that do nothing."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Any

import grpc
from grpc import aio

from airreid.channels.settings import LinkSettings
from airreid.proxies import DIRECT
from airreid.v1 import uplink_pb2, uplink_pb2_grpc
from channel_sim.links import Links
from channel_sim.service import UPLINK, UplinkProxy
from channel_sim.upstreams import Upstreams

MODELS = {
    "awgn": LinkSettings(snr_db=5),
    "rayleigh, csi": LinkSettings(model="rayleigh", snr_db=5),
    "rayleigh, doppler 0.01, no csi": LinkSettings(
        model="rayleigh", snr_db=5, doppler=0.01, csi=False
    ),
    "impulsive": LinkSettings(model="impulsive", snr_db=5),
    "erasure": LinkSettings(model="erasure", snr_db=5),
}
Context = aio.ServicerContext[Any, Any]
Query = aio.StreamStreamMultiCallable[bytes, bytes]


def _bytes_handler(behaviour: Callable[..., AsyncIterator[bytes]]) -> grpc.GenericRpcHandler:
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(behaviour)
    return grpc.method_handlers_generic_handler(UPLINK, {"Query": handler})


def _sink(server: aio.Server, _: str) -> None:
    answer = uplink_pb2.QueryResponse(link="analog").SerializeToString()

    async def swallow(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield answer

    server.add_generic_rpc_handlers((_bytes_handler(swallow),))


def _echo(server: aio.Server, _: str) -> None:
    """Answers as an access point that finds ``truth`` at once."""

    async def answer(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for data in requests:
            request = uplink_pb2.QueryRequest.FromString(data)
            response = uplink_pb2.QueryResponse(id=request.id, link="analog")
            response.identities.add(subject=request.truth, score=1.0)
            yield response.SerializeToString()

    server.add_generic_rpc_handlers((_bytes_handler(answer),))


def _nothing_bytes(server: aio.Server, upstream: str) -> None:
    """Serves a proxy that passes bytes: the least that grpc.aio can do."""
    query: Query = aio.insecure_channel(upstream, options=[DIRECT]).stream_stream(
        f"/{UPLINK}/Query"
    )

    async def relay(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for response in query(requests):
            yield response

    server.add_generic_rpc_handlers((_bytes_handler(relay),))


def _nothing_messages(server: aio.Server, upstream: str) -> None:
    """Serves a proxy as one writes it: the generated stub and servicer, messages parsed."""
    stub = uplink_pb2_grpc.UplinkServiceStub(aio.insecure_channel(upstream, options=[DIRECT]))

    class Relay(uplink_pb2_grpc.UplinkServiceServicer):
        async def Query(
            self, request_iterator: AsyncIterator[uplink_pb2.QueryRequest], context: Context
        ) -> AsyncIterator[uplink_pb2.QueryResponse]:
            async for response in stub.Query(request_iterator):
                yield response

    uplink_pb2_grpc.add_UplinkServiceServicer_to_server(Relay(), server)


def _ours(model: str) -> Callable[[aio.Server, str], None]:
    def register(server: aio.Server, upstream: str) -> None:
        channel = aio.insecure_channel(upstream, options=[DIRECT])
        UplinkProxy(Links(MODELS[model]), Upstreams(lambda: channel), upstream).register(server)

    return register


SERVERS: dict[str, Callable[[aio.Server, str], None]] = {
    "sink": _sink,
    "echo": _echo,
    "nothing, bytes": _nothing_bytes,
    "nothing, messages": _nothing_messages,
    **{name: _ours(name) for name in MODELS},
}


async def _serve(name: str, upstream: str, pipe: Connection) -> None:
    server = aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    SERVERS[name](server, upstream)
    await server.start()
    pipe.send(port)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, pipe.recv):
        pipe.send(time.process_time())
    await server.stop(None)


def _main_of_process(name: str, upstream: str, pipe: Connection) -> None:
    asyncio.run(_serve(name, upstream, pipe))


class Server:
    """A server of ``SERVERS`` in a process of its own."""

    def __init__(self, name: str, upstream: str = "") -> None:
        self._pipe, other = multiprocessing.Pipe()
        spawn = multiprocessing.get_context("spawn")
        self._process = spawn.Process(target=_main_of_process, args=(name, upstream, other))
        self._process.start()
        self.target = f"127.0.0.1:{self._pipe.recv()}"

    def cpu_seconds(self) -> float:
        self._pipe.send(True)
        return float(self._pipe.recv())

    def stop(self) -> None:
        self._pipe.send(False)
        self._process.join()


@contextmanager
def answered_at_once() -> Iterator[str]:
    """Yields the address of a proxy that does nothing before a server that answers at once."""
    with ExitStack() as stack:
        echo = Server("echo")
        stack.callback(echo.stop)
        proxy = Server("nothing, bytes", echo.target)
        stack.callback(proxy.stop)
        yield proxy.target
