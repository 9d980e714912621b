"""Table of a study: every scheme at every bandwidth and SNR, from the cells that there are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from airreid.errors import InputError
from airreid.evaluation.interval import Mean
from airreid.evaluation.study.anchors import IMAGE, RAW
from airreid.evaluation.study.cells import (
    PEOPLE,
    Cell,
    Latents,
    StudyCurve,
    StudyPoint,
    counts_of,
)
from airreid.evaluation.study.crossed import crossed_mean
from airreid.evaluation.study.published import Published
from airreid.evaluation.study.rates import Account, best_rate, expected_hits, mean_bits
from airreid.evaluation.study.results import Results

Matrix = NDArray[np.float64]
N = TypeVar("N", bound=float)
MATCHED, RANGE = "matched", "range"
"""Trainings: at the SNR that is tested at; over the range."""
FIXED = "fixed-0"
"""A digital scheme whose rate is the one for 0 dB, at every SNR."""
NOISELESS = "noiseless"
GIVEN = "given"
"""Cell of the codes that came with the network, and the beginning of their curves' names."""
JOINT = "joint-"
"""Beginning of the names of cells and curves whose network was trained together with the code."""
ACCOUNTS: tuple[Account, ...] = ("ideal", "finite", "paper")


class Place(NamedTuple):
    """Place of one result: what was sent, how it was trained, in how many uses, at which SNR."""

    scheme: str
    training: str
    """``matched``, ``range``, a training SNR such as ``-6``, or empty where none is trained."""
    bandwidth: int
    snr_db: float


@dataclass(frozen=True)
class Entry:
    """Top-1 of T trainings and S noise draws."""

    hits: Matrix
    """(T, Q): share of the draws in which each query was found; (T, 0) where that is not known."""
    top1: Mean
    draws: tuple[int, int]
    """T and S; S is 0 where an account gives the expectation over the noise itself."""
    bits: float | None = None
    """Mean bits of a message, where bits are sent."""
    rate: str = ""
    """Cell of the digital scheme that held-out people chose."""
    point: StudyPoint | None = None


@dataclass(frozen=True)
class Table:
    """All results of a study."""

    entries: Mapping[Place, Entry]
    people: NDArray[np.int64]
    """(Q,): whom each query shows."""
    bound: Entry
    """Features compared as they are."""
    cells: Mapping[str, Cell]
    bandwidths: tuple[int, ...] = ()
    """Bandwidths of the paper's schemes."""
    long_bandwidths: tuple[int, ...] = ()
    """Bandwidths that whole features were sent in."""
    snrs_db: tuple[float, ...] = field(default=())
    missing: tuple[str, ...] = ()
    """Cells of the study that are not computed."""
    published: Published = field(default_factory=Published)
    """Values whose cells are gone."""

    @property
    def values_alone(self) -> tuple[str, ...]:
        """Cells that are gone, of which values were published: nobody's hits are known."""
        return tuple(name for name in self.published.cells if name not in self.cells)

    def get(self, scheme: str, training: str, bandwidth: int, snr_db: float) -> Entry | None:
        """Returns a result, None where it is missing."""
        return self.entries.get(Place(scheme, training, bandwidth, snr_db))


def table_of(results: Results) -> Table:
    """Arranges the results of a study. Raises :class:`InputError` without the bound's cell.

    Until all digital schemes that the study plans are there none counts: the best of a part of
    them would not be the best.
    """
    cells, planned = results.cells, results.plan.cells
    published = results.published
    people, bound = _bound(results)
    entries: dict[Place, Entry] = {}
    for cell in cells.values():
        if not cell.name.startswith(("coded-", NOISELESS, RAW)):
            for curve in cell.curves:
                link = cell.facts.get(f"{curve.scheme}-{curve.bandwidth}", {})
                entries |= _trained_entries(curve, link.get("payload_bits"))
    snrs = tuple(sorted({place.snr_db for place in entries}))
    widths = tuple(sorted({place.bandwidth for place in entries}))
    digital = {n: c for n, c in cells.items() if n.startswith("digital-") and c.latents}
    if any(name.startswith("digital-") and name not in cells for name in planned):
        digital = {}
    for bandwidth in widths:
        entries |= _account_entries(digital, bandwidth, snrs)
        if f"coded-{bandwidth}" in cells:
            entries |= _coded_entries(cells[f"coded-{bandwidth}"], bandwidth, "digital-coded")
        if f"coded-pq-{bandwidth}" in cells:
            entries |= _coded_entries(cells[f"coded-pq-{bandwidth}"], bandwidth, "pq-coded")
    if GIVEN in cells:
        entries |= _given_entries(cells[GIVEN], snrs)
    whole = [cell for cell in cells.values() if cell.name.startswith(RAW)]
    for cell in whole:
        entries |= _whole_entries(cell)
    lengths = tuple(sorted({curve.bandwidth for cell in whole for curve in cell.curves}))
    for name, cell in cells.items():
        if name.startswith(IMAGE):
            entries |= _ideal_entries(name, cell.latents, sorted({*widths, *lengths}), snrs)
    for place, entry in entries.items():
        if entry.hits.shape[1] != len(people):
            raise InputError(
                f"{results.folder}: {place.scheme}-{place.bandwidth} has {entry.hits.shape[1]} "
                f"queries, and {NOISELESS} {len(people)}; compute it again"
            )
    before = _published_entries(published)
    return Table(
        entries=before | entries,
        people=people,
        bound=bound,
        cells=cells,
        bandwidths=_sorted(widths, (p.bandwidth for p in before if p.scheme != RAW)),
        long_bandwidths=_sorted(lengths, (p.bandwidth for p in before if p.scheme == RAW)),
        snrs_db=_sorted(snrs, (place.snr_db for place in before)),
        missing=tuple(n for n in planned if n not in cells and n not in published.cells),
        published=published,
    )


