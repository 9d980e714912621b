"""The gallery by itself: search times and recall beside plain FAISS, memory, start.

Entries are made up: normalised Gaussian clusters, one for each person, and queries that
are further members of them. Everything goes through :class:`Gallery`, the store included.
"""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.search.segment import Kind
from accesspoint.gallery.search.segmented_index import SegmentedIndex
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store.store import Store
from airreid import __version__
from airreid.bundle import Bundle
from benchmarks.rows import Row, report, row

PER_PERSON = 8
SPREAD = 0.8
"""Standard deviation within a cluster, of centres with standard deviation 1."""
TOP_K = 10
_BATCH, _TURN = 500, 20
Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class GalleryResult:
    """Figures at one size. Times are of single queries, one after the other."""

    entries: int
    dim: int
    p50_ms: float
    p99_ms: float
    plain_p50_ms: float
    """FAISS IndexFlatIP over the same vectors, in the same run on the same core."""
    plain_p99_ms: float
    p50_ratio: float
    """Ratio of the gallery to plain FAISS."""
    cpu_p50_ms: float
    """Processor time, which other processes on the machine disturb less."""
    plain_cpu_p50_ms: float
    recall_at_1: float
    """Share of queries whose best entry is the exact search's best."""
    segments: list[tuple[Kind, int]]
    """Kind and number of entries of each segment."""
    enrol_per_s: float
    """Entries a second, in batches, acknowledged after a commit that is on disk."""
    start_s: float
    """Seconds from opening the store to the first answer, from a snapshot."""
    start_cpu_s: float
    """Processor time of that, all threads together."""
    start_without_snapshot_s: float
    store_mb: float
    snapshot_mb: float
    memory_mb: float
    """Resident memory that the gallery adds to the process once started from a snapshot."""


def people(entries: int, dim: int, seed: int) -> Iterator[tuple[NDArray[np.int64], Array]]:
    """Yields (person of each row (n,), unit rows float32 (n, dim)) in batches."""
    for start in range(0, entries, _BATCH):
        rows = np.arange(start, min(entries, start + _BATCH))
        person = rows // PER_PERSON
        yield person, members(person, dim, seed, salt=start + 1)


