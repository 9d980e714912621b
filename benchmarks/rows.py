"""Rows of a benchmark, ours beside a peer, and the machine they are of."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from airreid.errors import InputError
from airreid.validation import FrozenModel, loaded

Better = Literal["more", "less"]
SCHEMA = "airreid bench 1"
"""Name and version of the JSON document; docs/json.md has its fields."""
PACKAGES = (
    "airreid",
    "numpy",
    "onnxruntime",
    "torch",
    "torchvision",
    "faiss-cpu",
    "grpcio",
    "protobuf",
    "pillow",
    "openvino",
)
SETTLE_SECONDS = 0.1
"""Pause between turns: the threads of the one before spin for a while."""


class Row(FrozenModel):
    """One figure of ours, a peer's measured in the same run, and what was asked for."""

    name: str
    unit: str
    ours: float
    peer: float | None = None
    peer_name: str = ""
    ratio: float | None = None
    """Ratio of ours to the peer's."""
    limit: float | None = None
    """Figure asked for: at least (``better`` more) or at most (``better`` less) this."""
    limit_of: Literal["ratio", "ours"] = "ratio"
    better: Better = "more"
    spread: float | None = None
    """90th percentile over median of ours, of times; of rates, the same of the times behind."""
    repetitions: int = 1
    """Measurements behind the figure, the warm-up not counted."""
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Share of the ratio that may be lost before ``make bench-check`` complains."""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """True where the limit is kept; None without one."""
        value = self.ratio if self.limit_of == "ratio" else self.ours
        if self.limit is None or value is None:
            return None
        return value >= self.limit if self.better == "more" else value <= self.limit

    @property
    def key(self) -> str:
        """Name of the row among all rows."""
        return f"{self.name} / {self.peer_name}" if self.peer_name else self.name


class BenchmarkReport(BaseModel):
    """Rows of one run, or of several runs on one machine.

    A benchmark's own figures may stand beside them in a file.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", serialize_by_alias=True)

    schema_name: str = Field(default=SCHEMA, alias="schema")
    """Files of before have none."""
    machine: dict[str, Any]
    rows: list[Row]
    parts: dict[str, list[int]] = {}
    """Row numbers of each benchmark, in a run of several."""
    seconds: dict[str, float] = {}
    """Seconds that each benchmark took."""
    missing: dict[str, str] = {}
    """Benchmarks that gave no rows, and why."""


def row(
    name: str,
    unit: str,
    ours: float,
    peer: float | None = None,
    peer_name: str = "",
    ratio: float | None = None,
    **fields: Any,
) -> Row:
    """Makes a row, figures rounded to four digits; ``ratio`` None: that of both figures."""
    if ratio is None and peer:
        ratio = ours / peer
    return Row(
        name=name,
        unit=unit,
        ours=_digits(ours),
        peer=None if peer is None else _digits(peer),
        peer_name=peer_name,
        ratio=None if ratio is None else _digits(ratio),
        **fields,
    )


def _digits(value: float) -> float:
    return float(f"{value:.4g}")


def machine(method: str) -> dict[str, Any]:
    """Describes this machine; ``method`` says how the rows beside it were measured."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
        "load_average": round(os.getloadavg()[0], 2),
        "method": method,
    }


def report(method: str, rows: list[Row]) -> BenchmarkReport:
    return BenchmarkReport(machine=machine(method), rows=rows)


def write(path: Path, report: BenchmarkReport) -> None:
    path.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read(path: Path) -> BenchmarkReport:
    """Reads a report. Raises :class:`InputError` for a file that is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run make bench") from None
    return loaded(BenchmarkReport, data, path, way_out="run make bench again", error=InputError)


# -- taking turns ----------------------------------------------------------------------


@dataclass(frozen=True)
class Turns:
    """Seconds of each call (n,), by the clock and of the process's processor time."""

    clock: dict[str, NDArray[np.float64]]
    processor: dict[str, NDArray[np.float64]]

    def seconds(self, name: str) -> float:
        return float(np.median(self.clock[name]))

    def core_seconds(self, name: str) -> float:
        return float(np.median(self.processor[name]))

    def spread(self, name: str) -> float:
        return spread(self.clock[name])

    def count(self, name: str) -> int:
        return len(self.clock[name])


def spread(times: NDArray[np.float64] | list[float]) -> float:
    """Returns the 90th percentile over the median."""
    return round(float(np.percentile(times, 90) / np.median(times)), 2)


def in_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int, each: int, settle: float = 0.0
) -> Turns:
    """Times calls in turns, each ``each`` times in a row for ``rounds`` rounds, after one not
    counted.

    A machine whose speed drifts slows all of them alike. ``settle``: seconds of pause
    between turns.
    """
    clock: dict[str, list[float]] = {name: [] for name in calls}
    processor: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(settle)
            call()
            for _ in range(each):
                used, started = time.process_time(), time.perf_counter()
                call()
                clock[name].append(time.perf_counter() - started)
                processor[name].append(time.process_time() - used)
    return Turns(
        {name: np.asarray(taken) for name, taken in clock.items()},
        {name: np.asarray(taken) for name, taken in processor.items()},
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
