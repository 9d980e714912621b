"""Owners of entries, in memory: a search turns entry numbers into subjects by them."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter

from accesspoint.gallery.records import Match, SearchResult
from accesspoint.gallery.search.expiries import Expiries
from accesspoint.gallery.search.index import Array, Ids

_AT_ONCE = 256
"""Entries whose owners are looked up together."""
_subject_of = itemgetter(0)


class EntryOwners:
    """Entry number -> subject and camera.

    One thread at a time changes it; reading in others meanwhile is safe.
    """

    def __init__(self) -> None:
        self.expiries = Expiries()
        self._owners: dict[int, tuple[str, str]] = {}
        self._entries_of: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._owners)

    def __contains__(self, entry_id: int) -> bool:
        return entry_id in self._owners

    @property
    def subjects(self) -> int:
        """Number of subjects that have entries."""
        return len(self._entries_of)

    def put(
        self, entry_id: int, subject: str, camera: str, expires_at: float | None = None
    ) -> None:
        """Adds an entry."""
        self.drop([entry_id])
        self._own(entry_id, subject, camera)
        if expires_at is not None:
            self.expiries.set_entry(entry_id, expires_at)

    def _own(self, entry_id: int, subject: str, camera: str) -> None:
        self._owners[entry_id] = (sys.intern(subject), sys.intern(camera))
        self._entries_of[subject] += 1

    def drop(self, ids: Iterable[int]) -> None:
        """Removes entries; ids that are not there are passed over."""
        for entry_id in ids:
            if (owner := self._owners.pop(entry_id, None)) is not None:
                if self.expiries:
                    self.expiries.set_entry(entry_id, None)
                self._disown(owner[0])

    def _disown(self, subject: str) -> None:
        self._entries_of[subject] -= 1
        if not self._entries_of[subject]:
            del self._entries_of[subject]

    def move(self, ids: Iterable[int], subject: str) -> None:
        """Gives entries to another subject; they expire as they would have."""
        for entry_id in ids:
            if (owner := self._owners.get(entry_id)) is not None:
                self._own(entry_id, subject, owner[1])
                self._disown(owner[0])

    def ranked(self, scores: Array, ids: Ids, top_k: int, top_entries: int) -> SearchResult:
        """Turns ranked entries, scores and ids (k,), into ranked subjects and entries.

        An entry that was deleted while the index was searched, or has expired, is left out.
        """
        now = time.time() if self.expiries else 0.0
        matches: dict[str, Match] = {}
        places = list[int]()
        for i, score, entry_id, owner in self._met(
            scores, ids, lambda subjects: len(places) >= top_entries and subjects <= matches.keys()
        ):
            if now and self.expiries.over(entry_id, owner[0], now):
                continue
            if len(places) < top_entries:
                places.append(i)
            if len(matches) < top_k and owner[0] not in matches:
                matches[owner[0]] = Match(owner[0], score, entry_id, owner[1])
            if len(matches) == top_k and len(places) >= top_entries:
                break
        return SearchResult(list(matches.values()), ids[places], scores[places])

    def _met(
        self, scores: Array, ids: Ids, may_skip: Callable[[set[str]], bool]
    ) -> Iterator[tuple[int, float, int, tuple[str, str]]]:
        """Yields place, score, id and owner of ranked entries that have one.

        Some entries at a time are passed over where ``may_skip`` says so of their subjects: one
        person may have tens of thousands, one after another.
        """
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE].tolist()
            owners = [*map(self._owners.get, part)]
            if may_skip(set(map(_subject_of, filter(None, owners)))):
                continue
            part_scores = scores[start : start + _AT_ONCE].tolist()
            for i, (score, entry_id, owner) in enumerate(
                zip(part_scores, part, owners, strict=True), start
            ):
                if owner is not None:
                    yield i, score, entry_id, owner

    def best_scores(self, scores: Array, ids: Ids, count: int) -> list[float]:
        """Returns the scores of the best ``count`` subjects, by their best entries.

        scores, ids: (k,), as :meth:`ranked` takes them.
        """
        now = time.time() if self.expiries else 0.0
        best: dict[str, float] = {}
        for _, score, entry_id, owner in self._met(
            scores, ids, lambda subjects: subjects <= best.keys()
        ):
            if now and self.expiries.over(entry_id, owner[0], now):
                continue
            if owner[0] not in best:
                best[owner[0]] = score
                if len(best) == count:
                    break
        return list(best.values())
