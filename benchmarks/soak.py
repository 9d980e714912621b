"""Half an hour of everything at once: many cameras, a gallery that changes, kills, a full disk.

Cameras send blocks through the channel simulator to the access point and send again what a kill
left unanswered, as an edge does. An operator enrols, deletes and searches beside them. Each minute
the access point or the channel is killed and started again, and the wall clock of both is stepped,
by seconds or by hours, forward or back. What was acknowledged is compared with what there is in
the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from airreid.bundle import default_bundle_path, load_bundle
from airreid.v1 import uplink_pb2
from benchmarks.processes import rss_mib
from benchmarks.soak_load import FURTHEST_STEP, Camera, Counts, Operator, Settings
from benchmarks.stepped_clock import SteppedClock
from benchmarks.uplink import Load, make_gallery
from simulation.processes import Role

SMALL_DISK = 2 << 30
"""Free bytes of a disk up to which it is filled."""
SCHEMA = "airreid bench soak 1"
"""Name and version of the JSON document."""
_FULL_SECONDS = 20.0
_SNR_DB = 40.0


class Services:
    """An access point and a channel before it, on ports that stay theirs."""

    def __init__(self, folder: Path) -> None:
        self.clock = SteppedClock(folder / "clock")
        ap, http, channel = (_free_port() for _ in range(3))
        self.ap, self.channel = f"127.0.0.1:{ap}", f"127.0.0.1:{channel}"
        serve = ["ap", "serve", "--data-dir", str(folder / "data"), "--grpc", self.ap]
        forward = ["channel", "serve", "--listen", self.channel, "--upstream", self.ap]
        self._arguments = {
            "access point": [*serve, "--http", f"127.0.0.1:{http}"],
            "channel": [*forward, "--snr", f"{_SNR_DB:g}"],
        }
        self._roles: dict[str, Role] = {}
        for name in self._arguments:
            self.start(name)

    def start(self, name: str) -> None:
        arguments = [str(self.clock.path), *self._arguments[name]]
        self._roles[name] = Role(name, arguments, 300.0, "benchmarks.stepped_clock")

    def kill(self, name: str) -> None:
        role = self._roles[name]
        role.process.kill()
        role.stop()

    def memory(self) -> dict[str, float]:
        """Returns MiB of each process that runs."""
        held = {}
        for name, role in list(self._roles.items()):
            with contextlib.suppress(OSError):
                held[name] = rss_mib(role.process.pid)
        return held

    def stop(self) -> None:
        for role in self._roles.values():
            role.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _filled(folder: Path, full: threading.Event) -> Iterator[bool]:
    """Fills the disk of a folder if it is a small one; yields whether it did."""
    filler = folder / "filler"
    small = shutil.disk_usage(folder).free <= SMALL_DISK
    try:
        if small:
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 16))
            full.set()
        yield small
    finally:
        full.clear()
        filler.unlink(missing_ok=True)


def run(settings: Settings, folder: Path, tick: Callable[[float], object]) -> dict[str, Any]:
    """Runs a soak. ``tick`` is given the share of its time that is over.

    The disk is filled for some seconds in the middle, unless it has more than ``SMALL_DISK`` free.
    Returns what reproduces it, its counts and its figures.
    """
    counts, full, stop = Counts(), threading.Event(), threading.Event()
    bundle = load_bundle(default_bundle_path())
    load = Load(streams=1, entries=settings.entries, seed=settings.seed)
    (folder / "data").mkdir()
    blocks = make_gallery(folder / "data", bundle, load)
    services = Services(folder)
    started, until = time.monotonic(), time.monotonic() + 60 * settings.minutes
    operator = Operator(services.ap, counts, full, settings.seed, services.clock.time)
    rss: list[dict[str, float]] = []
    pool = ThreadPoolExecutor(2)
    working = [
        pool.submit(operator.run, stop),
        pool.submit(_cameras(settings, services, blocks, counts, until)),
    ]
    filled: bool | None = None
    try:
        next_kill, turn = started + settings.kill_seconds, 0
        next_step, rng = started + settings.step_seconds, random.Random(settings.seed)
        while (now := time.monotonic()) < until:
            rss.append(services.memory())
            tick((now - started) / (until - started))
            if now >= next_kill and now + 10 < until:
                name = ("access point", "channel")[turn % 2]
                services.kill(name)
                services.start(name)
                counts.kills += 1
                next_kill, turn = time.monotonic() + settings.kill_seconds, turn + 1
            if now >= next_step:
                services.clock.step(_offset(rng, counts.clock_steps))
                counts.clock_steps += 1
                next_step = time.monotonic() + settings.step_seconds
            if filled is None and now > (started + until) / 2:
                with _filled(folder, full) as filled:
                    time.sleep(min(_FULL_SECONDS, 15 * settings.minutes) if filled else 0.0)
            time.sleep(1.0)
        stop.set()
        for work in working:
            work.result()
        operator.compare()
    finally:
        stop.set()
        services.stop()
        pool.shutdown()
    return _report(settings, counts, rss, bool(filled))


def _offset(rng: random.Random, number: int) -> float:
    """Draws where the clock is stepped to: by turns as NTP does, and as a wrong hand does."""
    return rng.uniform(-2, 2) if number % 2 else rng.uniform(-FURTHEST_STEP, FURTHEST_STEP)


def _cameras(
    settings: Settings,
    services: Services,
    blocks: list[uplink_pb2.QueryRequest],
    counts: Counts,
    until: float,
) -> Callable[[], None]:
    bodies = [block.SerializeToString() for block in blocks]
    truths = [block.truth for block in blocks]

    async def send() -> None:
        cameras = [Camera(number, bodies, truths, counts) for number in range(settings.streams)]
        await asyncio.gather(*(camera.run(services.channel, settings, until) for camera in cameras))

    return lambda: asyncio.run(send())


def _report(
    settings: Settings, counts: Counts, rss: list[dict[str, float]], filled: bool
) -> dict[str, Any]:
    quarter = max(1, len(rss) // 4)
    memory = {}
    for name in ("access point", "channel"):
        series = [sample[name] for sample in rss if name in sample]
        early, late = (
            float(np.median([sample[name] for sample in part if name in sample] or [0]))
            for part in (rss[quarter : 2 * quarter], rss[-quarter:])
        )
        memory[name] = {
            "second_quarter_mib": round(early, 1),
            "last_quarter_mib": round(late, 1),
            "most_mib": round(max(series, default=0.0), 1),
        }
    return {
        "settings": settings.model_dump() | {"cpu_count": os.cpu_count()},
        "disk_was_full": filled,
        "load_average": round(os.getloadavg()[0], 1),
        "counts": vars(counts) | {"codes": dict(counts.codes)},
        "faults": counts.faults(),
        "memory": memory,
    }