def members(person: NDArray[np.int64], dim: int, seed: int, salt: int) -> Array:
    """Draws one new member of each person's cluster: float32 (len(person), dim)."""
    centres = {
        number: np.random.default_rng((seed, number)).standard_normal(dim, dtype=np.float32)
        for number in np.unique(person).tolist()
    }
    rng = np.random.default_rng((seed, salt, 2**31))
    rows = np.stack([centres[number] for number in person.tolist()])
    rows += SPREAD * rng.standard_normal(rows.shape, dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def measure(
    bundle: Bundle,
    folder: Path,
    entries: int,
    queries: int,
    seed: int,
    settings: GallerySettings,
    advance: Callable[[int], object],
) -> GalleryResult:
    """Fills a gallery in ``folder`` and measures it; ``advance`` hears of entries enrolled."""
    dim = bundle.backbone.feature_dim
    path = folder / "gallery.sqlite"
    plain = faiss.IndexFlatIP(dim)
    store = Store(path)
    gallery = Gallery(store, bundle, 1, settings)
    spent = 0.0
    for person, vectors in people(entries, dim, seed):
        plain.add(vectors)
        new = [
            NewEntry(f"p{number}", "c0", gallery.space_id, row)
            for number, row in zip(person.tolist(), vectors, strict=True)
        ]
        started = time.perf_counter()
        gallery.enrol(new)
        spent += time.perf_counter() - started
        advance(len(new))
    rng = np.random.default_rng(seed)
    asked = members(rng.integers(0, -(-entries // PER_PERSON), queries), dim, seed, salt=0)
    gallery.close()
    store.close()
    cold, _, store, gallery = _start(path, bundle, settings, asked[:1])
    gallery.maintenance.run_now()
    gallery.close()
    store.close()
    del gallery
    gc.collect()
    before = _resident_mb()
    warm, warm_cpu, store, gallery = _start(path, bundle, settings, asked[:1])
    memory = _resident_mb() - before
    with _OneCore():
        times, (approximate, exact) = _in_turns(
            asked,
            lambda row: int(gallery.search("features", row, TOP_K, 1)[0].entry_ids[0]) - 1,
            lambda row: int(plain.search(row, TOP_K)[1][0, 0]),
        )
        (ours, ours_cpu), (theirs, theirs_cpu) = times
    index = gallery.index("features")
    kinds = index.kinds() if isinstance(index, SegmentedIndex) else []
    gallery.close()
    store.close()
    return GalleryResult(
        entries=entries,
        dim=dim,
        p50_ms=float(np.percentile(ours, 50)),
        p99_ms=float(np.percentile(ours, 99)),
        plain_p50_ms=float(np.percentile(theirs, 50)),
        plain_p99_ms=float(np.percentile(theirs, 99)),
        p50_ratio=float(np.percentile(ours, 50) / np.percentile(theirs, 50)),
        cpu_p50_ms=float(np.percentile(ours_cpu, 50)),
        plain_cpu_p50_ms=float(np.percentile(theirs_cpu, 50)),
        recall_at_1=float(np.mean(np.equal(approximate, exact))),
        segments=kinds,
        enrol_per_s=entries / spent,
        start_s=warm,
        start_cpu_s=warm_cpu,
        start_without_snapshot_s=cold,
        store_mb=path.stat().st_size / 1e6,
        snapshot_mb=sum(f.stat().st_size for f in (folder / "index").rglob("*.*")) / 1e6,
        memory_mb=memory,
    )


def _start(
    path: Path, bundle: Bundle, settings: GallerySettings, query: Array
) -> tuple[float, float, Store, Gallery]:
    """Returns seconds from nothing to the first answer, by the clock and of the processor,
    and the store and gallery that were opened."""
    started, used = time.perf_counter(), time.process_time()
    store = Store(path)
    gallery = Gallery(store, bundle, 1, settings)
    gallery.wait_ready()
    gallery.search("features", query, 1, 0)
    return time.perf_counter() - started, time.process_time() - used, store, gallery


def _in_turns(
    queries: Array, *searches: Callable[[Array], int]
) -> tuple[NDArray[np.float64], list[list[int]]]:
    """Times single queries, a few by one search and then the same by the next, so that what
    else the machine does meets all alike; the first of each turn is not counted.

    Returns milliseconds (searches, 2, n) by the clock and of the processor, and what each
    search found.
    """
    taken = np.zeros((len(searches), 2, len(queries)))
    results: list[list[int]] = [[] for _ in searches]
    for start in range(0, len(queries), _TURN):
        rows = queries[start : start + _TURN]
        for number, search in enumerate(searches):
            search(rows[:1])
            for i, query in enumerate(rows):
                began, used = time.perf_counter(), time.thread_time()
                results[number].append(search(query[None]))
                taken[number, :, start + i] = (
                    time.perf_counter() - began,
                    time.thread_time() - used,
                )
    return 1e3 * taken, results


class _OneCore:
    """Context of one core, with one thread for a product, as ``airreid ap serve`` has."""

    def __enter__(self) -> None:
        self._cores = os.sched_getaffinity(0)
        faiss.omp_set_num_threads(1)
        self._limit = threadpool_limits(1, "blas")
        os.sched_setaffinity(0, {min(self._cores)})

    def __exit__(self, *_: object) -> None:
        os.sched_setaffinity(0, self._cores)
        self._limit.restore_original_limits()


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def table(result: GalleryResult) -> list[str]:
    """Formats lines for people."""
    kinds = " + ".join(f"{rows} {kind}" for kind, rows in result.segments)
    return [
        f"{result.entries} entries of {result.dim} values; index: {kinds}",
        f"{'one query, one core':<24} {'p50 ms':>8} {'p99 ms':>8} {'cpu p50 ms':>11}",
        f"{'gallery':<24} {result.p50_ms:>8.2f} {result.p99_ms:>8.2f} {result.cpu_p50_ms:>11.2f}",
        f"{'FAISS IndexFlatIP':<24} {result.plain_p50_ms:>8.2f} {result.plain_p99_ms:>8.2f} "
        f"{result.plain_cpu_p50_ms:>11.2f}",
        f"ratio of p50 {result.p50_ratio:.2f}; recall@1 against exact {result.recall_at_1:.4f}",
        f"enrolled {result.enrol_per_s:.0f} entries/s, each batch of {_BATCH} synced to disk",
        f"start to first answer {result.start_s:.1f} s "
        f"({result.start_cpu_s:.1f} s of processor), without a snapshot "
        f"{result.start_without_snapshot_s:.1f} s",
        f"on disk {result.store_mb:.0f} MB and {result.snapshot_mb:.0f} MB of snapshot; "
        f"in memory {result.memory_mb:.0f} MB",
    ]


def document(result: GalleryResult, queries: int, seed: int) -> dict[str, Any]:
    """Returns rows for comparison, what reproduces the run, and what came out, for JSON."""
    about: dict[str, Any] = {
        "entries": result.entries,
        "queries": queries,
        "seed": seed,
        "top_k": TOP_K,
        "data": f"unit rows of Gaussian clusters, {PER_PERSON} entries a person, spread {SPREAD}",
        "times": "single queries on one core, in turns of 20, the first of each turn not counted",
        "versions": {
            "airreid": __version__,
            "python": platform.python_version(),
            "numpy": version("numpy"),
            "faiss": version("faiss-cpu"),
        },
        "machine": {"cpu_count": os.cpu_count(), "machine": platform.machine()},
    }
    content = report(about["times"], as_rows(result, queries)).model_dump(mode="json")
    return content | {"settings": about, "results": asdict(result)}


def as_rows(result: GalleryResult, queries: int) -> list[Row]:
    """Makes rows beside plain FAISS over the same vectors."""
    peer, size = "FAISS IndexFlatIP, one core", f"{result.entries} entries"
    spread = round(result.p99_ms / result.p50_ms, 2)
    vectors = result.entries * result.dim * 4 / 1e6
    return [
        row(
            f"search, {size}",
            "ms",
            result.p50_ms,
            result.plain_p50_ms,
            peer,
            better="less",
            repetitions=queries,
            note=f"recall@1 {result.recall_at_1:.4f} against exact; p99 is {spread:g} times p50",
        ),
        row(
            f"search, {size}, processor time",
            "ms",
            result.cpu_p50_ms,
            result.plain_cpu_p50_ms,
            peer,
            better="less",
            repetitions=queries,
        ),
        row(f"enrolling, {size}", "entries/s", result.enrol_per_s, repetitions=result.entries),
        row(f"gallery from snapshot to first answer, {size}", "s", result.start_s, better="less"),
        row(
            f"memory of the gallery, {size}",
            "MB",
            result.memory_mb,
            vectors,
            "the vectors in float32",
            better="less",
        ),
    ]
