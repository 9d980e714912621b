"""The exact evaluator at the size of published galleries, beside plain Python, in one run."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from airreid.console import progress_bars
from airreid.evaluation.exact_retrieval import retrieve
from airreid.json_output import JsonTargets, check_json, prints_json, write_json
from airreid.retrieval import Labels, Retrieval, cosine
from benchmarks.rows import Row, report, row

DIMENSIONS = 2048
METHOD = "in turns after a few queries that are not counted; medians"
ROUNDS = 3
_PRODUCT_ROWS, _PRODUCTS = 512, 3
RATIO_LIMIT, MEMORY_MIB = 30.0, 1024.0


@dataclass(frozen=True)
class Size:
    """Size of a test set."""

    name: str
    queries: int
    gallery: int
    identities: int
    cameras: int
    distractors: int = 0


SIZES = (
    Size("CUHK03-NP labeled", 1400, 5328, 700, 2),
    Size("Market-1501", 3368, 15913, 750, 6, distractors=2798),
)


@dataclass(frozen=True)
class EvaluationResult:
    """Figures of one size: wall clock, and processor time over all threads."""

    size: str
    queries: int
    gallery: int
    rounds: int
    seconds: float
    cpu_seconds: float
    ms_per_query: float
    peak_mib: float
    """Most memory that the evaluator held at a time, features not counted."""
    peer_queries: int
    """Queries that the peer was given: it is slow."""
    peer_ms_per_query: float
    ratio: float
    """Wall clock of the peer over ours, per query."""
    cpu_ratio: float
    """Processor time of the peer over ours, which other work on the machine disturbs less."""
    product_ratio: float
    """Wall clock of the peer over that of the bare float32 product of all vectors: what an
    evaluator that multiplies every pair in single precision can reach at best."""
    same: bool
    """Rank-1, mAP and mINP of the peer's queries are equal to 12 digits."""
    top1: float
    map: float


@dataclass(frozen=True)
class SyntheticSet:
    """Features (n, DIMENSIONS) of queries and gallery, and their labels."""

    queries: NDArray[np.float32]
    query_labels: Labels
    gallery: NDArray[np.float32]
    gallery_labels: Labels


def make(size: Size, seed: int = 0) -> SyntheticSet:
    """Makes features with classes that overlap, so that right items stand at many ranks."""
    rng = np.random.default_rng(seed)
    people = rng.standard_normal((size.identities + 1, DIMENSIONS)).astype(np.float32)

    def features(identity: NDArray[np.int64]) -> NDArray[np.float32]:
        noise = rng.standard_normal((len(identity), DIMENSIONS)).astype(np.float32)
        return people[identity] + 6.0 * noise

    def labels(count: int) -> Labels:
        identity = np.arange(count) % size.identities + 1
        return Labels(identity, rng.integers(0, size.cameras, count))

    queries, gallery = labels(size.queries), labels(size.gallery)
    gallery.identity[: size.distractors] = 0
    return SyntheticSet(features(queries.identity), queries, features(gallery.identity), gallery)


def plain_python(
    scores: Sequence[Sequence[float]], queries: Labels, gallery: Labels
) -> tuple[float, float, float]:
    """Computes rank-1, mAP and mINP by the definition: sort, drop, count, query by query."""
    whose, by = gallery.identity.tolist(), gallery.camera.tolist()
    top1, precision, penalty = [], [], []
    pairs = zip(scores, queries.identity.tolist(), queries.camera.tolist(), strict=True)
    for line, identity, camera in pairs:
        order = sorted(range(len(line)), key=lambda g, line=line: -line[g])  # type: ignore[misc]
        right = [
            whose[g] == identity
            for g in order
            if whose[g] >= 0 and not (whose[g] == identity and by[g] == camera)
        ]
        if not any(right):
            continue
        top1.append(float(right[0]))
        ranks = [position for position, hit in enumerate(right, 1) if hit]
        precision.append(sum(i / position for i, position in enumerate(ranks, 1)) / len(ranks))
        penalty.append(len(ranks) / ranks[-1])
    return tuple(sum(figures) / len(figures) for figures in (top1, precision, penalty))  # type: ignore[return-value]