def _sorted(values: Iterable[N], others: Iterable[N]) -> tuple[N, ...]:
    return tuple(sorted({*values, *others}))


def _bound(results: Results) -> tuple[NDArray[np.int64], Entry]:
    """Returns whom each query shows, nobody where that is not known, and the bound itself."""
    if NOISELESS in results.cells:
        bound = results.cells[NOISELESS]
        people = np.asarray(bound.facts[PEOPLE], np.int64)
        return people, _entry(bound.curves[0].points[0])
    if results.published.no_channel is None:
        raise InputError(f"{results.folder}: no cell {NOISELESS}; compute it first")
    top1 = Mean(results.published.no_channel, math.nan)
    return np.empty(0, np.int64), Entry(np.empty((1, 0)), top1, (1, 1))


def _published_entries(published: Published) -> dict[Place, Entry]:
    """Places of values whose cells are gone; their entries have no hits."""
    return {
        Place(old.scheme, old.training, old.bandwidth, old.snr_db): Entry(
            np.empty((old.draws[0], 0)),
            Mean(old.top1, math.nan if old.half_width is None else old.half_width),
            old.draws,
            old.bits,
            old.rate,
            old.point,
        )
        for old in published.entries
    }


def _entry(point: StudyPoint, bits: float | None = None, rate: str = "") -> Entry:
    values = np.asarray(point.top1, np.float64)
    hits = np.stack([counts_of(row) for row in point.hits]) / values.shape[1]
    return Entry(hits, crossed_mean(values), (values.shape[0], values.shape[1]), bits, rate, point)


def _trained_entries(curve: StudyCurve, bits: float | None = None) -> dict[Place, Entry]:
    """Places of a curve's points: by its training SNR, and as matched where that is the point's."""
    entries = {}
    for point in curve.points:
        entry = _entry(point, bits)
        for training in _trainings(curve, point.snr_db):
            entries[Place(curve.scheme, training, curve.bandwidth, point.snr_db)] = entry
    return entries


def _trainings(curve: StudyCurve, snr_db: float) -> Iterable[str]:
    if curve.snr_db_train is None:
        return [""]
    low, high = curve.snr_db_train
    if low != high:
        return [RANGE]
    return [f"{low:g}", MATCHED] if low == snr_db else [f"{low:g}"]


def _account_entries(
    digital: Mapping[str, Cell], bandwidth: int, snrs_db: Sequence[float]
) -> dict[Place, Entry]:
    """Places of digital schemes whose arrival is computed, the rate chosen for each SNR."""
    if not digital:
        return {}
    latents = {name: cell.latents for name, cell in digital.items()}
    entries = {}
    for account in ACCOUNTS:
        for snr_db in snrs_db:
            name = best_rate(latents, bandwidth, snr_db, account)
            hits = expected_hits(latents[name], bandwidth, snr_db, account)
            entries[Place(f"digital-{account}", MATCHED, bandwidth, snr_db)] = Entry(
                hits,
                crossed_mean(hits.mean(axis=1, keepdims=True)),
                (len(hits), 0),
                mean_bits(latents[name]),
                name,
            )
    return entries


def _given_entries(cell: Cell, snrs_db: Sequence[float]) -> dict[Place, Entry]:
    """Places of digital schemes that came with the network, over a code of capacity."""
    scheme = f"{GIVEN}-digital"
    digital = [curve for curve in cell.curves if curve.scheme == scheme]
    entries: dict[Place, Entry] = {}
    for curve, latents in zip(digital, cell.latents, strict=True):
        entries |= _ideal_entries(f"{scheme}-ideal", [latents], [curve.bandwidth], snrs_db)
    return entries


def _whole_entries(cell: Cell) -> dict[Place, Entry]:
    """Places of features that are sent as they are."""
    bits = cell.facts["payload_bits"]
    return {
        Place(RAW, "", curve.bandwidth, point.snr_db): _entry(point, bits)
        for curve in cell.curves
        for point in curve.points
    }


def _ideal_entries(
    name: str, latents: Sequence[Latents], bandwidths: Sequence[int], snrs_db: Sequence[float]
) -> dict[Place, Entry]:
    """Places of messages that a code of capacity carries."""
    entries = {}
    for bandwidth in bandwidths:
        for snr_db in snrs_db:
            hits = expected_hits(latents, bandwidth, snr_db, "ideal")
            top1 = crossed_mean(hits.mean(axis=1, keepdims=True))
            entry = Entry(hits, top1, (len(hits), 0), mean_bits(latents))
            entries[Place(name, "", bandwidth, snr_db)] = entry
    return entries


def _coded_entries(cell: Cell, bandwidth: int, scheme: str) -> dict[Place, Entry]:
    """Places of the polar link: the rate chosen for each SNR, and that for 0 dB at all."""
    chosen: dict[str, str] = cell.facts["chosen"]
    curves = {curve.scheme: curve for curve in cell.curves}
    entries = {}
    for snr, name in chosen.items():
        bits = cell.facts["schemes"][name]["payload_bits"]
        for point in curves[name].points:
            if point.snr_db == float(snr):
                place = Place(scheme, MATCHED, bandwidth, point.snr_db)
                entries[place] = _entry(point, bits, name)
            if float(snr) == 0.0:
                place = Place(scheme, FIXED, bandwidth, point.snr_db)
                entries[place] = _entry(point, bits, name)
    return entries
