"""Enrolment from images or features, with a verdict for each item; features of images."""

from __future__ import annotations

import io
import sqlite3
import threading
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from accesspoint.errors import RateLimitedError
from accesspoint.gallery.opening import ServedGallery, writable_part
from accesspoint.gallery.records import THUMBNAIL_MAX, Entry, NewEntry
from airreid import log
from airreid.bundle import Bundle
from airreid.content_key import content_key
from airreid.errors import AirReidError, InputError
from airreid.images import decode
from airreid.inference import BackboneRunner
from airreid.subject_ids import ID_MAX

ITEMS_MAX = 1000
"""Most items of one batch."""
IMAGES_WAITING_MAX = 64
"""Requests with images that may wait for the backbone; further ones are told to come again."""
_IMAGES_AT_ONCE = 16
_CROPS_AT_ONCE = 4
"""Crops that the backbone takes at once: more are hardly quicker, and take as much more memory."""
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """A person as an image file's bytes, or as a feature of ``space_id``."""

    image: bytes | None = field(default=None, repr=False)
    feature: Array | None = field(default=None, repr=False)
    space_id: str = ""


@dataclass(frozen=True)
class Candidate:
    """An item to enrol. Times are seconds since 1970, UTC."""

    subject: str
    camera: str
    source: Source
    key: str = ""
    captured_at: float | None = None
    expires_at: float | None = None


@dataclass(frozen=True)
class Enrolled:
    """Verdict on an item that is on disk."""

    entry_id: int
    quality: float | None
    warnings: tuple[str, ...]
    already_enrolled: bool = False
    """The same image of the same camera was there: nothing was added."""
    subject_created: bool = False
    """The subject was not there: it was made with this entry."""


Verdict = Enrolled | AirReidError


@dataclass(frozen=True)
class ImageVerdict:
    """Verdict of the quality gate on one image; ``quality`` is None where nobody looked."""

    quality: float | None = None
    warnings: tuple[str, ...] = ()


ImageCheck = Callable[[Image.Image, str], ImageVerdict]
"""Judges an original image, given its name; raises :class:`accesspoint.errors.QualityError`."""
DuplicateCheck = Callable[[Sequence[NewEntry]], list[tuple[str, ...] | AirReidError]]
"""Returns for each new entry the warnings on whom it looks like, or a refusal."""


