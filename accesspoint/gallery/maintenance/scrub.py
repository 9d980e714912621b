"""Scrub: everything that a gallery keeps is read and compared, and what can be mended is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from accesspoint.errors import StorageError
from accesspoint.gallery.maintenance.archive_format import Tick
from accesspoint.gallery.search.index import Array, Ids, Index
from accesspoint.gallery.search.scheme_indexes import SchemeIndexes
from accesspoint.gallery.search.segmented_index import SegmentedIndex
from accesspoint.gallery.store.store import Store
from accesspoint.gallery.store.stored_features import ALTERED, altered
from airreid import log

NAMED = 100
"""Most entries, and most problems of one kind, that a report names."""
_ROWS = 512
_SAMPLE, _NEAREST, _SAME = 64, 8, 0.99
"""Entries of an index whose vectors are compared; hits that are asked for; the least score of an
entry with itself."""
Pause = Callable[[], object]


@dataclass(frozen=True)
class ScrubReport:
    """Finds of a scrub, place by place."""

    entries: int
    """Entries whose features were compared with their digests."""
    damaged: tuple[int, ...]
    """Entries whose stored feature is not the one that was enrolled, at most a hundred: they
    are in quarantine, until they are enrolled anew or deleted."""
    damaged_count: int
    released: tuple[int, ...]
    """Entries that were in quarantine and are whole after all."""
    store: tuple[str, ...]
    """Faults of the gallery's file."""
    indexes: tuple[str, ...]
    """Indexes and snapshots that were not as the store has it, and were made anew from it."""

    @property
    def clean(self) -> bool:
        """Whether nothing was found anywhere."""
        return not (self.damaged_count or self.store or self.indexes)


class Scrub:
    """One scrub of a gallery at a time, beside everything else that it does."""

    def __init__(
        self,
        store: Store,
        indexes: SchemeIndexes,
        lock: threading.RLock,
        readmit: Callable[[list[int]], None],
    ) -> None:
        """``lock`` is the gallery's. ``readmit`` is told of entries that are whole after all."""
        self._store, self._indexes, self._lock = store, indexes, lock
        self._readmit = readmit
        self._one_at_a_time = threading.Lock()

    def run(self, space_id: str, tick: Tick, pause: Pause = lambda: None) -> ScrubReport:
        """Reads everything, with a ``pause`` after each piece. ``space_id`` is the one served."""
        with self._one_at_a_time:
            store = self._of_file()
            entries, damaged, released = self._of_features(tick, pause)
            indexes = []
            for name, index in self._indexes.live.items():
                pause()
                if problem := self._of_index(name, index, space_id):
                    log.warning("index_made_anew", index=name, reason=problem)
                    indexes.append(f"{name}: {problem}")
                    self._indexes.make_anew(name)
        return ScrubReport(
            entries, tuple(damaged[:NAMED]), len(damaged), released, store, tuple(indexes)
        )

    def _of_file(self) -> tuple[str, ...]:
        database = self._store.database
        problems = [database.files_problem()]
        try:
            verdict = database.verdict()
        except StorageError as error:
            problems.append(str(error))
        else:
            if verdict != "ok":
                problems.append(f"the file is damaged ({verdict}); restore a backup")
        broken = database.rows("PRAGMA foreign_key_check")
        if broken:
            tables = ", ".join(sorted({row[0] for row in broken}))
            problems.append(f"{len(broken)} rows of {tables} belong to nothing; restore a backup")
        if odd := self._store.odd_names():
            shown = ", ".join(map(str, odd[:NAMED]))
            problems.append(
                f"{len(odd)} entries have names that none can have ({shown}): delete them, or "
                "restore a backup"
            )
        return tuple(problem for problem in problems if problem)

    def _of_features(self, tick: Tick, pause: Pause) -> tuple[int, list[int], tuple[int, ...]]:
        """Compares every feature. Returns how many, those damaged, and those that are whole."""
        quarantine, spaces = self._store.quarantine, self._store.spaces()
        total, done = sum(spaces.values()), 0
        damaged: list[int] = []
        whole: list[int] = []
        tick(0, total)
        for space_id in spaces:
            for rows in self._store.stored_features.rows(space_id, _ROWS):
                bad = altered(rows)
                damaged += bad
                whole += {row[0] for row in rows if row[0] in quarantine} - set(bad)
                quarantine.put(dict.fromkeys(bad, ALTERED))
                done += len(rows)
                tick(min(done, total), total)
                pause()
        released = tuple(sorted(whole))
        if released and not self._store.database.read_only:
            quarantine.release(released)
            self._readmit(list(released))
        return done, damaged, released

    def _of_index(self, name: str, index: Index, space_id: str) -> str:
        """Returns how an index differs from the store, or its snapshot from itself."""
        if isinstance(index, SegmentedIndex) and (problem := index.snapshot_problem()):
            return problem
        # Without the lock first: nobody need wait for an index that is right.
        if self._differences(index, space_id):
            with self._lock:
                if problem := self._differences(index, space_id):
                    return problem
        return self._vectors(name, index, space_id)

    def _differences(self, index: Index, space_id: str) -> str:
        stored = _pairs(*self._store.ids_and_digests(space_id))
        held = _pairs(*index.held())
        if stored == held:
            return ""
        foreign = len([number for number in held if stored.get(number) != held[number]])
        missing = len([number for number in stored if number not in held])
        return f"holds {foreign} entries that the store has not, lacks {missing} that it has"

    def _vectors(self, name: str, index: Index, space_id: str) -> str:
        """Searches for some entries by their own embeddings."""
        ids = np.sort(index.held()[0])
        if not len(ids):
            return ""
        places = np.unique(np.linspace(0, len(ids) - 1, _SAMPLE).astype(int))
        features = self._store.features(ids[places].tolist(), space_id)
        if not len(features.ids):
            return ""
        embeddings = self._indexes.embed(name, features.features)
        usable = np.linalg.norm(embeddings, axis=1) > 0
        if not usable.any():
            return ""
        scores, hits = index.search(embeddings[usable], _NEAREST)
        entries = features.ids[usable]
        lost = [
            int(number)
            for number, row, best in zip(entries, hits, scores, strict=True)
            if not _finds(int(number), row, best)
        ]
        lost = [number for number in lost if len(self._store.features([number]).ids)]  # still there
        return f"does not find entry {lost[0]} by its own embedding" if lost else ""


def _finds(number: int, hits: Ids, scores: Array) -> bool:
    """Tells whether an entry's own embedding finds it, or as many others that are the same."""
    itself = scores[hits == number]
    return bool((itself if len(itself) else scores[:1]).max(initial=-1) >= _SAME)


def _pairs(ids: Ids, digests: Ids) -> Mapping[int, int]:
    return dict(zip(ids.tolist(), digests.tolist(), strict=True))
