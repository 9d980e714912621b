"""Who is known, with or without entries: the part of the gallery that needs no index."""

from __future__ import annotations

import threading

from accesspoint.errors import NotFoundError
from accesspoint.gallery import records
from accesspoint.gallery.records import UNSET, Subject, Unset
from accesspoint.gallery.store.store import Store


class Subjects:
    """Subjects and settings of a store; safe in any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.RLock()
        """Held by whoever changes the store, until the indexes have followed."""
        self._settings_lock = threading.Lock()
        self._settings_read: dict[str, str | None] = {}

    def put_subject(
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
        with self._lock:
            created = self._store.put_subject(subject, display_name, note, expires_at)
            return self._existing(subject), created

    def patch_subject(
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
        with self._lock:
            self._store.patch_subject(subject, display_name, note, expires_at)
            return self._existing(subject)

    def _existing(self, subject: str) -> Subject:
        found = self._store.subject(subject)
        if found is None:
            raise NotFoundError(f"no subject {subject[:128]!r}")
        return found

    def subject(self, subject: str) -> Subject | None:
        return self._store.subject(subject)

    def subjects(self, after: str, limit: int, prefix: str = "") -> list[Subject]:
        """Up to ``limit`` subjects with ids above ``after`` that begin with ``prefix``."""
        return self._store.subjects(after, limit, prefix)

    def counts(self) -> tuple[int, int]:
        """(subjects, entries)"""
        return self._store.counts()

    def setting(self, key: str) -> str | None:
        """A small JSON document kept with the gallery, or None.

        Read from the file once: every search asks for the policy, and the file is busy
        for seconds while the pages of many deleted entries are given back.
        """
        if key not in self._settings_read:
            with self._settings_lock:
                self._settings_read[key] = self._store.setting(key)
        return self._settings_read[key]

    def set_setting(self, key: str, text: str) -> None:
        with self._settings_lock:
            self._store.set_setting(key, text)
            self._settings_read[key] = text


def _check_fields(display_name: str, note: str, expires_at: float | None) -> None:
    records.check_text(display_name, "display_name")
    records.check_text(note, "note")
    records.check_time(expires_at, "expires_at")
