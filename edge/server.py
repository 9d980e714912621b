"""One process: sources, encoder, spool and uplink, from ready to a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial

from grpc import aio

from airreid import log, memory
from airreid.addresses import OFF, check_free, parse_address
from airreid.call_limits import SMALL, CallLimits
from airreid.credentials import check_listening
from airreid.serving import serve, told_to_stop
from airreid.v1 import edge_pb2, edge_pb2_grpc
from edge import metrics as metrics_
from edge.airtime import pacing_of
from edge.control import EdgeControl
from edge.encoder import Encoder
from edge.folder import check_folder
from edge.folder_source import FolderSource
from edge.grpc_source import MESSAGE_BYTES, STREAMS_MAX, GrpcSource
from edge.metrics import Metrics
from edge.pipeline import Pipeline
from edge.settings import SendSettings, ServeSettings
from edge.spool import Spool
from edge.stdin_source import StdinSource
from edge.uplink_sender import Sender

_TICK_SECONDS = 0.5
_CROPS = CallLimits(MESSAGE_BYTES, streams=STREAMS_MAX, paced=True)
_OTHERWISE = "if another edge runs on this machine, give this one another --listen, or --listen off"
"""Way out where the port cannot be had."""


@dataclass(frozen=True)
class _Edge:
    """The parts that work while the edge runs."""

    spool: Spool
    pipeline: Pipeline
    sender: Sender
    metrics: Metrics


async def run(encoder: Encoder, settings: ServeSettings) -> None:
    """Serves until told to stop, or until standard input has ended and all is answered.

    Raises :class:`airreid.errors.InputError` for an address, a folder or a spool that cannot
    be used; nothing has been taken then.
    """
    memory.keep_little()
    if settings.listen != OFF:
        strangers = "send crops, read who they are, and switch schemes"
        check_listening(settings.listen, settings.insecure_no_auth, strangers)
        check_free(parse_address(settings.listen), _OTHERWISE)
    if settings.metrics is not None:
        check_free(parse_address(settings.metrics), "choose another --metrics")
    if settings.watch is not None:
        check_folder(settings.watch.folder)
    sending = encoder.send_settings(
        settings.scheme,
        settings.link,
        settings.top_k,
        settings.bandwidth,
        settings.target_outage,
    )
    stop = told_to_stop()
    loop = asyncio.get_running_loop()
    input_ended = asyncio.Event()

    def ended() -> None:
        loop.call_soon_threadsafe(input_ended.set)

    with _parts(encoder, sending, settings) as edge:
        edge.spool.on_reject(partial(_given_up, edge))
        names = ["EdgeService", "EdgeControlService"]

        def register(server: aio.Server) -> list[str]:
            edge_pb2_grpc.add_EdgeServiceServicer_to_server(
                GrpcSource(edge.pipeline, edge.spool, edge.metrics), server
            )
            control = EdgeControl(
                edge.pipeline,
                edge.spool,
                encoder.bundle.bundle_id,
                lambda: edge.sender.connected,
                lambda: edge.sender.refusal,
            )
            edge_pb2_grpc.add_EdgeControlServiceServicer_to_server(control, server)
            return [edge_pb2.DESCRIPTOR.services_by_name[name].full_name for name in names]

        with contextlib.ExitStack() as stack:
            metrics_port = _serve_metrics(edge, settings, stack)
            sources = _sources(edge, settings, ended)
            for source in sources:
                stack.callback(source.stop)
            service, control = (
                edge_pb2.DESCRIPTOR.services_by_name[name].full_name for name in names
            )
            serving: contextlib.AbstractAsyncContextManager[int | None] = contextlib.nullcontext()
            if settings.listen != OFF:
                serving = serve(
                    settings.listen,
                    register,
                    limits={service: _CROPS, control: SMALL},
                    message_bytes=MESSAGE_BYTES,
                    otherwise=_OTHERWISE,
                )
            async with serving as port, _ticks(edge, settings):
                await asyncio.to_thread(_tick, edge, settings)
                edge.sender.start()
                for source in sources:
                    source.start()
                memory.leave_alone()
                log.event(
                    "ready",
                    grpc_port=port,
                    metrics_port=metrics_port,
                    to=settings.to,
                    scheme=edge.pipeline.sending.scheme_id,
                    link=edge.pipeline.sending.link,
                    edge_id=settings.edge_id,
                    spool_id=edge.spool.spool_id,
                    waiting=edge.spool.waiting,
                    watch=settings.watch and str(settings.watch.folder),
                )
                await _until_the_end(stop, input_ended, edge, settings)
                for source in sources:
                    await asyncio.to_thread(source.stop)
    log.event("stopped", waiting=edge.spool.waiting)


@contextlib.contextmanager
def _parts(encoder: Encoder, sending: SendSettings, settings: ServeSettings) -> Iterator[_Edge]:
    """Starts spool, pipeline and sender; drains the spool on exit."""
    metrics = Metrics()
    spool = Spool(settings.spool, settings.edge_id, settings.spool_blocks)
    try:
        metrics.depth.set_function(lambda: spool.waiting)
        pipeline = Pipeline(encoder, spool, sending, settings.radio, metrics)
        sender = Sender(
            settings.to,
            spool,
            settings.uplink,
            pipeline.publish,
            metrics,
            random.Random(),
            pipeline.link,
            settings.credentials,
            encoder.bundle.bundle_id,
            pacing_of(settings.radio),
        )
        try:
            yield _Edge(spool, pipeline, sender, metrics)
        finally:
            pipeline.close()
            sender.stop(settings.drain_seconds)
    finally:
        spool.close()


def _serve_metrics(edge: _Edge, settings: ServeSettings, stack: contextlib.ExitStack) -> int | None:
    if settings.metrics is None:
        return None
    port, close = metrics_.serve(edge.metrics, settings.metrics)
    stack.callback(close)
    return port


def _sources(
    edge: _Edge, settings: ServeSettings, ended: Callable[[], None]
) -> list[FolderSource | StdinSource]:
    sources: list[FolderSource | StdinSource] = []
    if settings.watch is not None:
        sources.append(FolderSource(settings.watch, edge.pipeline, edge.spool, edge.metrics))
    if settings.stdin:
        sources.append(StdinSource(sys.stdin.fileno(), edge.pipeline, edge.metrics, ended))
    return sources


async def _until_the_end(
    stop: asyncio.Event, input_ended: asyncio.Event, edge: _Edge, settings: ServeSettings
) -> None:
    """Waits for the word to stop; the end of standard input is one if nothing else feeds in."""
    stopped = asyncio.create_task(stop.wait())
    if settings.stdin and settings.watch is None:
        over = asyncio.create_task(input_ended.wait())
        await asyncio.wait({stopped, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        while not stop.is_set() and edge.spool.waiting:
            await asyncio.sleep(0.05)
        stopped.cancel()
    else:
        await stopped


@contextlib.asynccontextmanager
async def _ticks(edge: _Edge, settings: ServeSettings) -> AsyncIterator[None]:
    """Looks after deadlines and the length of the log, twice a second."""

    async def forever() -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            await asyncio.to_thread(_tick, edge, settings)

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _given_up(edge: _Edge, sequences: list[int]) -> None:
    """Tells of frames that get no answer."""
    edge.metrics.dropped.inc(len(sequences))
    edge.sender.forget(sequences)
    edge.pipeline.dropped(sequences)


def _tick(edge: _Edge, settings: ServeSettings) -> None:
    try:
        if settings.deadline is not None:
            dropped = edge.spool.drop_stale(settings.deadline)
            if dropped:
                log.warning("frames_dropped", count=len(dropped), deadline=settings.deadline)
                _given_up(edge, dropped)
        edge.spool.prune(settings.keep_rows)
    except sqlite3.Error as error:
        log.warning("spool_write_failed", error=str(error))
