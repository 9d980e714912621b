"""Enrolment from images or features, one verdict an item."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.images import decode, to_crop
from airreid.inference import BackboneRunner

_IMAGES_AT_ONCE = 16


@dataclass(frozen=True)
class Candidate:
    """Somebody to enrol: either an image file's bytes or a feature."""

    subject: str
    camera: str
    image: bytes | None = None
    feature: NDArray[np.float32] | None = None
    space_id: str = ""


class Enrolment:
    """Turns candidates into entries. The backbone is loaded with the first image."""

    def __init__(self, bundle: Bundle, gallery: Gallery, threads: int) -> None:
        self._bundle = bundle
        self._gallery = gallery
        self._threads = threads
        self._lock = threading.Lock()
        self._backbone: BackboneRunner | None = None

    def enrol(self, candidates: Sequence[Candidate]) -> list[int | InputError]:
        """An entry number for each candidate, or what is wrong with it."""
        results: list[int | InputError] = []
        for start in range(0, len(candidates), _IMAGES_AT_ONCE):
            entries = self._entries(candidates[start : start + _IMAGES_AT_ONCE])
            good = [entry for entry in entries if isinstance(entry, NewEntry)]
            numbers = iter(self._gallery.enrol(good))
            results += [e if isinstance(e, InputError) else next(numbers) for e in entries]
        return results

    def _checked(self, entry: NewEntry) -> NewEntry | InputError:
        try:
            self._gallery.check(entry)
        except InputError as error:
            return error
        return entry

    def _entries(self, chunk: Sequence[Candidate]) -> list[NewEntry | InputError]:
        entries: list[NewEntry | InputError | None] = []
        crops, waiting = [], []
        for i, candidate in enumerate(chunk):
            if candidate.feature is not None:
                given = (candidate.subject, candidate.camera, candidate.space_id)
                entries.append(self._checked(NewEntry(*given, candidate.feature)))
                continue
            entries.append(None)
            try:
                image = decode(candidate.image or b"", f"image of {candidate.subject}")
            except InputError as error:
                entries[i] = error
            else:
                crops.append(to_crop(image))
                waiting.append(i)
        if crops:
            features = self._features(np.stack(crops))
            for i, feature in zip(waiting, features, strict=True):
                one = chunk[i]
                space = self._gallery.space_id
                entries[i] = self._checked(NewEntry(one.subject, one.camera, space, feature))
        return [entry for entry in entries if entry is not None]

    def _features(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._lock:
            if self._backbone is None:
                self._backbone = BackboneRunner(self._bundle, self._bundle.backbone, self._threads)
            return self._backbone.features(crops)
