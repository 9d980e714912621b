"""Subjects in the gallery's file: people who are known, with or without entries."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping

from accesspoint.errors import NotFoundError
from accesspoint.gallery import records
from accesspoint.gallery.records import UNSET, Subject, Unset
from accesspoint.gallery.store.database import Database
from airreid.subject_ids import ID_MAX

_SUBJECT = (
    "SELECT s.id, s.display_name, s.note, s.created_at, s.updated_at, "
    "(SELECT count(*) FROM entries e WHERE e.subject = s.id), s.expires_at FROM subjects s"
)
_NOT_OVER = "(s.expires_at IS NULL OR s.expires_at > ?2)"


class SubjectStore:
    """Reads and writes subjects, checked before they are stored; safe in any thread.

    Deleting and merging subjects changes entries too: see
    :class:`accesspoint.gallery.gallery.Gallery`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._before: Callable[[str], None] = lambda subject: None
        self._after: Callable[[str], None] = lambda subject: None

    def on_change(self, before: Callable[[str], None], after: Callable[[str], None]) -> None:
        """Calls ``before`` with a subject that is to be made or set, so that one of the name
        which has expired is gone then, and ``after`` when its expiry has been set."""
        self._before, self._after = before, after

    def put(
        self,
        subject: str,
        display_name: str | None = None,
        note: str | None = None,
        expires_at: float | None = None,
    ) -> tuple[Subject, bool]:
        """Makes a subject, or sets what is given of one that is there.

        Returns it and whether it is new. Raises :class:`InputError` for a bad field.
        """
        records.check_name(subject, "subject")
        _check_fields(display_name or "", note or "", expires_at)
        fields = {"display_name": display_name, "note": note, "expires_at": expires_at}
        given = {name: value for name, value in fields.items() if value is not None}
        self._database.check_room()
        self._before(subject)
        now = time.time()
        with self._database.writing() as db:
            created = make_subject(db, subject, now)
            update_subject(db, subject, given, now)
            stored = _subject(db, subject)
        if "expires_at" in given:
            self._after(subject)
        return stored, created

    def patch(
        self,
        subject: str,
        *,
        display_name: str | Unset = UNSET,
        note: str | Unset = UNSET,
        expires_at: float | Unset | None = UNSET,
    ) -> Subject:
        """Sets the fields given; None takes an expiry away.

        Raises :class:`NotFoundError`, and :class:`InputError` for a bad field.
        """
        _check_fields(
            "" if isinstance(display_name, Unset) else display_name,
            "" if isinstance(note, Unset) else note,
            None if isinstance(expires_at, Unset) else expires_at,
        )
        fields = {"display_name": display_name, "note": note, "expires_at": expires_at}
        given = {name: value for name, value in fields.items() if not isinstance(value, Unset)}
        self._database.check_room()
        self._before(subject)
        with self._database.writing() as db:
            _subject(db, subject)
            update_subject(db, subject, given, time.time())
            stored = _subject(db, subject)
        if "expires_at" in given:
            self._after(subject)
        return stored

    def get(self, subject: str) -> Subject | None:
        """Returns a subject by its id, or None; an expired one is none."""
        row = self._database.row(
            f"{_SUBJECT} WHERE s.id = ?1 AND {_NOT_OVER}", (subject, time.time())
        )
        return Subject(*row) if row else None

    def expiry(self, subject: str) -> float | None:
        """Returns when a subject expires, or has; None for never and for one that is not there."""
        row = self._database.row("SELECT expires_at FROM subjects WHERE id = ?", (subject,))
        return row[0] if row else None

    def existing(self, subject: str) -> Subject:
        """Returns a subject by its id. Raises :class:`NotFoundError`."""
        if (stored := self.get(subject)) is None:
            raise _missing(subject)
        return stored

    def page(self, after: str, limit: int, prefix: str = "") -> list[Subject]:
        """Returns up to ``limit`` subjects with ids above ``after`` that begin with ``prefix``;
        expired ones are left out."""
        rows = self._database.rows(
            f"{_SUBJECT} WHERE s.id > ?1 AND s.id BETWEEN ?3 AND ?3 || char(1114111) "
            f"AND substr(s.id, 1, length(?3)) = ?3 AND {_NOT_OVER} ORDER BY s.id LIMIT ?4",
            (after, time.time(), prefix, limit),
        )
        return [Subject(*row) for row in rows]


def make_subject(db: sqlite3.Connection, subject: str, now: float) -> bool:
    """Inserts a subject unless it is there, inside a transaction; whether it is new."""
    cursor = db.execute(
        "INSERT OR IGNORE INTO subjects (id, created_at, updated_at) VALUES (?, ?, ?)",
        (subject, now, now),
    )
    return cursor.rowcount > 0


def update_subject(
    db: sqlite3.Connection, subject: str, fields: Mapping[str, object], now: float
) -> None:
    """Sets columns of a subject inside a transaction; the names are this package's own."""
    for name, value in {**fields, "updated_at": now}.items():
        db.execute(f"UPDATE subjects SET {name} = ? WHERE id = ?", (value, subject))


def _subject(db: sqlite3.Connection, subject: str) -> Subject:
    row = db.execute(f"{_SUBJECT} WHERE s.id = ?", (subject,)).fetchone()
    if row is None:
        raise _missing(subject)
    return Subject(*row)


def _missing(subject: str) -> NotFoundError:
    return NotFoundError(f"no subject {subject[:ID_MAX]!r}")


def _check_fields(display_name: str, note: str, expires_at: float | None) -> None:
    records.check_text(display_name, "display_name")
    records.check_text(note, "note")
    records.check_time(expires_at, "expires_at")
