"""Service behind the gallery's interfaces; knows neither HTTP nor gRPC.

Every method that changes something takes who asks for it, and writes the audit log: what has
no line is not acknowledged, and :class:`accesspoint.errors.StorageError` says so.
Errors are those of :mod:`accesspoint.errors` and :class:`airreid.errors.InputError`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from accesspoint.api.audit import Audit
from accesspoint.api.auth import Principal
from accesspoint.api.enrolment import ITEMS_MAX, Candidate, Enrolled, Enrolment, Verdict
from accesspoint.api.metrics import Metrics
from accesspoint.api.paging import Pager, limit
from accesspoint.api.problems import kind_of
from accesspoint.api.search_service import SearchService
from accesspoint.errors import NotFoundError, TooLargeError
from accesspoint.gallery.opening import ServedGallery, writable_part
from accesspoint.gallery.records import UNSET, Entry, Subject, Unset, check_text
from airreid.bundle import Bundle
from airreid.errors import AirReidError, InputError
from airreid.subject_ids import ID_MAX

_NUMBERS = 2**63
"""Bound of entry numbers."""


@dataclass(frozen=True)
class State:
    """Description of what is served."""

    bundle_id: str
    bundle_name: str
    space_id: str
    schemes: tuple[str, ...]
    subjects: int
    entries: int
    ready: bool
    other_space_entries: int
    index: str
    """auto, flat, sq8 or milvus, as the operator chose."""
    image_bytes_max: int
    """Bytes of an image file that is taken, at most."""
    false_match_rate: float | None
    """Rate of the policy in force with as many subjects as there are now; None: not calibrated."""


class Service:
    """Operations on subjects and entries; safe in any thread."""

    def __init__(
        self,
        bundle: Bundle,
        gallery: ServedGallery,
        enrolment: Enrolment,
        search_service: SearchService,
        pager: Pager,
        audit: Audit,
        metrics: Metrics,
        index: str,
        image_bytes_max: int,
    ) -> None:
        self._bundle = bundle
        self._gallery = gallery
        self._enrolment = enrolment
        self._search_service = search_service
        self._pager = pager
        self._audit = audit
        self._metrics = metrics
        self._index = index
        self._image_bytes_max = image_bytes_max

    def state(self) -> State:
        """Returns what is served now."""
        writable = self._gallery.writable
        subjects, entries = self._gallery.counts()
        rate = self._search_service.match_policy().rate_with(subjects)
        return State(
            bundle_id=self._bundle.bundle_id,
            bundle_name=self._bundle.manifest.name,
            space_id=self._gallery.space_id,
            schemes=tuple(self._bundle.scheme_ids),
            subjects=subjects,
            entries=entries,
            ready=self._gallery.ready,
            other_space_entries=0 if writable is None else writable.entries_elsewhere(),
            index=self._index,
            image_bytes_max=self._image_bytes_max,
            false_match_rate=None if math.isnan(rate) else rate,
        )

    # Subjects

    def put_subject(
        self,
        who: Principal,
        subject: str,
        display_name: str | None,
        note: str | None,
        expires_at: float | None,
    ) -> tuple[Subject, bool]:
        """Makes a subject or sets its fields; returns it and whether it is new.

        Fields that are None stay as they are.
        """
        self._audit.check()
        stored, created = writable_part(self._gallery).subjects.put(
            subject, display_name, note, expires_at
        )
        self._audit.record(who, "put_subject", subject=subject, created=created)
        return stored, created

    def patch_subject(
        self,
        who: Principal,
        subject: str,
        display_name: str | Unset = UNSET,
        note: str | Unset = UNSET,
        expires_at: float | Unset | None = UNSET,
    ) -> Subject:
        """Sets the fields that are given; an expiry of None takes it away."""
        self._audit.check()
        self.subject(subject)
        changed = writable_part(self._gallery).subjects.patch(
            subject, display_name=display_name, note=note, expires_at=expires_at
        )
        self._audit.record(who, "patch_subject", subject=subject)
        return changed

    def subject(self, subject: str) -> Subject:
        """Returns a subject. Raises :class:`NotFoundError`."""
        subject = _text(subject, "subject")
        return writable_part(self._gallery).subjects.existing(subject)

    def subjects(self, prefix: str, page_size: int, token: str) -> tuple[list[Subject], str]:
        """Returns a page of subjects by id, and the token of the next page."""
        size = limit(page_size)
        listed = ("subjects", _text(prefix, "prefix"))
        after = self._pager.last(token, *listed)
        rows = writable_part(self._gallery).subjects.page(after, size + 1, prefix)
        page = rows[:size]
        return page, self._pager.token(page[-1].id, *listed) if len(rows) > size else ""

    def delete_subject(self, who: Principal, subject: str) -> int:
        """Deletes a subject; returns the number of entries deleted with it."""
        subject = _text(subject, "subject")
        self._audit.check()
        count = writable_part(self._gallery).delete_subject(subject)
        if count is None:
            raise NotFoundError(f"no subject {subject[:ID_MAX]!r}")
        self._audit.record(who, "delete_subject", subject=subject, entries=count)
        self._metrics.deleted.inc(count)
        return count

    def merge_subjects(self, who: Principal, source: str, into: str) -> Subject:
        """Moves all entries of ``source`` to ``into``, which must both be there."""
        self._audit.check()
        for name in (source, into):
            self.subject(name)
        merged = writable_part(self._gallery).merge_subjects(source, into)
        self._audit.record(who, "merge_subjects", source=source, into=into)
        return merged

    # Entries

    def enrol(
        self, who: Principal, candidates: Sequence[Candidate | AirReidError]
    ) -> list[Verdict]:
        """Enrols candidates and returns a verdict for each, in order.

        Those that are errors already stay what they are.
        """
        if len(candidates) > ITEMS_MAX:
            raise TooLargeError(f"{len(candidates)} items; send at most {ITEMS_MAX} at once")
        self._audit.check()
        verdicts = self._enrolment.enrol(
            candidates, self._search_service.image_check(), self._search_service.near_duplicates()
        )
        items = []
        for candidate, verdict in zip(candidates, verdicts, strict=True):
            code = "ok" if isinstance(verdict, Enrolled) else kind_of(verdict).code
            self._metrics.enrolled.labels(code).inc()
            if isinstance(verdict, Enrolled) and isinstance(candidate, Candidate):
                items.append(
                    {
                        "entry": verdict.entry_id,
                        "subject": candidate.subject,
                        "camera": candidate.camera,
                        "from": "image" if candidate.source.feature is None else "feature",
                    }
                )
        if items:
            self._audit.record(who, "enrol", items=items)
        return verdicts

    def entry(self, number: int) -> Entry:
        """Returns an entry. Raises :class:`NotFoundError`."""
        possible = 0 < number < _NUMBERS
        stored = writable_part(self._gallery).entry(number) if possible else None
        if stored is None:
            raise NotFoundError(f"no entry {_shown(number)}")
        return stored

    def thumbnail(self, number: int) -> bytes:
        """Returns the thumbnail of an entry, a JPEG file. Raises :class:`NotFoundError`."""
        self.entry(number)
        thumbnail = writable_part(self._gallery).thumbnail(number)
        if thumbnail is None:
            raise NotFoundError(f"entry {number} has no thumbnail; see --keep-thumbnails")
        return thumbnail

    def entries(
        self, subject: str, camera: str, page_size: int, token: str
    ) -> tuple[list[Entry], str]:
        """Returns a page of entries by number, and the token of the next page.

        An empty filter takes all.
        """
        size = limit(page_size)
        listed = ("entries", _text(subject, "subject"), _text(camera, "camera"))
        after = int(self._pager.last(token, *listed) or 0)
        rows = writable_part(self._gallery).entries(after, size + 1, subject, camera)
        page = rows[:size]
        return page, self._pager.token(str(page[-1].id), *listed) if len(rows) > size else ""

    def delete_entries(self, who: Principal, numbers: Sequence[int]) -> list[NotFoundError | None]:
        """Deletes entries; returns for each None, or the error that there was none."""
        if len(numbers) > ITEMS_MAX:
            raise TooLargeError(f"{len(numbers)} ids; send at most {ITEMS_MAX} at once")
        self._audit.check()
        possible = [number if 0 < number < _NUMBERS else 0 for number in numbers]
        existed = writable_part(self._gallery).delete_entries(possible)
        outcomes = list(zip(numbers, existed, strict=True))
        deleted = [number for number, was_there in outcomes if was_there]
        if deleted:
            self._audit.record(who, "delete_entries", entries=deleted)
            self._metrics.deleted.inc(len(deleted))
        return [
            None if was_there else NotFoundError(f"no entry {_shown(number)}")
            for number, was_there in outcomes
        ]

    def delete_entry(self, who: Principal, number: int) -> None:
        """Deletes an entry. Raises :class:`NotFoundError`."""
        [error] = self.delete_entries(who, [number])
        if error is not None:
            raise error


def _text(value: str, what: str) -> str:
    """Checks a name that is looked for, which need not be one that could be given."""
    if len(value) > 128:
        raise InputError(f"{what}: at most 128 characters")
    return check_text(value, what)


def _shown(number: int) -> str:
    return str(number) if abs(number) < 10**20 else "of that number"
