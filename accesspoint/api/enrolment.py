"""Enrolment from images or features, one verdict an item; and features of images."""

from __future__ import annotations

import io
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from accesspoint.errors import RateLimitedError
from accesspoint.gallery.opening import ServedGallery, writable_part
from accesspoint.gallery.records import NewEntry
from airreid import log
from airreid.bundle import Bundle
from airreid.errors import AirReidError, InputError
from airreid.images import decode, to_crop
from airreid.inference import BackboneRunner

ITEMS_MAX = 1000
"""Items of one batch."""
IMAGES_WAITING_MAX = 64
"""Requests with images that wait for the backbone; further ones are told to come again."""
_IMAGES_AT_ONCE = 16
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """Somebody as an image file's bytes or as a feature of ``space_id``."""

    image: bytes | None = field(default=None, repr=False)
    feature: Array | None = field(default=None, repr=False)
    space_id: str = ""


@dataclass(frozen=True)
class Candidate:
    """Somebody to enrol. Times are seconds since 1970, UTC."""

    subject: str
    camera: str
    source: Source
    key: str = ""
    captured_at: float | None = None
    expires_at: float | None = None


@dataclass(frozen=True)
class Enrolled:
    """An item that is on disk."""

    entry_id: int
    quality: float | None
    warnings: tuple[str, ...]


Verdict = Enrolled | AirReidError


@dataclass(frozen=True)
class Checked:
    """What the gate says of one image: its quality, and what is to be said about it."""

    quality: float | None = None
    warnings: tuple[str, ...] = ()


Gate = Callable[[Image.Image, str], Checked]
"""Looks at an original image and its name; raises :class:`accesspoint.errors.QualityError`."""
NearDuplicates = Callable[[Sequence[NewEntry]], list[tuple[str, ...] | AirReidError]]
"""For each new entry warnings, where it looks like somebody else, or a refusal."""


