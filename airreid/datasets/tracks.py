"""Folders of tracks: ``<camera>/<track>/<image>``, people who are known within a camera alone."""

from __future__ import annotations

from pathlib import Path

from airreid.crop_folder import read_folder
from airreid.datasets.dataset import DataSet, pick
from airreid.datasets.folder import file_sample
from airreid.datasets.reader import Boxes, Certainty, Reader, Recognition
from airreid.datasets.samples import ImageSet
from airreid.errors import InputError
from airreid.images import SUFFIXES

TRACKS = "tracks"
FORM = "folder of <camera>/<track>/<image>"
_RATIO = 4
"""Names of second folders for each first folder above which they are tracks: people are many and
cameras few, so ``<identity>/<camera>`` has it the other way round."""


class TrackReader(Reader):
    """A user's own tracks, as a tracker leaves them."""

    name = "your own tracks"
    looks_for = "<camera>/<track>/<image>, many tracks to a camera"
    protocols = (TRACKS,)

    def recognises(self, path: Path) -> Recognition:
        first: set[str] = set()
        second: set[str] = set()
        for image in path.glob("*/*/*"):
            if image.suffix.lower() in SUFFIXES:
                first.add(image.parent.parent.name)
                second.add(image.parent.name)
        if len(first) > 1 and len(second) >= _RATIO * len(first):
            reason = f"{len(second)} names of tracks below {len(first)} cameras"
            return Recognition(Certainty.POSSIBLE, reason)
        return Recognition(Certainty.NO, "no images at <camera>/<track>/<image>")

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        return open_tracks(path, protocol)


def open_tracks(folder: Path, protocol: str | None = None) -> DataSet:
    """Opens tracks; the identity of an image is ``camera/track``, its camera the first folder.

    There is nobody to search for by another camera, hence no test. Raises :class:`InputError` for
    an image that lies elsewhere and for fewer than two tracks.
    """
    chosen = pick(protocol, (TRACKS,), str(folder))
    name = f"tracks {folder.resolve().name}"
    samples = tuple(
        file_sample(folder, crop.path, f"{crop.identity}/{crop.camera}", crop.identity)
        for crop in read_folder(folder)
    )
    images = ImageSet(name, samples)
    if len(images.identities) < 2:
        raise InputError(f"{folder}: one track only; give more")
    return DataSet(name, FORM, chosen, (TRACKS,), {"train": images})
