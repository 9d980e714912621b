"""A Milvus server measured: latency by consistency level, and HNSW beside FAISS.

``python -m benchmarks.milvus --uri http://127.0.0.1:19530 --rows 100000 --dim 256 --json FILE``

With ``--server-pid`` of a server on this machine, its memory, too.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from accesspoint.errors import NotReadyError
from accesspoint.gallery.milvus.client import MilvusServer, MilvusSettings
from accesspoint.gallery.milvus.collection import BOUNDED, STRONG, Collection, Row
from airreid.signal import unit_rows
from benchmarks.processes import rss_mib

LEVELS = {"Strong": STRONG, "Bounded": BOUNDED}
_CENTRES = 1000
_LOADED = 10_000
"""Rows that are written at once."""
_INDEX_SECONDS = 3600.0
"""Time in which the server builds its graphs, at most."""


class _AtLevel(Collection):
    """A collection whose searches have one level."""

    def __init__(self, server: MilvusServer, name: str, dim: int, level: dict[str, str]) -> None:
        super().__init__(server, name, dim)
        self._level = level

    @property
    def search_level(self) -> dict[str, str]:
        return self._level

    def best(self, query: NDArray[np.float32]) -> int:
        """Returns the id of the best row for a query (1, dim)."""
        return self.search(query, 1)[0][0].id


def vectors(rows: int, dim: int, seed: int) -> NDArray[np.float32]:
    """Makes clusters of unit vectors, float32 (rows, dim)."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((_CENTRES, dim), np.float32)
    noise = rng.standard_normal((rows, dim), np.float32)
    return unit_rows(centres[rng.integers(0, _CENTRES, rows)] + noise)


def times(search: Callable[[NDArray[np.float32]], Any], queries: NDArray[np.float32]) -> Any:
    """Searches for one query at a time. Returns milliseconds and the best ids."""
    spent, best = [], []
    for query in queries:
        started = time.perf_counter()
        best.append(search(query[None]))
        spent.append(1e3 * (time.perf_counter() - started))
    p50, p99 = np.percentile(spent, [50, 99])
    figures = {
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
        "per_second": round(1e3 * len(spent) / sum(spent), 1),
    }
    return figures, np.array(best)


def wait_for_index(server: MilvusServer, collection: str) -> float:
    """Waits until all rows are in graphs, as the server says; returns the seconds."""
    started = time.perf_counter()
    while time.perf_counter() - started < _INDEX_SECONDS:
        state = server.call("describe_index", collection, "embedding")
        if state["state"] == "Finished" and not state["pending_index_rows"]:
            return time.perf_counter() - started
        time.sleep(1.0)
    raise NotReadyError(f"{collection}: its index is not built after {_INDEX_SECONDS:g} s")


def measure(
    uri: str, rows: int, dim: int, queries: int, index: str, server_pid: int | None
) -> dict[str, Any]:
    """Fills a collection, searches it at each level, and drops it; FAISS does the same."""
    held, asked = vectors(rows, dim, 0), vectors(queries, dim, 0)[:queries]
    asked = unit_rows(asked + 0.3 * vectors(queries, dim, 1))
    flat = faiss.IndexFlatIP(dim)
    flat.add(held)
    exact = flat.search(asked, 1)[1][:, 0]
    server = MilvusServer(MilvusSettings(uri=uri, index=index, timeout_s=600))
    collection = Collection(server, f"bench_{os.getpid()}", dim)
    collection.create()
    report: dict[str, Any] = {"rows": rows, "dim": dim, "queries": queries, "index": index}
    try:
        started = time.perf_counter()
        for start in range(0, rows, _LOADED):
            part = held[start : start + _LOADED]
            collection.upsert([Row(start + i, i, f"p{i}", "c") for i in range(len(part))], part)
        collection.flush()
        report["filled_s"] = round(time.perf_counter() - started, 1)
        report["indexed_s"] = round(wait_for_index(server, collection.name), 1)
        collection.search(asked[:1], 1)
        for name, level in LEVELS.items():
            at_level = _AtLevel(server, collection.name, dim, level)
            few = asked[: max(10, queries // 10)] if name == "Strong" else asked
            figures, best = times(at_level.best, few)
            report[name] = figures | {"rank_1": round(float(np.mean(best == exact[: len(few)])), 4)}
        if server_pid is not None:
            report["server_mib"] = round(rss_mib(server_pid))
    finally:
        collection.drop()
        server.close()
    faiss.omp_set_num_threads(1)
    graph = faiss.IndexHNSWFlat(dim, 16, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction, graph.hnsw.efSearch = 200, 128
    before, started = rss_mib(os.getpid()), time.process_time()
    graph.add(held)
    built = round(time.process_time() - started, 1)
    grown = round(rss_mib(os.getpid()) - before)
    figures, best = times(lambda q: graph.search(q, 1)[1][0, 0], asked)
    report["faiss_hnsw"] = figures | {
        "rank_1": round(float(np.mean(best == exact)), 4),
        "built_cpu_s": built,
        "grown_mib": grown,
    }
    report["load_average"] = round(os.getloadavg()[0], 1)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", required=True)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--index", choices=("FLAT", "HNSW"), default="HNSW")
    parser.add_argument("--server-pid", type=int)
    parser.add_argument("--json-out", "--json", dest="json_out", type=Path)
    given = parser.parse_args()
    report = measure(given.uri, given.rows, given.dim, given.queries, given.index, given.server_pid)
    text = json.dumps(report, indent=2) + "\n"
    print(text, end="")
    if given.json_out is not None:
        given.json_out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
