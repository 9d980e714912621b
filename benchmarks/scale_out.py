"""Cost of a large gallery: the figures that docs/scale-out.md reckons with.

    python -m benchmarks.scale_out --json FILE

One core, synthetic clustered embeddings: ten shots of each person around a centre, queries
that are a shot with as much noise again. Search times grow with the number of entries in
exact kinds (bytes read) and hardly in HNSW; bytes an entry are the same at any number.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.search.entry_owners import EntryOwners
from accesspoint.gallery.store.store import Store
from airreid.signal import unit_rows

Array = NDArray[np.float32]
SIZES = ((256, 50_000), (2048, 20_000))
QUERIES = 200
HNSW_M, HNSW_BUILD, HNSW_SEARCH = 16, 200, (64, 128, 256, 512)
STORED, BATCH = 2_000, 100
REMEMBERED = 1_000_000


def people(count: int, dim: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draws unit embeddings (count, dim), and queries (QUERIES, dim) near some of them."""
    centres = rng.standard_normal((count // 10, dim), dtype=np.float32)
    shots = np.repeat(centres, 10, axis=0)
    shots += 0.7 * rng.standard_normal(shots.shape, dtype=np.float32)
    noise = rng.standard_normal((QUERIES, dim), dtype=np.float32)
    queries = shots[rng.integers(0, count, QUERIES)] + noise
    return unit_rows(shots), unit_rows(queries)


def timed(search: Callable[[Array], Any], queries: Array) -> dict[str, float]:
    """Measures milliseconds of processor time, one query at a time in one thread: the cost of
    a query, whatever else the machine does."""
    took = []
    for query in queries:
        started = time.thread_time()
        search(query[None])
        took.append((time.thread_time() - started) * 1e3)
    low, half, high = np.percentile(took, [10, 50, 90])
    return {
        "cpu_ms": round(float(half), 3),
        "cpu_ms_10": round(float(low), 3),
        "cpu_ms_90": round(float(high), 3),
    }


def kinds(dim: int, count: int) -> list[dict[str, Any]]:
    """Measures the index kinds at one size: time, bytes an entry, share of exact best entries."""
    vectors, queries = people(count, dim, np.random.default_rng(0))
    rows: list[dict[str, Any]] = []

    def row(kind: str, index: Any, **figures: Any) -> None:
        best = index.search(queries, 1)[1][:, 0]
        rows.append(
            {
                "kind": kind,
                "dim": dim,
                "entries": count,
                **timed(lambda query: index.search(query, 11), queries),
                "recall_at_1": float(np.mean(best == exact)),
                "bytes_per_entry": round(len(faiss.serialize_index(index)) / count),
                **figures,
            }
        )

    flat = faiss.IndexFlatIP(dim)
    flat.add(vectors)
    exact = flat.search(queries, 1)[1][:, 0]
    row("flat", flat)
    eight = faiss.IndexScalarQuantizer(
        dim, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    eight.train(vectors)
    eight.add(vectors)
    row("sq8", eight)
    graph = faiss.IndexHNSWFlat(dim, HNSW_M, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = HNSW_BUILD
    started = time.thread_time()
    graph.add(vectors)
    build_s = time.thread_time() - started
    for ef in HNSW_SEARCH:
        graph.hnsw.efSearch = ef
        row(f"hnsw, ef {ef}", graph, build_ms_per_entry=round(build_s / count * 1e3, 3))
    return rows


def storing() -> dict[str, float]:
    """Measures the gallery's file: bytes an entry, and entries a second in batches."""
    rng = np.random.default_rng(1)
    features = rng.standard_normal((STORED, 2048), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "gallery.sqlite")
        started = time.perf_counter()
        for start in range(0, STORED, BATCH):
            store.add_entries(
                [
                    NewEntry(f"person-{(start + i) // 10}", "camera-1", "space", feature)
                    for i, feature in enumerate(features[start : start + BATCH])
                ]
            )
        took = time.perf_counter() - started
        store.close()
        size = (Path(folder) / "gallery.sqlite").stat().st_size
    return {
        "bytes_per_entry": round(size / STORED),
        "entries_per_s": round(STORED / took),
        "batch": BATCH,
    }


def remembering() -> dict[str, float]:
    """Measures bytes of memory an entry in the writing access point, beside what Milvus holds."""
    before = _resident()
    owners, digests = EntryOwners(), dict[int, int]()
    marks = np.random.default_rng(2).integers(-(2**63), 2**63 - 1, REMEMBERED).tolist()
    for number in range(REMEMBERED):
        owners.put(number, f"person-{number // 10}", "camera-1")
        digests[number] = marks[number]
    del marks
    return {"bytes_per_entry": round((_resident() - before) / REMEMBERED)}


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json-out", "--json", dest="json_out", type=Path, required=True)
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    result = {
        "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
        "versions": {name: version(name) for name in ("faiss-cpu", "numpy")},
        "remembering": remembering(),
        "storing": storing(),
        "kinds": [row for dim, count in SIZES for row in kinds(dim, count)],
    }
    arguments.json_out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
