"""An index in this process: immutable segments, swapped as a whole when they change."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from accesspoint.gallery.search.index import Array, Ids, IndexSpec
from accesspoint.gallery.search.running_scores import ScoredRows
from accesspoint.gallery.search.segment import (
    CodedSegment,
    FlatSegment,
    Kind,
    Segment,
    coded,
    flat,
    gather,
    scores_at,
    search_coded,
    search_flat,
)
from accesspoint.gallery.search.snapshot import Snapshots
from accesspoint.gallery.settings import GallerySettings
from airreid import log
from airreid.signal import unit_rows

TAIL_ROWS = 1024
_MANY_SEGMENTS, _MANY_SMALL = 8, 4
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class _View:
    """State of the index that a search sees, from its beginning to its end."""

    segments: tuple[Segment, ...]
    tail_ids: Ids
    tail_digests: Ids
    tail: Array
    """Buffer for new rows, (TAIL_ROWS, dim); rows are written once, beyond ``tail_rows``."""
    tail_rows: int
    dead: Ids
    """Ids of removed entries that are still in a segment or the tail; ascending."""

    @property
    def rows(self) -> int:
        return sum(map(len, self.segments)) + self.tail_rows

    def parts(self) -> list[Segment]:
        """Returns the segments, and the tail as a further one."""
        rows = self.tail_rows
        if not rows:
            return list(self.segments)
        tail = FlatSegment(self.tail_ids[:rows], self.tail_digests[:rows], self.tail[:rows])
        return [*self.segments, tail]


class SegmentedIndex:
    """Flat or 8-bit segments, a tail that grows, and tombstones.

    Searching never meets a change: it works on a view, and a change makes a new view. FAISS
    is only ever given arrays that nobody writes to. ``add`` and ``remove`` come one at a
    time; :meth:`maintain`, which merges and writes snapshots, may run beside them.
    """

    def __init__(self, spec: IndexSpec, settings: GallerySettings) -> None:
        self._settings = settings
        self._dim = spec.dim
        self._snapshots = Snapshots(spec) if spec.folder is not None else None
        self._change = threading.Lock()
        self._maintaining = threading.RLock()
        self._unsaved = 0
        self._dead_since: float | None = None
        self._position = 0
        segments = self._snapshots.load(settings.read_only) if self._snapshots else []
        if settings.index == "flat":  # codes go with vectors of less than full precision
            segments = [segment for segment in segments if segment.kind == "flat"]
        self._view = self._empty_tail(tuple(segments), _NONE)
        self._scored: tuple[_View, ScoredRows | None] | None = None
        """Rows of a view, for blocks that come in pieces."""

    def _empty_tail(self, segments: tuple[Segment, ...], dead: Ids) -> _View:
        ids, digests = np.zeros(TAIL_ROWS, np.int64), np.zeros(TAIL_ROWS, np.int64)
        tail = np.zeros((TAIL_ROWS, self._dim), np.float32)
        return _View(segments, ids, digests, tail, 0, dead)

    def __len__(self) -> int:
        view = self._view
        return view.rows - len(view.dead)

    def kinds(self) -> list[tuple[Kind, int]]:
        """Returns the kind and the number of rows of each segment."""
        return [(segment.kind, len(segment)) for segment in self._view.segments]

    def add(self, ids: Ids, digests: Ids, embeddings: Array) -> None:
        vectors = unit_rows(embeddings)
        with self._change:
            view = self._view
            if len(ids) >= TAIL_ROWS:
                order = np.argsort(ids)
                new = flat(ids[order], digests[order], vectors[order])
                self._view = replace(view, segments=(*view.segments, new))
            else:
                if view.tail_rows + len(ids) > TAIL_ROWS:
                    view = self._sealed(view)
                begin, end = view.tail_rows, view.tail_rows + len(ids)
                view.tail_ids[begin:end] = ids
                view.tail_digests[begin:end] = digests
                view.tail[begin:end] = vectors
                self._view = replace(view, tail_rows=end)
            self._unsaved += len(ids)
            rows = sum(len(s) for s in self._view.segments if s.kind == "flat")
        if self._kind() == "sq8" and rows >= self._settings.segment_rows:
            self._merge()  # enrolment is faster than the background: wait for it

    def _sealed(self, view: _View) -> _View:
        """Returns a view whose tail has become a segment, sorted by id."""
        if not view.tail_rows:
            return view
        order = np.argsort(view.tail_ids[: view.tail_rows])
        tail = flat(view.tail_ids[order], view.tail_digests[order], view.tail[order])
        return self._empty_tail((*view.segments, tail), view.dead)

    def remove(self, ids: Ids) -> None:
        with self._change:
            view = self._view
            held = [np.intersect1d(part.ids, ids) for part in view.parts()]
            dead = np.union1d(view.dead, np.concatenate([_NONE, *held]))
            self._unsaved += len(dead) - len(view.dead)
            if len(dead) and self._dead_since is None:
                self._dead_since = time.monotonic()
            self._view = replace(view, dead=dead)

    def moved(self, ids: Ids) -> None:
        """Does nothing: this index does not store subjects."""

    def search(self, embeddings: Array, k: int) -> tuple[Array, Ids]:
        view = self._view
        queries = np.ascontiguousarray(unit_rows(embeddings))
        k = min(k, view.rows - len(view.dead))
        if k == 0:
            empty = (len(queries), 0)
            return np.zeros(empty, np.float32), np.zeros(empty, np.int64)
        parts = view.parts()
        results = []
        if flat_parts := [part for part in parts if isinstance(part, FlatSegment)]:
            results.append(search_flat(flat_parts, queries, k, view.dead))
        if coded_parts := [part for part in parts if isinstance(part, CodedSegment)]:
            results.append(search_coded(coded_parts, queries, k, view.dead))
        elif flat_parts:  # best first as they are
            return results[0]
        scores = np.concatenate([part_scores for part_scores, _ in results], axis=1)
        ids = np.concatenate([part_ids for _, part_ids in results], axis=1)
        order = np.lexsort((ids, -scores), axis=1)[:, :k]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)

    def scores_of(self, embedding: Array, ids: Ids) -> Array:
        """Returns cosine scores float32 (n,) of entries, ids (n,), with one embedding (dim,);
        -inf for those that are not in the index."""
        view, [query] = self._view, unit_rows(embedding[None])
        scores = np.full(len(ids), -np.inf, np.float32)
        for part in view.parts():
            order = np.argsort(part.ids, kind="stable")
            places = np.searchsorted(part.ids, ids, sorter=order)
            rows = order[np.minimum(places, len(part) - 1)]
            held = (part.ids[rows] == ids) & ~np.isin(ids, view.dead)
            assert isinstance(part, FlatSegment | CodedSegment)
            scores[held] = scores_at(part, query, rows[held])
        return scores

    def scored_rows(self) -> ScoredRows | None:
        view, known = self._view, self._scored
        if known is not None and known[0] is view:
            return known[1]
        parts = [part for part in view.parts() if isinstance(part, FlatSegment)]
        whole = sum(map(len, parts)) == view.rows
        rows = ScoredRows(parts, view.dead) if whole else None
        self._scored = view, rows
        if self._view is not view:  # what was purged in between is held no longer
            self._scored = None
        return rows

    def held(self) -> tuple[Ids, Ids]:
        view = self._view
        ids = np.concatenate([_NONE, *(part.ids for part in view.parts())])
        digests = np.concatenate([_NONE, *(part.digests for part in view.parts())])
        live = ~np.isin(ids, view.dead)
        return ids[live], digests[live]

    def maintain(self, position: int) -> bool:
        late = self._dead_since is not None and (
            time.monotonic() - self._dead_since > self._settings.purge_after_s
        )
        if late:
            return self._purge(position)
        with self._maintaining:
            self._position = position
            self._merge()
            return self._unsaved >= self._settings.snapshot_changes and self._save(position)

    def purge(self, ids: Ids) -> None:
        self._purge(self._position)

    def _purge(self, position: int) -> bool:
        """Rebuilds what has a removed entry in it, in memory and on disk."""
        with self._maintaining:
            with self._change:
                self._view = self._sealed(self._view)
                self._dead_since = None
            self._scored = None
            old = [s for s in self._view.segments if np.isin(s.ids, self._view.dead).any()]
            self._replace(old)
            return self._save(position)

    def snapshot_problem(self) -> str:
        """Reads the snapshot's files. Returns what is wrong with them; empty if nothing is."""
        with self._maintaining:
            return "" if self._snapshots is None else self._snapshots.problem()

    def retire(self) -> None:
        """Leaves the files to another index that takes this one's place."""
        with self._maintaining:
            self._snapshots = None

    def close(self) -> None:
        with self._maintaining:
            if self._unsaved:
                self._save(self._position)

    def _save(self, position: int) -> bool:
        """Writes a snapshot. Returns whether there is now one of this position."""
        if self._snapshots is None or self._settings.read_only:
            return False
        with self._change:
            self._view = self._sealed(self._view)
            segments, unsaved = self._view.segments, self._unsaved
        try:
            self._snapshots.save(segments, position)
        except OSError as error:
            log.warning("snapshot_not_written", error=str(error))
            return False
        with self._change:
            self._unsaved -= unsaved
        self._position = position
        return True

    def _kind(self) -> Kind:
        """Returns the kind of segment that most rows should be in. Once coded, an index stays
        so until it is a good deal smaller, lest it goes to and fro."""
        if self._settings.index != "auto":
            return self._settings.index
        coded_already = any(s.kind == "sq8" for s in self._view.segments)
        limit = self._settings.flat_max * (0.8 if coded_already else 1.0)
        return "sq8" if len(self) > limit else "flat"

    def _merge(self) -> None:
        """Replaces segments that are many, small, full of tombstones or of another kind."""
        with self._maintaining:
            view, rows = self._view, self._settings.segment_rows
            exact = [s for s in view.segments if s.kind == "flat"]
            if self._kind() == "flat":
                if (
                    len(view.segments) > _MANY_SEGMENTS
                    or len(exact) < len(view.segments)
                    or len(view.dead) > max(64, view.rows // 20)
                ):
                    self._replace(list(view.segments))
                return
            old: list[Segment] = []
            if len(exact) > _MANY_SEGMENTS or sum(map(len, exact)) >= rows // 8:
                old += exact
            coded_segments = [s for s in view.segments if s.kind == "sq8"]
            old += [s for s in coded_segments if np.isin(s.ids, view.dead).sum() > len(s) // 10]
            small = [s for s in coded_segments if len(s) < rows // 2 and s not in old]
            self._replace(old + (small if len(small) >= _MANY_SMALL else []))

    def _replace(self, old: Sequence[Segment]) -> None:
        """Puts one new segment, or as many as it takes, in place of the old; nobody waits."""
        if not old:
            return
        dead = self._view.dead
        new = self._rebuilt(old, dead)
        purged = np.concatenate([np.intersect1d(s.ids, dead) for s in old])
        with self._change:
            view = self._view
            others = [s for s in view.segments if not any(s is replaced for replaced in old)]
            still_dead = np.setdiff1d(view.dead, purged)
            self._view = replace(view, segments=(*new, *others), dead=still_dead)
        self._scored = None

    def _rebuilt(self, old: Sequence[Segment], dead: Ids) -> list[Segment]:
        if self._kind() == "flat":
            ids, digests, vectors = gather(old, dead)
            return [flat(ids, digests, vectors)] if len(ids) else []
        new: list[Segment] = []
        for group in _groups(old, self._settings.segment_rows):
            ids, digests, vectors = gather(group, dead)
            for start in range(0, len(ids), self._settings.segment_rows):
                rows = slice(start, start + self._settings.segment_rows)
                new.append(self._on_disk(coded(ids[rows], digests[rows], vectors[rows])))
        return new

    def _on_disk(self, segment: Segment) -> Segment:
        if self._snapshots is None or self._settings.read_only:
            return segment
        try:
            return self._snapshots.put(segment)
        except OSError as error:
            log.warning("snapshot_not_written", error=str(error))
            return segment


def _groups(segments: Sequence[Segment], rows: int) -> list[list[Segment]]:
    """Returns the segments in order, in groups of up to ``rows`` rows; a larger one by itself."""
    groups: list[list[Segment]] = []
    room = 0
    for segment in segments:
        if not groups or len(segment) > room:
            groups.append([])
            room = rows
        groups[-1].append(segment)
        room -= len(segment)
    return groups
