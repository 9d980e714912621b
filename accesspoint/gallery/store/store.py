"""The gallery on disk: whatever was acknowledged is in it, and all else can be made from it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accesspoint.errors import NotFoundError
from accesspoint.gallery.records import Entry, NewEntry, digest
from accesspoint.gallery.store import schema
from accesspoint.gallery.store.change_log import ChangeLog
from accesspoint.gallery.store.database import IDS_AT_ONCE, Database
from accesspoint.gallery.store.quarantine import Quarantine
from accesspoint.gallery.store.stored_features import Features, StoredFeatures
from accesspoint.gallery.store.stored_settings import StoredSettings
from accesspoint.gallery.store.subject_store import SubjectStore, make_subject, update_subject

_ENTRY = (
    "SELECT e.id, e.subject, e.camera, e.space_id, e.created_at, e.captured_at, e.quality, "
    "e.expires_at, EXISTS (SELECT 1 FROM thumbnails t WHERE t.entry = e.id), e.model_digest, "
    "e.key FROM entries e"
)
NOT_OVER = (
    "(e.expires_at IS NULL OR e.expires_at > ?2) AND NOT EXISTS "
    "(SELECT 1 FROM subjects p WHERE p.id = e.subject AND p.expires_at <= ?2)"
)
"""Condition on an entry ``e`` that has not expired at ?2, and whose subject has not."""

_COUNTED_AT_ONCE = 2_000
# The index by key holds keys that are not empty, and is used where a query says so. The plus sign
# keeps SQLite off the index by space, of which it would read every entry.
_KEYED = "subject = ? AND key = ? AND key != '' AND space_id = ?"
_SUBJECTS_OF_SPACE = (
    "SELECT count(*), max(id) FROM (SELECT s.id FROM subjects s WHERE s.id > ?2 AND EXISTS "
    "(SELECT 1 FROM entries e WHERE e.subject = s.id AND +e.space_id = ?1) ORDER BY s.id LIMIT ?3)"
)
_ODD = "GLOB '*[^A-Za-z0-9._:@+-]*'"
_ODD_NAMES = (
    f"SELECT id, subject {_ODD} OR camera {_ODD} OR key {_ODD} FROM entries "
    "WHERE id > ? ORDER BY id LIMIT ?"
)
"""Whether names have characters that none may have: see :func:`records.check_name`."""
_CAMERAS_OF_SPACE = (
    "SELECT camera, max(id) FROM (SELECT camera, id FROM entries WHERE space_id = ?1 AND id > ?2 "
    "ORDER BY id LIMIT ?3) GROUP BY camera"
)


class Added(NamedTuple):
    """Entries as they are stored, and what came and went with them."""

    entries: list[Entry]
    replaced: list[int]
    """Numbers of entries that had the same client key and were deleted for them."""
    new_subjects: frozenset[str]
    """Subjects that were not there before."""


class Store:
    """Entries in one SQLite file, with its subjects, settings and log of changes.

    Every method is safe in any thread and every write one transaction. Names and
    features have been checked by the caller.
    """

    def __init__(self, path: Path, read_only: bool = False) -> None:
        """Raises as :class:`accesspoint.gallery.store.database.Database` does."""
        self.path = path
        self.database = Database(path, read_only)
        self.subjects = SubjectStore(self.database)
        self.settings = StoredSettings(self.database)
        self.log = ChangeLog(self.database)
        self.quarantine = Quarantine(self.database)
        self.stored_features = StoredFeatures(self.database, self.quarantine)
        self.store_id = self.settings.get("store_id") or ""
        """Made with the file, so that an index of another file is known as such."""

    def close(self) -> None:
        """Closes the file. No call may follow."""
        self.database.close()

    def add_entries(self, entries: Sequence[NewEntry], origins: Sequence[int] = ()) -> Added:
        """Stores entries, and their subjects where new.

        ``origins`` names, for each entry, the one of another space that it was made from; raises
        :class:`NotFoundError`, and stores nothing, if that was deleted meanwhile.
        """
        self.database.check_room()
        stored, replaced, now = list[Entry](), list[int](), time.time()
        new_subjects: set[str] = set()
        with self.database.writing() as db:
            for i, entry in enumerate(entries):
                if origins and not _has_entry(db, origins[i]):
                    raise NotFoundError(f"no entry {origins[i]}")
                if make_subject(db, entry.subject, now):
                    new_subjects.add(entry.subject)
                if entry.key:
                    deleted = db.execute(
                        f"DELETE FROM entries WHERE {_KEYED} RETURNING id",
                        (entry.subject, entry.key, entry.space_id),
                    ).fetchall()
                    replaced += [row[0] for row in deleted]
                data = entry.feature.astype("<f4").tobytes()
                number = db.execute(
                    "INSERT INTO entries (subject, camera, space_id, model_digest, key, "
                    "created_at, captured_at, quality, expires_at, digest, origin) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        entry.subject,
                        entry.camera,
                        entry.space_id,
                        entry.model_digest,
                        entry.key,
                        now,
                        entry.captured_at,
                        entry.quality,
                        entry.expires_at,
                        digest(data),
                        origins[i] if origins else None,
                    ),
                ).lastrowid
                assert number is not None
                db.execute("INSERT INTO features VALUES (?, ?)", (number, data))
                if entry.thumbnail is not None:
                    db.execute("INSERT INTO thumbnails VALUES (?, ?)", (number, entry.thumbnail))
                stored.append(
                    Entry(
                        number,
                        entry.subject,
                        entry.camera,
                        entry.space_id,
                        now,
                        entry.captured_at,
                        entry.quality,
                        entry.expires_at,
                        entry.thumbnail is not None,
                        entry.model_digest,
                        entry.key,
                    )
                )
        if replaced:
            self.database.empty_log()
        return Added(stored, replaced, frozenset(new_subjects))

    def delete_subject(self, subject: str) -> list[int] | None:
        """Deletes a subject. Returns the numbers of its entries, or None if there was none."""

        def delete(db: sqlite3.Connection) -> tuple[list[int], int]:
            rows = db.execute("DELETE FROM entries WHERE subject = ? RETURNING id", (subject,))
            numbers = sorted(row[0] for row in rows.fetchall())
            return numbers, db.execute("DELETE FROM subjects WHERE id = ?", (subject,)).rowcount

        ids, existed = self.database.deleting(delete)
        self.database.empty_log()
        return ids if existed else None

    def delete_entries(self, ids: Sequence[int]) -> list[bool]:
        """Deletes entries by number. Returns for each whether it was there."""

        def delete(db: sqlite3.Connection) -> list[bool]:
            query = "DELETE FROM entries WHERE id = ?"
            return [db.execute(query, (number,)).rowcount > 0 for number in ids]

        existed = self.database.deleting(delete)
        if any(existed):
            self.database.empty_log()
        return existed

    def delete_expired(self, now: float) -> tuple[list[int], list[str]]:
        """Deletes whatever expired at or before ``now``.

        Returns numbers of entries and ids of subjects.
        """

        def delete(db: sqlite3.Connection) -> tuple[list[int], list[str]]:
            entries = db.execute(
                "DELETE FROM entries WHERE expires_at <= ?1 OR subject IN "
                "(SELECT id FROM subjects WHERE expires_at <= ?1) RETURNING id",
                (now,),
            ).fetchall()
            query = "DELETE FROM subjects WHERE expires_at <= ? RETURNING id"
            subjects = db.execute(query, (now,)).fetchall()
            return sorted(row[0] for row in entries), [row[0] for row in subjects]

        expired = self.database.deleting(delete)
        if any(expired):
            self.database.empty_log()
        return expired

    def merge_subjects(self, source: str, into: str) -> list[int]:
        """Gives ``source``'s entries to ``into`` and deletes ``source``.

        Returns the numbers of the entries moved. An entry whose client key ``into`` has as
        well loses the key. Raises :class:`NotFoundError` if one is missing.
        """
        with self.database.writing() as db:
            for name in (source, into):
                if not db.execute("SELECT 1 FROM subjects WHERE id = ?", (name,)).fetchone():
                    raise NotFoundError(f"no subject {name!r}")
            db.execute(
                "UPDATE entries SET key = '' WHERE subject = ?1 AND key != '' AND EXISTS (SELECT 1 "
                "FROM entries o WHERE o.subject = ?2 AND o.key = entries.key AND o.key != '' "
                "AND o.space_id = entries.space_id)",
                (source, into),
            )
            moved = db.execute(
                "UPDATE entries SET subject = ? WHERE subject = ? RETURNING id", (into, source)
            ).fetchall()
            db.execute("DELETE FROM subjects WHERE id = ?", (source,))
            update_subject(db, into, {}, time.time())
        self.database.empty_log()
        return sorted(row[0] for row in moved)

    def counts(self) -> tuple[int, int]:
        """Returns how many (subjects, entries) there are."""
        row: tuple[int, int] = self.database.row(
            "SELECT (SELECT count(*) FROM subjects), (SELECT count(*) FROM entries)"
        )
        return row

    def space_counts(self, space_id: str) -> tuple[int, int]:
        """Returns how many (subjects, cameras) have entries of a space; 2 cameras are two or more.

        Counts in parts, between which other readers go on: a large gallery takes a second.
        """
        subjects, last_subject = 0, ""
        while True:
            part = (space_id, last_subject, _COUNTED_AT_ONCE)
            count, last_subject = self.database.row(_SUBJECTS_OF_SPACE, part)
            if not count:
                break
            subjects += count
        cameras, after = set[str](), 0
        while len(cameras) < 2:
            rows = self.database.rows(_CAMERAS_OF_SPACE, (space_id, after, _COUNTED_AT_ONCE))
            if not rows:
                break
            cameras.update(camera for camera, _ in rows)
            after = max(last for _, last in rows)
        return subjects, min(2, len(cameras))

    def odd_names(self) -> list[int]:
        """Returns the numbers of entries whose subject, camera or key was altered in the file.

        Looks at some at a time, between which other readers go on.
        """
        odd, after = list[int](), 0
        while rows := self.database.rows(_ODD_NAMES, (after, _COUNTED_AT_ONCE)):
            odd += [number for number, is_odd in rows if is_odd]
            after = rows[-1][0]
        return odd

    def entry(self, entry_id: int) -> Entry | None:
        """Returns an entry by its number, or None; an expired one is none."""
        query = f"{_ENTRY} WHERE e.id = ?1 AND {NOT_OVER}"
        row = self.database.row(query, (entry_id, time.time()))
        return _entry(row) if row else None

    def entries(
        self, after: int, limit: int, subject: str = "", camera: str = "", space_id: str = ""
    ) -> list[Entry]:
        """Returns up to ``limit`` entries with numbers above ``after``, in order; an empty
        filter takes all. Expired ones are left out."""
        where, values = f"e.id > ?1 AND {NOT_OVER}", list[int | str | float]([after, time.time()])
        indexed = ""
        for column, value in (("subject", subject), ("camera", camera), ("space_id", space_id)):
            if value:
                where += f" AND {indexed}e.{column} = ?"
                values.append(value)
                indexed = "+"  # the first filter leaves the fewest
        rows = self.database.rows(f"{_ENTRY} WHERE {where} ORDER BY e.id LIMIT ?", (*values, limit))
        return [_entry(row) for row in rows]

    def entry_numbers(self, subject: str, space_id: str) -> NDArray[np.int64]:
        """Returns the numbers of a subject's entries of a space, in order; expired ones, and
        those that are known to be damaged, are left out."""
        rows = self.database.rows(
            f"SELECT e.id FROM entries e WHERE e.subject = ?1 AND {NOT_OVER} AND +e.space_id = ?3 "
            "ORDER BY e.id",
            (subject, time.time(), space_id),
        )
        return np.array([number for (number,) in rows if number not in self.quarantine], np.int64)

    def has_key(self, subject: str, key: str, space_id: str) -> bool:
        """Tells whether a subject has an entry with this client key in a space."""
        query = f"SELECT 1 FROM entries WHERE {_KEYED}"
        return bool(key) and self.database.row(query, (subject, key, space_id)) is not None

    def keyed_entry(self, subject: str, key: str, space_id: str) -> Entry | None:
        """Returns a subject's entry with this client key in a space, or None; one that is
        damaged or has expired is none."""
        row = self.database.row(
            f"{_ENTRY} WHERE e.subject = ?1 AND {NOT_OVER} AND e.key = ?3 AND e.key != '' "
            "AND e.space_id = ?4",
            (subject, time.time(), key, space_id),
        )
        entry = _entry(row) if row else None
        return None if entry is None or entry.id in self.quarantine else entry

    def prepare_import(self) -> None:
        """Makes the index that :meth:`same_entry` is quick by, where there is none yet.

        It stays in the file, which older versions keep up as they do any index.
        """
        with self.database.writing() as db:
            db.execute(schema.BY_DIGEST)

    def same_entry(self, entry: NewEntry) -> int:
        """Returns the number of a subject's entry with the same feature or client key, or 0."""
        feature_digest = digest(entry.feature.astype("<f4").tobytes())
        row = self.database.row(
            "SELECT id FROM entries WHERE subject = ? AND digest = ? AND +space_id = ? "
            "ORDER BY id LIMIT 1",
            (entry.subject, feature_digest, entry.space_id),
        )
        numbers = [] if row is None else [row[0]]
        if entry.key:
            values = (entry.subject, entry.key, entry.space_id)
            row = self.database.row(f"SELECT id FROM entries WHERE {_KEYED}", values)
            numbers += [] if row is None else [row[0]]
        return min(numbers, default=0)

    def thumbnail(self, entry_id: int) -> bytes | None:
        """Returns the encoded image kept with an entry, or None."""
        row = self.database.row(
            "SELECT t.data FROM thumbnails t JOIN entries e ON e.id = t.entry "
            f"WHERE t.entry = ?1 AND {NOT_OVER}",
            (entry_id, time.time()),
        )
        return row[0] if row else None

    def expiring(self) -> tuple[list[tuple[int, float]], list[tuple[str, float]]]:
        """Returns (entry number, time) and (subject, time) of all that expire some day."""
        query = "SELECT id, expires_at FROM {} WHERE expires_at IS NOT NULL"
        return self.database.rows(query.format("entries")), self.database.rows(
            query.format("subjects")
        )

    def owners(self, space_id: str, after: int, limit: int) -> list[tuple[int, str, str, int]]:
        """Returns (entry number, subject, camera, digest) of up to ``limit`` entries of a space
        with numbers above ``after``, in order, damaged ones included."""
        return self.database.rows(
            "SELECT id, subject, camera, digest FROM entries WHERE space_id = ? AND id > ? "
            "ORDER BY id LIMIT ?",
            (space_id, after, limit),
        )

    def owners_of(self, ids: Sequence[int]) -> list[tuple[int, str, str, int]]:
        """Returns (entry number, subject, camera, digest) of these entries, in any order;
        those that are not there, or damaged, are left out."""
        rows: list[tuple[int, str, str, int]] = []
        ids = [number for number in ids if number not in self.quarantine]
        for start in range(0, len(ids), IDS_AT_ONCE):
            batch = tuple(ids[start : start + IDS_AT_ONCE])
            rows += self.database.rows(
                "SELECT id, subject, camera, digest FROM entries "
                f"WHERE id IN ({','.join('?' * len(batch))})",
                batch,
            )
        return rows

    def ids_and_digests(self, space_id: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns (entry numbers, digests of features) of everything in a space that is not
        damaged, in order."""
        rows = self.database.rows(
            "SELECT id, digest FROM entries WHERE space_id = ? ORDER BY id", (space_id,)
        )
        pairs = np.asarray(rows, dtype=np.int64).reshape(-1, 2)
        if self.quarantine.ids:
            pairs = pairs[~np.isin(pairs[:, 0], list(self.quarantine.ids))]
        return pairs[:, 0].copy(), pairs[:, 1].copy()

    def features(self, ids: Sequence[int], space_id: str = "") -> Features:
        """Returns the features of these entries, by number; those that are not there, not of
        the space, or damaged, are left out."""
        return self.stored_features.of(ids, space_id)

    def all_features(self, space_id: str, chunk: int = 2048) -> Iterator[Features]:
        """Yields all features of a space in chunks, by number, damaged ones left out."""
        return self.stored_features.chunks(space_id, chunk)

    def spaces(self) -> dict[str, int]:
        """Returns the number of entries of each feature space."""
        return dict(self.database.rows("SELECT space_id, count(*) FROM entries GROUP BY space_id"))


def _has_entry(db: sqlite3.Connection, entry_id: int) -> bool:
    return db.execute("SELECT 1 FROM entries WHERE id = ?", (entry_id,)).fetchone() is not None


def _entry(row: tuple[object, ...]) -> Entry:
    *first, has_thumbnail, model_digest, key = row
    return Entry(*first, bool(has_thumbnail), model_digest, key)  # type: ignore[arg-type, call-arg]