def measure(size: Size, peer_queries: int, rounds: int = ROUNDS) -> EvaluationResult:
    """Measures ours on everything; the peer, scores by NumPy included, on the first queries.

    They take turns after a few queries that are not counted; medians.
    """
    data = make(size)
    few = min(peer_queries, size.queries)

    def ours(count: int) -> Retrieval:
        labels = data.query_labels.take(np.arange(count))
        return retrieve(data.queries[:count], labels, data.gallery, data.gallery_labels)

    def theirs() -> tuple[float, float, float]:
        scores = cosine(data.queries[:few], data.gallery).tolist()
        return plain_python(scores, data.query_labels.take(np.arange(few)), data.gallery_labels)

    part = ours(few)
    wall: dict[str, list[float]] = {"ours": [], "theirs": [], "product": []}
    cpu: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        clock = _Clock()
        accuracy = ours(size.queries)
        clock.into(wall["ours"], cpu["ours"], size.queries)
        clock = _Clock()
        expected = theirs()
        clock.into(wall["theirs"], cpu["theirs"], few)
        wall["product"].append(_product_ms(data))
    same = np.allclose(expected, (part.top1, part.mean_ap, part.mean_inp), rtol=1e-12, atol=0)
    tracemalloc.start()
    try:
        ours(size.queries)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
    mine, peer, product = (float(np.median(times)) for times in wall.values())
    my_cpu, peer_cpu = (float(np.median(times)) for times in cpu.values())
    return EvaluationResult(
        size=size.name,
        queries=size.queries,
        gallery=size.gallery,
        rounds=rounds,
        seconds=round(mine * size.queries / 1e3, 2),
        cpu_seconds=round(my_cpu * size.queries / 1e3, 2),
        ms_per_query=round(mine, 3),
        peak_mib=round(peak),
        peer_queries=few,
        peer_ms_per_query=round(peer, 2),
        ratio=round(peer / mine, 1),
        cpu_ratio=round(peer_cpu / my_cpu, 1),
        product_ratio=round(peer / product, 1),
        same=bool(same),
        top1=round(accuracy.top1, 4),
        map=round(accuracy.mean_ap, 4),
    )


class _Clock:
    """Stopwatch that starts when it is constructed."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def into(self, wall: list[float], cpu: list[float], queries: int) -> None:
        """Adds the milliseconds since then, of each query."""
        wall.append(1e3 * (time.perf_counter() - self._wall) / queries)
        cpu.append(1e3 * (time.process_time() - self._cpu) / queries)


def _product_ms(data: SyntheticSet) -> float:
    """Times a query's share of a float32 product with the gallery by BLAS, all processors."""
    queries = data.queries[:_PRODUCT_ROWS]
    out = np.empty((len(queries), len(data.gallery)), np.float32)
    np.matmul(queries, data.gallery.T, out=out)
    started = time.perf_counter()
    for _ in range(_PRODUCTS):
        np.matmul(queries, data.gallery.T, out=out)
    return 1e3 * (time.perf_counter() - started) / _PRODUCTS / len(queries)


def as_rows(results: Sequence[EvaluationResult]) -> list[Row]:
    """Makes the rows beside plain Python."""
    rows = []
    for result in results:
        name = f"evaluation, {result.size}"
        limit = RATIO_LIMIT if result.size.startswith("Market") else None
        rows += [
            row(
                name,
                "queries/s",
                1e3 / result.ms_per_query,
                1e3 / result.peer_ms_per_query,
                "plain Python",
                limit=limit,
                repetitions=result.rounds,
                tolerance=0.4,
                note=f"the peer on {result.peer_queries} queries; metrics "
                + ("are the same" if result.same else "DIFFER")
                + f"; the bare float32 product would be at {result.product_ratio:g}x",
            ),
            row(
                f"{name}, memory",
                "MiB",
                result.peak_mib,
                limit=MEMORY_MIB,
                limit_of="ours",
                better="less",
            ),
        ]
    return rows


def evaluation_command(
    peer_queries: Annotated[
        int, typer.Option(min=1, help="Queries that plain Python is given.")
    ] = 200,
    as_json: JsonTargets = None,
) -> None:
    """Measure exact retrieval at the size of CUHK03-NP and Market-1501, beside plain Python."""
    check_json(*as_json or ())
    echo = partial(typer.echo, err=prints_json(as_json))
    rows: list[EvaluationResult] = []
    with progress_bars() as bars:
        task = bars.add_task("evaluating", total=len(SIZES))
        for size in SIZES:
            rows.append(measure(size, peer_queries))
            bars.advance(task)
    echo(
        f"{'size':<20} {'queries':>8} {'gallery':>8} {'seconds':>8} {'CPU s':>6} {'peak MiB':>9} "
        f"{'ms/query':>9} {'plain Python':>13} {'ratio':>7} {'of CPU':>8} {'product':>8}  "
        "same metrics"
    )
    for result in rows:
        echo(
            f"{result.size:<20} {result.queries:>8} {result.gallery:>8} "
            f"{result.seconds:>8.2f} {result.cpu_seconds:>6.1f} "
            f"{result.peak_mib:>9.0f} {result.ms_per_query:>9.3f} "
            f"{result.peer_ms_per_query:>13.2f} {result.ratio:>6.1f}x "
            f"{result.cpu_ratio:>7.1f}x {result.product_ratio:>7.1f}x  "
            f"{'yes' if result.same else 'NO'}"
        )
    content = report(METHOD, as_rows(rows)).model_dump(mode="json")
    content |= {"dimensions": DIMENSIONS, "results": [asdict(result) for result in rows]}
    for path in write_json(as_json, content):
        echo(f"wrote {path}")
    if not all(result.same for result in rows):
        raise typer.Exit(1)
