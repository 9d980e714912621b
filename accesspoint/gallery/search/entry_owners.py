"""Owners of entries, in memory: a search turns entry numbers into subjects by them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable

from accesspoint.gallery.records import Match, SearchResult
from accesspoint.gallery.search.index import Array, Ids


class EntryOwners:
    """Entry number -> subject and camera.

    One thread at a time changes it; reading in others meanwhile is safe.
    """

    def __init__(self) -> None:
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

    def put(self, entry_id: int, subject: str, camera: str) -> None:
        """Adds an entry, or gives it another owner."""
        self.drop([entry_id])
        self._owners[entry_id] = (sys.intern(subject), sys.intern(camera))
        self._entries_of[subject] += 1

    def drop(self, ids: Iterable[int]) -> None:
        """Removes entries; ids that are not there are passed over."""
        for entry_id in ids:
            if (owner := self._owners.pop(entry_id, None)) is not None:
                self._entries_of[owner[0]] -= 1
                if not self._entries_of[owner[0]]:
                    del self._entries_of[owner[0]]

    def move(self, ids: Iterable[int], subject: str) -> None:
        """Gives entries to another subject."""
        for entry_id in ids:
            if entry_id in self._owners:
                self.put(entry_id, subject, self._owners[entry_id][1])

    def ranked(self, scores: Array, ids: Ids, top_k: int, top_entries: int) -> SearchResult:
        """Turns ranked entries, scores and ids (k,), into ranked subjects and entries.

        An entry that was deleted while the index was searched is left out.
        """
        matches: dict[str, Match] = {}
        places = list[int]()
        for i, (score, entry_id) in enumerate(zip(scores.tolist(), ids.tolist(), strict=True)):
            owner = self._owners.get(entry_id)
            if owner is None:
                continue
            if len(places) < top_entries:
                places.append(i)
            if len(matches) < top_k and owner[0] not in matches:
                matches[owner[0]] = Match(owner[0], score, entry_id, owner[1])
            if len(matches) == top_k and len(places) >= top_entries:
                break
        return SearchResult(list(matches.values()), ids[places], scores[places])