class Encoder:
    """Images to features. The backbone is loaded with the first image."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self._bundle = bundle
        self._threads = threads
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(IMAGES_WAITING_MAX)
        self._backbone: BackboneRunner | None = None
        self.digest = bundle.backbone.file.sha256

    def features(self, crops: NDArray[np.uint8]) -> Array:
        """uint8 (n, 256, 128, 3) to float32 (n, feature_dim).

        Raises :class:`RateLimitedError` when too many wait already.
        """
        if not self._waiting.acquire(blocking=False):
            raise RateLimitedError("too many images at once; send them again in a while")
        try:
            with self._lock:
                if self._backbone is None:
                    info = self._bundle.backbone
                    self._backbone = BackboneRunner(self._bundle, info, self._threads)
                return self._backbone.features(crops)
        finally:
            self._waiting.release()


def thumbnail_of(crop: NDArray[np.uint8]) -> bytes:
    """The crop as the network sees it, as a JPEG of little loss: about 20 kB."""
    out = io.BytesIO()
    Image.fromarray(crop).save(out, "JPEG", quality=95, subsampling=0)
    return out.getvalue()


class Enrolment:
    """Candidates to entries on disk."""

    def __init__(self, gallery: ServedGallery, encoder: Encoder, keep_thumbnails: bool) -> None:
        self._gallery = gallery
        self._encoder = encoder
        self._keep_thumbnails = keep_thumbnails

    def enrol(
        self,
        candidates: Sequence[Candidate | AirReidError],
        gate: Gate,
        near_duplicates: NearDuplicates,
    ) -> list[Verdict]:
        """What became of each candidate. Those that are errors already stay what they are;
        an error of one takes none of the others along."""
        verdicts: list[Verdict] = []
        for start in range(0, len(candidates), _IMAGES_AT_ONCE):
            verdicts += self._enrol(
                candidates[start : start + _IMAGES_AT_ONCE], gate, near_duplicates
            )
        return verdicts

    def _enrol(
        self, chunk: Sequence[Candidate | AirReidError], gate: Gate, near_duplicates: NearDuplicates
    ) -> list[Verdict]:
        verdicts: list[Verdict | None] = [
            one if isinstance(one, AirReidError) else None for one in chunk
        ]
        waiting: list[tuple[int, NewEntry, tuple[str, ...]]] = []
        usable: list[tuple[int, NewEntry, tuple[str, ...]]] = []
        for i, entry, warnings in self._entries(chunk, gate, verdicts):
            try:
                self._gallery.check(entry)
                usable.append((i, entry, warnings))
            except AirReidError as error:
                verdicts[i] = error
        try:
            likenesses = near_duplicates([entry for _, entry, _ in usable])
            for (i, entry, warnings), more in zip(usable, likenesses, strict=True):
                if isinstance(more, AirReidError):
                    verdicts[i] = more
                else:
                    waiting.append((i, entry, warnings + more))
            numbers = writable_part(self._gallery).enrol([entry for _, entry, _ in waiting])
        except AirReidError as error:  # the gallery is not ready: nobody is enrolled
            for i, _, _ in usable:
                verdicts[i] = verdicts[i] or error
        except sqlite3.Error as error:  # a full disk: those before are enrolled and say so
            log.warning("not_enrolled", error=str(error))
            failure = AirReidError("the gallery's file cannot be written")
            for i, _, _ in usable:
                verdicts[i] = verdicts[i] or failure
        else:
            for (i, entry, warnings), number in zip(waiting, numbers, strict=True):
                verdicts[i] = Enrolled(number, entry.quality, warnings)
        return [verdict for verdict in verdicts if verdict is not None]

    def _entries(
        self,
        chunk: Sequence[Candidate | AirReidError],
        gate: Gate,
        verdicts: list[Verdict | None],
    ) -> list[tuple[int, NewEntry, tuple[str, ...]]]:
        """(place, entry, warnings) of each usable candidate; the others get their verdicts."""
        entries: list[tuple[int, NewEntry, tuple[str, ...]]] = []
        crops, looked_at = [], []
        for i, one in enumerate(chunk):
            if isinstance(one, AirReidError):
                continue
            if one.source.feature is not None:
                entries.append((i, self._entry(one, one.source.feature, one.source.space_id), ()))
                continue
            try:
                name = f"image of {one.subject[:128]}"
                image = decode(one.source.image or b"", name)
                looked_at.append((i, one, gate(image, name)))
                crops.append(to_crop(image))
            except AirReidError as error:
                verdicts[i] = error
        if not crops:
            return entries
        try:
            features = self._encoder.features(np.stack(crops))
        except AirReidError as error:  # too many at once
            for i, _, _ in looked_at:
                verdicts[i] = error
            return entries
        for (i, one, checked), feature, crop in zip(looked_at, features, crops, strict=True):
            entry = self._entry(one, feature, self._gallery.space_id, checked.quality, crop)
            entries.append((i, entry, checked.warnings))
        return entries

    def _entry(
        self,
        one: Candidate,
        feature: Array,
        space_id: str,
        quality: float | None = None,
        crop: NDArray[np.uint8] | None = None,
    ) -> NewEntry:
        return NewEntry(
            subject=one.subject,
            camera=one.camera,
            space_id=space_id,
            feature=feature,
            captured_at=one.captured_at,
            quality=quality,
            thumbnail=thumbnail_of(crop) if crop is not None and self._keep_thumbnails else None,
            expires_at=one.expires_at,
            model_digest="" if crop is None else self._encoder.digest,
            key=one.key,
        )


def feature_of(source: Source, encoder: Encoder, gallery: ServedGallery) -> Array:
    """The raw feature (dim,) of a source, checked as for enrolment. Raises :class:`InputError`
    and :class:`RateLimitedError`."""
    if source.feature is None:
        crop = to_crop(decode(source.image or b"", "image"))
        row: Array = encoder.features(crop[None])[0]
        return row
    gallery.check(NewEntry("query", "query", source.space_id, source.feature))
    return source.feature


def source_of(image: bytes | None, feature: Array | None, space_id: str, what: str) -> Source:
    """One of both. Raises :class:`InputError` naming ``what``."""
    if (image is None) == (feature is None):
        raise InputError(f"{what}: give an image or a feature")
    return Source(image, feature, space_id)
