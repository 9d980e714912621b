"""A camera for the benchmark of the path: a process of its own that sends files.

Imports what a camera has installed and nothing else.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from airreid.bundle import default_bundle_path, load_bundle
from airreid.errors import LinkError
from airreid.images import load
from airreid.uplink_client import Uplink
from airreid.v1 import common_pb2, uplink_pb2
from edge.blocks import BlockMaker
from edge.encoder import Encoder
from edge.oneshot import OneShot

_SECONDS = 600.0
_WARM_UP = 4


@dataclass(frozen=True)
class EdgeLoad:
    """Load of the edges."""

    target: str
    files: tuple[Path, ...]
    """Files that are sent in turn, from the first again after the last."""
    scheme: str
    queries: int
    """Queries of each edge."""
    alone: bool
    """True: a query starts when the one before it is answered. False: they overlap as in
    ``airreid edge send``."""


@dataclass(frozen=True)
class EdgeTimes:
    """Times of one edge: when it began and ended (a clock that all processes share), the
    processor time that it took in between, and the milliseconds from file to answer of each
    query that was alone."""

    started: float
    ended: float
    core_seconds: float
    milliseconds: tuple[float, ...] = ()


def run(edge_load: EdgeLoad, edges: int) -> list[EdgeTimes]:
    """Runs all edges at once, each a process with a network of its own; they start together.

    Raises :class:`LinkError` for a query that was not answered.
    """
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(edges)
    pipes, processes = [], []
    for number in range(edges):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_edge, args=(edge_load, number, together, theirs))
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    times: list[EdgeTimes] = []
    wrong = ""
    for pipe in pipes:
        try:
            got: EdgeTimes | str = pipe.recv()
        except EOFError:
            got = "an edge ended without a word"
        if isinstance(got, str):
            wrong = wrong or got
        else:
            times.append(got)
    for process in processes:
        process.join()
    if wrong:
        raise LinkError(wrong)
    return times


def _edge(edge_load: EdgeLoad, number: int, together: Barrier, pipe: Connection) -> None:
    try:
        encoder = Encoder(load_bundle(default_bundle_path()), 1)
        with Uplink(edge_load.target) as uplink:
            files = [edge_load.files[i % len(edge_load.files)] for i in range(edge_load.queries)]
            name = f"edge-{number}"
            _overlapping(files[:_WARM_UP], encoder, uplink, edge_load.scheme, name)
            together.wait(_SECONDS)
            started, used = time.perf_counter(), time.process_time()
            taken: list[float] = []
            if edge_load.alone:
                taken = _one_by_one(files, encoder, uplink, edge_load.scheme, name)
            else:
                _overlapping(files, encoder, uplink, edge_load.scheme, name)
            used = time.process_time() - used
            pipe.send(EdgeTimes(started, time.perf_counter(), used, tuple(taken)))
    except Exception as error:
        together.abort()
        pipe.send(f"edge-{number}: {error!r}")


def _overlapping(
    files: list[Path], encoder: Encoder, uplink: Uplink, scheme: str, name: str
) -> None:
    settings = encoder.send_settings(scheme, None, 10)
    with OneShot(encoder, uplink, settings, name) as one_shot:
        for sent in one_shot.send(files):
            if sent.error:
                raise LinkError(sent.error)


def _one_by_one(
    files: list[Path], encoder: Encoder, uplink: Uplink, scheme_id: str, name: str
) -> list[float]:
    """Sends files one by one; returns the milliseconds from file to answer of each."""
    maker, scheme = BlockMaker(name, encoder.bundle.bundle_id), encoder.scheme(scheme_id)
    answered, began = threading.Semaphore(1), 0.0

    def blocks() -> Iterator[uplink_pb2.QueryRequest]:
        nonlocal began
        for path in files:
            answered.acquire()
            began = time.perf_counter()
            [payload] = scheme.pack(encoder.features([load(path)]), encoder.link(scheme_id, None))
            yield maker.block(payload, scheme_id, 10)

    taken = []
    for answer in uplink.query(blocks(), 1, _SECONDS):
        taken.append((time.perf_counter() - began) * 1e3)
        if answer.response.status.code != common_pb2.CODE_OK:
            raise LinkError(answer.response.status.message)
        answered.release()
    if len(taken) != len(files):
        raise LinkError(f"{len(taken)} answers to {len(files)} queries")
    return taken
