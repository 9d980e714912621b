"""Start-up time of each role, and the memory it holds once it has worked.

Starts take turns with a peer that loads the least that does the same: Python with Typer, a
ResNet-50 in PyTorch, a FAISS index read from a file. Memory is the resident set of each
process after some frames have gone from a watched folder to their answers.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from airreid import child_process
from airreid.bundle import default_bundle_path, load_bundle
from airreid.errors import LinkError
from airreid.validation import FrozenModel
from benchmarks.pictures import jpegs
from benchmarks.processes import ANY_PORT, access_point_arguments, channel_arguments, rss_mib
from benchmarks.rows import Row, row, spread
from benchmarks.uplink import Load, make_gallery
from simulation.processes import Role

METHOD = "whole processes, in turns with the peer; from the command to its ready event; medians"
HELP_SECONDS, EDGE_SECONDS, ACCESS_POINT_SECONDS = 0.3, 1.5, 3.0
EDGE_MIB, CHANNEL_MIB, ACCESS_POINT_MIB, PER_VECTOR_BYTE = 250.0, 100.0, 250.0, 1.5
SCHEME = "jscc-ae-256"
NOWHERE = "127.0.0.1:9"
_FRAMES, _ANSWER_SECONDS = 40, 120.0
_TORCH = (
    "import torch, torchvision; n = torchvision.models.resnet50(weights=None).eval(); "
    "torch.set_grad_enabled(False); n(torch.zeros(1, 3, 256, 128))"
)
_FAISS = (
    "import sys, faiss, numpy; v = numpy.load(sys.argv[1]); i = faiss.IndexFlatIP(v.shape[1]); "
    "i.add(v); i.search(v[:1], 10)"
)


class Settings(FrozenModel):
    """Settings of the benchmark."""

    entries: Annotated[int, Field(ge=256, le=1_000_000)] = 10_000
    rounds: Annotated[int, Field(ge=1, le=100)] = 5


def measure(settings: Settings, tick: Callable[[], object] = lambda: None) -> list[Row]:
    """Measures seconds and MiB; ``tick`` is called after each of ``STEPS``."""
    bundle = load_bundle(default_bundle_path())
    with TemporaryDirectory(prefix="airreid-bench-") as scratch:
        folder = Path(scratch)
        galleries = folder / "gallery"
        galleries.mkdir()
        make_gallery(galleries, bundle, Load(entries=settings.entries, scheme=SCHEME))
        dim = bundle.backbone.feature_dim
        vectors = folder / "vectors.npy"
        rng = np.random.default_rng(0)
        np.save(vectors, rng.standard_normal((settings.entries, dim), dtype=np.float32))
        tick()
        rows = [
            _row(
                "start: airreid --help",
                _times({"ours": _help, "peer": _python("import typer")}, settings.rounds + 2),
                "Python that imports Typer",
                HELP_SECONDS,
            )
        ]
        tick()
        serve = ["edge", "serve", "--listen", ANY_PORT, "--to", NOWHERE]
        rows.append(
            _row(
                "start: edge ready, int8 ResNet-50",
                _times({"ours": _role(serve), "peer": _python(_TORCH)}, settings.rounds),
                "PyTorch with ResNet-50 and one image",
                EDGE_SECONDS,
            )
        )
        tick()
        channel = _times({"ours": _role(channel_arguments(NOWHERE))}, settings.rounds)
        rows.append(_row("start: channel ready", channel))
        tick()
        _role(access_point_arguments(galleries))()  # leaves snapshots behind
        ready = {
            "ours": _role(access_point_arguments(galleries)),
            "peer": _python(_FAISS, str(vectors)),
        }
        rows.append(
            _row(
                f"start: access point ready, {settings.entries} entries",
                _times(ready, settings.rounds),
                "FAISS index of vectors in a file",
                ACCESS_POINT_SECONDS,
            )
        )
        tick()
        rows += _memory(folder, galleries, settings.entries * dim * 4 / 2**20)
        tick()
    return rows


STEPS = 6


def _times(calls: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of each call, in turns, after one of each that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            seconds = call()
            if number:
                times[name].append(seconds)
    return times


def _row(
    name: str, times: Mapping[str, list[float]], peer_name: str = "", limit: float | None = None
) -> Row:
    return row(
        name,
        "s",
        float(np.median(times["ours"])),
        float(np.median(times["peer"])) if "peer" in times else None,
        peer_name,
        limit=limit,
        limit_of="ours",
        better="less",
        spread=spread(times["ours"]),
        repetitions=len(times["ours"]),
    )


def _run(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def _help() -> float:
    return _run(child_process.airreid("--help"))


def _python(code: str, *arguments: str) -> Callable[[], float]:
    return lambda: _run([sys.executable, "-P", "-c", code, *arguments])


def _role(arguments: list[str]) -> Callable[[], float]:
    def start() -> float:
        started = time.perf_counter()
        with Role(arguments[0], arguments, 300.0):
            return time.perf_counter() - started

    return start


def _memory(folder: Path, galleries: Path, vectors_mib: float) -> list[Row]:
    """Measures the memory of each role after some frames."""
    inbox = folder / "in"
    inbox.mkdir()
    with ExitStack() as stack:

        def role(name: str, arguments: list[str]) -> Role:
            return stack.enter_context(Role(name, arguments, 300.0))

        access_point = role("access point", access_point_arguments(galleries))
        channel = role("channel", channel_arguments(f"127.0.0.1:{_port(access_point)}"))
        watch = ["--watch", str(inbox), "--spool", str(folder / "spool"), "--scheme", SCHEME]
        to = ["--listen", ANY_PORT, "--to", f"127.0.0.1:{_port(channel)}"]
        edge = role("edge", ["edge", "serve", *to, *watch])
        pictures = jpegs()
        for number in range(_FRAMES):
            new = folder / f"frame-{number}.jpg"
            new.write_bytes(pictures[number % len(pictures)])
            new.rename(inbox / new.name)
        _wait_answered(folder / "spool")
        held = [rss_mib(role.process.pid) for role in (edge, channel, access_point)]
    peer = _peer_memory()
    common: dict[str, Any] = {"limit_of": "ours", "better": "less", "tolerance": 0.15}
    after = f"after {_FRAMES} frames"
    torch = "PyTorch with ResNet-50 and one image"
    names = [f"memory: edge, int8 ResNet-50, {after}", f"memory: channel, {after}"]
    return [
        row(names[0], "MiB", held[0], peer, torch, limit=EDGE_MIB, **common),
        row(names[1], "MiB", held[1], limit=CHANNEL_MIB, **common),
        row(
            f"memory: access point, one scheme, {after}",
            "MiB",
            held[2],
            vectors_mib,
            "the vectors of one scheme",
            limit=round(ACCESS_POINT_MIB + PER_VECTOR_BYTE * vectors_mib),
            **common,
        ),
    ]


def _port(role: Role) -> int:
    return int(role.ready["grpc_port"])


def _wait_answered(spool: Path) -> None:
    from edge import results

    until = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < until:
        states = [result["state"] for result in results.read(spool, "", 0)]
        if len(states) == _FRAMES and set(states) == {"answered"}:
            return
        time.sleep(0.2)
    raise LinkError(f"{_FRAMES} frames were not answered within {_ANSWER_SECONDS:g} s")


def _peer_memory() -> float:
    code = f"{_TORCH}; print(next(l for l in open('/proc/self/status') if l[:5] == 'VmRSS'))"
    process = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True
    )
    return int(process.stdout.split()[1]) / 1024
