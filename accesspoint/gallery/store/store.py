"""The gallery on disk: what is acknowledged is in it; everything else can be made from it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accesspoint.errors import NotFoundError
from accesspoint.gallery.records import (
    UNSET,
    Entry,
    NewEntry,
    Subject,
    Unset,
    digest,
)
from accesspoint.gallery.store.change_log import LoggedDatabase

_SUBJECT = (
    "SELECT s.id, s.display_name, s.note, s.created_at, s.updated_at, "
    "(SELECT count(*) FROM entries e WHERE e.subject = s.id), s.expires_at FROM subjects s"
)
_ENTRY = (
    "SELECT e.id, e.subject, e.camera, e.space_id, e.created_at, e.captured_at, e.quality, "
    "e.expires_at, EXISTS (SELECT 1 FROM thumbnails t WHERE t.entry = e.id), e.model_digest, "
    "e.key FROM entries e"
)


@dataclass(frozen=True)
class Features:
    """Entries of one space with what an index is made of."""

    ids: NDArray[np.int64]
    digests: NDArray[np.int64]
    features: NDArray[np.float32]
    """(n, feature_dim)"""


class Store(LoggedDatabase):
    """Subjects, entries, settings and the log of changes, in one SQLite file.

    Every method is safe in any thread and every write one transaction. Names and
    features have been checked by the caller.
    """

    def __init__(self, path: Path) -> None:
        """Raises :class:`InputError` for a file that is in use, damaged or no gallery."""
        super().__init__(path)
        self.store_id = self.setting("store_id") or ""
        """Made with the file, so that an index of another file is known as such."""

    def put_subject(
        self,
        subject: str,
        display_name: str | None = None,
        note: str | None = None,
        expires_at: float | None = None,
    ) -> bool:
        """Makes a subject, True, or sets what is given of one that is there, False."""
        now = time.time()
        with self.writing() as db:
            created = _make_subject(db, subject, now)
            fields = {"display_name": display_name, "note": note, "expires_at": expires_at}
            given = {name: value for name, value in fields.items() if value is not None}
            _set(db, subject, given, now)
        return created

    def patch_subject(
        self,
        subject: str,
        display_name: str | Unset = UNSET,
        note: str | Unset = UNSET,
        expires_at: float | Unset | None = UNSET,
    ) -> bool:
        """Sets the fields given; False if there is no such subject."""
        fields = {"display_name": display_name, "note": note, "expires_at": expires_at}
        given = {name: v for name, v in fields.items() if not isinstance(v, Unset)}
        with self.writing() as db:
            found = db.execute("SELECT 1 FROM subjects WHERE id = ?", (subject,)).fetchone()
            if found:
                _set(db, subject, given, time.time())
        return found is not None

    def add_entries(
        self, entries: Sequence[NewEntry], origins: Sequence[int] = ()
    ) -> tuple[list[Entry], list[int]]:
        """Stores entries, and their subjects where new.

        Returns the stored entries, and the numbers of those that had the same client
        key and were deleted for them. ``origins`` names, for each entry, the one of
        another space that it was made from; raises :class:`NotFoundError`, and stores
        nothing, if that was deleted meanwhile.
        """
        stored, replaced, now = list[Entry](), list[int](), time.time()
        with self.writing() as db:
            for i, entry in enumerate(entries):
                if origins and not _has_entry(db, origins[i]):
                    raise NotFoundError(f"no entry {origins[i]}")
                _make_subject(db, entry.subject, now)
                if entry.key:
                    gone = db.execute(
                        "DELETE FROM entries WHERE subject = ? AND key = ? AND space_id = ? "
                        "RETURNING id",
                        (entry.subject, entry.key, entry.space_id),
                    ).fetchall()
                    replaced += [row[0] for row in gone]
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
            self.empty_log()
        return stored, replaced

    def delete_subject(self, subject: str) -> list[int] | None:
        """Deletes a subject; the numbers of its entries, or None if there was none."""
        with self.writing() as db:
            ids = db.execute("DELETE FROM entries WHERE subject = ? RETURNING id", (subject,))
            numbers = sorted(row[0] for row in ids.fetchall())
            gone = db.execute("DELETE FROM subjects WHERE id = ?", (subject,)).rowcount
        self.empty_log()
        return numbers if gone else None

    def delete_entries(self, ids: Sequence[int]) -> list[bool]:
        """Deletes entries by number; for each whether it was there."""
        with self.writing() as db:
            gone = [
                db.execute("DELETE FROM entries WHERE id = ?", (number,)).rowcount > 0
                for number in ids
            ]
        if any(gone):
            self.empty_log()
        return gone

    def delete_expired(self, now: float) -> tuple[list[int], list[str]]:
        """Deletes what expired at or before ``now``: numbers of entries, ids of subjects."""
        with self.writing() as db:
            entries = db.execute(
                "DELETE FROM entries WHERE expires_at <= ?1 OR subject IN "
                "(SELECT id FROM subjects WHERE expires_at <= ?1) RETURNING id",
                (now,),
            ).fetchall()
            subjects = db.execute(
                "DELETE FROM subjects WHERE expires_at <= ? RETURNING id", (now,)
            ).fetchall()
        if entries or subjects:
            self.empty_log()
        return sorted(row[0] for row in entries), [row[0] for row in subjects]

    def merge_subjects(self, source: str, into: str) -> list[int]:
        """Gives ``source``'s entries to ``into`` and deletes ``source``; the numbers moved.

        An entry whose client key ``into`` has as well loses the key. Raises
        :class:`NotFoundError` if one is missing.
        """
        with self.writing() as db:
            for name in (source, into):
                if not db.execute("SELECT 1 FROM subjects WHERE id = ?", (name,)).fetchone():
                    raise NotFoundError(f"no subject {name!r}")
            db.execute(
                "UPDATE entries SET key = '' WHERE subject = ?1 AND EXISTS (SELECT 1 FROM "
                "entries o WHERE o.subject = ?2 AND o.key = entries.key "
                "AND o.space_id = entries.space_id)",
                (source, into),
            )
            moved = db.execute(
                "UPDATE entries SET subject = ? WHERE subject = ? RETURNING id", (into, source)
            ).fetchall()
            db.execute("DELETE FROM subjects WHERE id = ?", (source,))
            _set(db, into, {}, time.time())
        self.empty_log()
        return sorted(row[0] for row in moved)

    def counts(self) -> tuple[int, int]:
        """(subjects, entries)"""
        row: tuple[int, int] = self.row(
            "SELECT (SELECT count(*) FROM subjects), (SELECT count(*) FROM entries)"
        )
        return row

    def subject(self, subject: str) -> Subject | None:
        row = self.row(f"{_SUBJECT} WHERE s.id = ?", (subject,))
        return Subject(*row) if row else None

    def subjects(self, after: str, limit: int, prefix: str = "") -> list[Subject]:
        """Up to ``limit`` subjects with ids above ``after`` that begin with ``prefix``."""
        rows = self.rows(
            f"{_SUBJECT} WHERE s.id > ?1 AND s.id >= ?3 AND substr(s.id, 1, length(?3)) = ?3 "
            "ORDER BY s.id LIMIT ?2",
            (after, limit, prefix),
        )
        return [Subject(*row) for row in rows]

    def entry(self, entry_id: int) -> Entry | None:
        row = self.row(f"{_ENTRY} WHERE e.id = ?", (entry_id,))
        return _entry(row) if row else None

    def entries(
        self, after: int, limit: int, subject: str = "", camera: str = "", space_id: str = ""
    ) -> list[Entry]:
        """Up to ``limit`` entries with numbers above ``after``; an empty filter takes all."""
        where, given = "e.id > ?", list[int | str]([after])
        for column, value in (("subject", subject), ("camera", camera), ("space_id", space_id)):
            if value:
                where += f" AND e.{column} = ?"
                given.append(value)
        rows = self.rows(f"{_ENTRY} WHERE {where} ORDER BY e.id LIMIT ?", (*given, limit))
        return [_entry(row) for row in rows]

    def has_key(self, subject: str, key: str, space_id: str) -> bool:
        """Whether a subject has an entry with this client key in a space."""
        query = "SELECT 1 FROM entries WHERE subject = ? AND key = ? AND space_id = ?"
        return bool(key) and self.row(query, (subject, key, space_id)) is not None

    def thumbnail(self, entry_id: int) -> bytes | None:
        row = self.row("SELECT data FROM thumbnails WHERE entry = ?", (entry_id,))
        return row[0] if row else None

    def owners(self, space_id: str, after: int, limit: int) -> list[tuple[int, str, str, int]]:
        """(entry number, subject, camera, digest) of entries of a space, by number."""
        return self.rows(
            "SELECT id, subject, camera, digest FROM entries WHERE space_id = ? AND id > ? "
            "ORDER BY id LIMIT ?",
            (space_id, after, limit),
        )

    def features(self, ids: Sequence[int], space_id: str = "") -> Features:
        """What is stored of these entries, by number; those that are not there, or not of
        the space, left out."""
        rows: list[tuple[int, int, bytes]] = []
        for start in range(0, len(ids), 500):
            part = tuple(ids[start : start + 500])
            rows += self.rows(
                "SELECT e.id, e.digest, f.data FROM entries e JOIN features f ON f.entry = e.id "
                f"WHERE e.id IN ({','.join('?' * len(part))}) AND ? IN ('', e.space_id)",
                (*part, space_id),
            )
        return _features(rows)

    def all_features(self, space_id: str, chunk: int = 2048) -> Iterator[Features]:
        """Everything of a space in chunks, by number."""
        after = 0
        while rows := self.rows(
            "SELECT e.id, e.digest, f.data FROM entries e JOIN features f ON f.entry = e.id "
            "WHERE e.space_id = ? AND e.id > ? ORDER BY e.id LIMIT ?",
            (space_id, after, chunk),
        ):
            after = rows[-1][0]
            yield _features(rows)

    def spaces(self) -> dict[str, int]:
        """Number of entries of each feature space."""
        return dict(self.rows("SELECT space_id, count(*) FROM entries GROUP BY space_id"))


def _has_entry(db: sqlite3.Connection, entry_id: int) -> bool:
    return db.execute("SELECT 1 FROM entries WHERE id = ?", (entry_id,)).fetchone() is not None


def _make_subject(db: sqlite3.Connection, subject: str, now: float) -> bool:
    cursor = db.execute(
        "INSERT OR IGNORE INTO subjects (id, created_at, updated_at) VALUES (?, ?, ?)",
        (subject, now, now),
    )
    return cursor.rowcount > 0


def _set(db: sqlite3.Connection, subject: str, fields: Mapping[str, object], now: float) -> None:
    for name, value in {**fields, "updated_at": now}.items():  # names from this module alone
        db.execute(f"UPDATE subjects SET {name} = ? WHERE id = ?", (value, subject))


def _entry(row: tuple[object, ...]) -> Entry:
    entry = Entry(*row)  # type: ignore[arg-type]
    return replace(entry, has_thumbnail=bool(entry.has_thumbnail))


def _features(rows: list[tuple[int, int, bytes]]) -> Features:
    rows = sorted(rows)
    features = [np.frombuffer(data, dtype="<f4") for _, _, data in rows]
    return Features(
        np.asarray([number for number, _, _ in rows], dtype=np.int64),
        np.asarray([mark for _, mark, _ in rows], dtype=np.int64),
        np.stack(features).astype(np.float32) if rows else np.zeros((0, 0), np.float32),
    )