class Encoder:
    """Encoder of images to features. The backbone is loaded with the first image."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self._bundle = bundle
        self._threads = threads
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(IMAGES_WAITING_MAX)
        self._backbone: BackboneRunner | None = None
        self.digest = bundle.backbone.file.sha256
        """Hex SHA-256 of the backbone's file."""

    def crop(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resizes an image to what the backbone takes: uint8 (height, width, 3) RGB."""
        return self._bundle.backbone.crop(image)

    def features(self, crops: NDArray[np.uint8]) -> Array:
        """Encodes crops, uint8 (n, height, width, 3), to float32 (n, feature_dim).

        Raises :class:`RateLimitedError` when too many wait already, and
        :class:`airreid.errors.BundleError` for a backbone that is not what the manifest says.
        """
        if not self._waiting.acquire(blocking=False):
            raise RateLimitedError("too many images at once; send them again in a while")
        try:
            with self._lock:
                if self._backbone is None:
                    info = self._bundle.backbone
                    self._backbone = BackboneRunner(self._bundle, info, self._threads)
                parts = [
                    self._backbone.features(crops[start : start + _CROPS_AT_ONCE])
                    for start in range(0, len(crops), _CROPS_AT_ONCE)
                ]
                return np.concatenate(parts)
        finally:
            self._waiting.release()


def thumbnail_of(crop: NDArray[np.uint8]) -> bytes:
    """Encodes the crop that the network sees as a JPEG of little loss.

    A crop of 256x128 takes about 20 kB. Of a large one, quality is given up until it is small
    enough to be stored.
    """
    for quality in (95, 85, 70, 50, 25):
        out = io.BytesIO()
        Image.fromarray(crop).save(out, "JPEG", quality=quality, subsampling=0)
        if out.tell() <= THUMBNAIL_MAX:
            break
    return out.getvalue()


@dataclass(frozen=True)
class _Prepared:
    """A candidate that may be enrolled."""

    place: int
    """Place among the candidates."""
    entry: NewEntry
    warnings: tuple[str, ...]


class Enrolment:
    """Enrolment of candidates as entries on disk."""

    def __init__(self, gallery: ServedGallery, encoder: Encoder, keep_thumbnails: bool) -> None:
        self._gallery = gallery
        self._encoder = encoder
        self._keep_thumbnails = keep_thumbnails
        self._adding = threading.Lock()
        """Held from the last look at what is enrolled until it is on disk."""

    def enrol(
        self,
        candidates: Sequence[Candidate | AirReidError],
        check_image: ImageCheck,
        check_duplicates: DuplicateCheck,
    ) -> list[Verdict]:
        """Enrols candidates and returns a verdict for each, in order.

        Those that are errors already stay what they are; an error of one takes none of the
        others along. An image without a client key gets one of its content
        (:func:`airreid.content_key.content_key`): enrolled again, it adds nothing.
        """
        verdicts: list[Verdict] = []
        for start in range(0, len(candidates), _IMAGES_AT_ONCE):
            chunk = candidates[start : start + _IMAGES_AT_ONCE]
            verdicts += self._enrol_once(chunk, check_image, check_duplicates)
        return verdicts

    def _enrol_once(
        self,
        chunk: Sequence[Candidate | AirReidError],
        check_image: ImageCheck,
        check_duplicates: DuplicateCheck,
    ) -> list[Verdict]:
        """Enrols those of a chunk that are not there yet, each content once."""
        enrolled: dict[int, Verdict] = {}
        repeated: dict[int, int] = {}
        first: dict[Candidate, int] = {}
        keyed: list[Candidate | AirReidError] = []
        for place, candidate in enumerate(chunk):
            if not isinstance(candidate, AirReidError) and not candidate.key:
                candidate = _with_content_key(candidate)
                if candidate.key and candidate in first:
                    repeated[place] = first[candidate]
                elif candidate.key:
                    first[candidate] = place
                    if entry := self._same_content(candidate):
                        enrolled[place] = Enrolled(entry.id, entry.quality, (), True)
            keyed.append(candidate)
        new = [place for place in range(len(chunk)) if place not in enrolled | repeated]
        keyed_by_content = set(first.values())
        by_content = {row for row, place in enumerate(new) if place in keyed_by_content}
        chosen = [keyed[place] for place in new]
        added = self._enrol(chosen, by_content, check_image, check_duplicates)
        verdicts = enrolled | dict(zip(new, added, strict=True))
        for place, earlier in repeated.items():
            verdict = verdicts[earlier]
            if isinstance(verdict, Enrolled):
                verdict = replace(verdict, already_enrolled=True, subject_created=False)
            verdicts[place] = verdict
        return [verdicts[place] for place in range(len(chunk))]

    def _same_content(self, candidate: Candidate) -> Entry | None:
        """Returns the entry that a candidate would only repeat."""
        writable = self._gallery.writable
        if writable is None:
            return None
        entry = writable.store.keyed_entry(candidate.subject, candidate.key, self._gallery.space_id)
        if (
            entry is None
            or (entry.captured_at, entry.expires_at)
            != (candidate.captured_at, candidate.expires_at)
            or entry.model_digest != self._encoder.digest
            or (self._keep_thumbnails and not entry.has_thumbnail)
        ):
            return None
        return entry

    def _enrol(
        self,
        chunk: Sequence[Candidate | AirReidError],
        by_content: Container[int],
        check_image: ImageCheck,
        check_duplicates: DuplicateCheck,
    ) -> list[Verdict]:
        """Enrols candidates; those at ``by_content`` only if nobody has done so meanwhile."""
        verdicts: list[Verdict | None] = [
            candidate if isinstance(candidate, AirReidError) else None for candidate in chunk
        ]
        usable: list[_Prepared] = []
        for prepared in self._prepare(chunk, check_image, verdicts):
            try:
                self._gallery.check(prepared.entry)
                usable.append(prepared)
            except AirReidError as error:
                verdicts[prepared.place] = error
        accepted: list[_Prepared] = []
        try:
            outcomes = check_duplicates([prepared.entry for prepared in usable])
            for prepared, outcome in zip(usable, outcomes, strict=True):
                if isinstance(outcome, AirReidError):
                    verdicts[prepared.place] = outcome
                else:
                    warnings = prepared.warnings + outcome
                    accepted.append(replace(prepared, warnings=warnings))
            with self._adding:
                accepted = self._still_new(accepted, chunk, by_content, verdicts)
                added = writable_part(self._gallery).add([item.entry for item in accepted])
        except AirReidError as error:  # the gallery is not ready: nobody is enrolled
            for prepared in usable:
                verdicts[prepared.place] = verdicts[prepared.place] or error
        except sqlite3.Error as error:  # a full disk: those before are enrolled and say so
            log.warning("not_enrolled", error=str(error))
            failure = AirReidError("the gallery's file cannot be written")
            for prepared in usable:
                verdicts[prepared.place] = verdicts[prepared.place] or failure
        else:
            new_subjects = set(added.new_subjects)
            for prepared, entry in zip(accepted, added.entries, strict=True):
                verdicts[prepared.place] = Enrolled(
                    entry.id,
                    entry.quality,
                    prepared.warnings,
                    subject_created=entry.subject in new_subjects,
                )
                new_subjects.discard(entry.subject)
        return [verdict for verdict in verdicts if verdict is not None]

    def _still_new(
        self,
        accepted: Sequence[_Prepared],
        chunk: Sequence[Candidate | AirReidError],
        by_content: Container[int],
        verdicts: list[Verdict | None],
    ) -> list[_Prepared]:
        """Leaves out what another call has enrolled while this one was encoding."""
        new = []
        for prepared in accepted:
            candidate, entry = chunk[prepared.place], None
            if not isinstance(candidate, AirReidError) and prepared.place in by_content:
                entry = self._same_content(candidate)
            if entry is None:
                new.append(prepared)
            else:
                verdicts[prepared.place] = Enrolled(entry.id, entry.quality, (), True)
        return new

    def _prepare(
        self,
        chunk: Sequence[Candidate | AirReidError],
        check_image: ImageCheck,
        verdicts: list[Verdict | None],
    ) -> list[_Prepared]:
        """Makes an entry of each usable candidate; the others get their verdicts."""
        prepared: list[_Prepared] = []
        crops: list[NDArray[np.uint8]] = []
        pictured: list[tuple[int, Candidate, ImageVerdict]] = []
        for place, candidate in enumerate(chunk):
            if isinstance(candidate, AirReidError):
                continue
            source = candidate.source
            if source.feature is not None:
                entry = self._entry(candidate, source.feature, source.space_id)
                prepared.append(_Prepared(place, entry, ()))
                continue
            try:
                name = f"image of {candidate.subject[:ID_MAX]}"
                image = decode(source.image or b"", name)
                pictured.append((place, candidate, check_image(image, name)))
                crops.append(self._encoder.crop(image))
            except AirReidError as error:
                verdicts[place] = error
        if not crops:
            return prepared
        try:
            features = self._encoder.features(np.stack(crops))
        except AirReidError as error:  # too many at once, or a backbone that is none
            for place, _, _ in pictured:
                verdicts[place] = error
            return prepared
        for (place, candidate, verdict), feature, crop in zip(
            pictured, features, crops, strict=True
        ):
            space_id = self._gallery.space_id
            entry = self._entry(candidate, feature, space_id, verdict.quality, crop)
            prepared.append(_Prepared(place, entry, verdict.warnings))
        return prepared

    def _entry(
        self,
        candidate: Candidate,
        feature: Array,
        space_id: str,
        quality: float | None = None,
        crop: NDArray[np.uint8] | None = None,
    ) -> NewEntry:
        return NewEntry(
            subject=candidate.subject,
            camera=candidate.camera,
            space_id=space_id,
            feature=feature,
            captured_at=candidate.captured_at,
            quality=quality,
            thumbnail=thumbnail_of(crop) if crop is not None and self._keep_thumbnails else None,
            expires_at=candidate.expires_at,
            model_digest="" if crop is None else self._encoder.digest,
            key=candidate.key,
        )


def _with_content_key(candidate: Candidate) -> Candidate:
    """Names a candidate by its content; one with a feature stays without a key."""
    image = candidate.source.image
    if image is None or candidate.source.feature is not None:
        return candidate
    camera = candidate.camera.encode("utf-8", "replace").decode()
    return replace(candidate, key=content_key(image, camera))


def feature_of(source: Source, encoder: Encoder, gallery: ServedGallery) -> Array:
    """Returns the raw feature (dim,) of a source, checked as for enrolment.

    Raises :class:`InputError` and :class:`RateLimitedError`.
    """
    if source.feature is None:
        crop = encoder.crop(decode(source.image or b"", "image"))
        row: Array = encoder.features(crop[None])[0]
        return row
    gallery.check(NewEntry("query", "query", source.space_id, source.feature))
    return source.feature


def source_of(image: bytes | None, feature: Array | None, space_id: str, what: str) -> Source:
    """Makes a source of an image or a feature. Raises :class:`InputError` naming ``what``."""
    if (image is None) == (feature is None):
        raise InputError(f"{what}: give an image or a feature")
    return Source(image, feature, space_id)
