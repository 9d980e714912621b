"""Folders of tracks: ``<camera>/<track>/<image>``, people who are known within a camera alone."""

from __future__ import annotations

from pathlib import Path

from airreid.crop_folder import is_cameras_first, list_crops
from airreid.datasets.dataset import DataSet, pick
from airreid.datasets.folder import file_sample, reasons
from airreid.datasets.reader import Boxes, Certainty, Reader, Recognition
from airreid.datasets.samples import ImageSet
from airreid.errors import InputError
from airreid.picture_files import is_leftover

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
    certain_of_people = True

    def recognises(self, path: Path) -> Recognition:
        cameras, tracks = _names(path)
        many = len(tracks) >= _RATIO * len(cameras) or is_cameras_first(cameras, tracks)
        if len(cameras) > 1 and many:
            reason = f"{len(tracks)} names of tracks below {len(cameras)} cameras"
            return Recognition(Certainty.POSSIBLE, reason)
        return Recognition(Certainty.NO, "no images at <camera>/<track>/<image>")

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        return open_tracks(path, protocol)


def check_tracks(folder: Path) -> None:
    """Raises :class:`InputError` for a folder of which the first level is hardly cameras."""
    cameras, tracks = _names(folder)
    if is_cameras_first(cameras, tracks):
        return
    if cameras and len(tracks) < _RATIO * len(cameras):
        raise InputError(
            f"{folder}: {len(tracks)} names of tracks below {len(cameras)} cameras; tracks are "
            f"<camera>/<track>/<image>, at least {_RATIO} names for each camera"
        )


def _names(folder: Path) -> tuple[set[str], set[str]]:
    """Names of the first and of the second level of folders with images below."""
    images = [path for path in folder.glob("*/*/*") if not is_leftover(path.relative_to(folder))]
    return {path.parent.parent.name for path in images}, {path.parent.name for path in images}


def open_tracks(folder: Path, protocol: str | None = None) -> DataSet:
    """Opens tracks; the identity of an image is ``camera/track``, its camera the first folder.

    There is nobody to search for by another camera, hence no test. Raises :class:`InputError` for
    fewer than two tracks.
    """
    chosen = pick(protocol, (TRACKS,), str(folder))
    name = f"tracks {folder.resolve().name}"
    listed = list_crops(folder, cameras_first=True)
    samples = tuple(
        file_sample(folder, crop.path, f"{crop.identity}/{crop.camera}", crop.identity)
        for crop in listed.crops
    )
    images = ImageSet(name, samples)
    if len(images.identities) < 2:
        raise InputError(f"{folder}: one track only; give more")
    return DataSet(
        name,
        FORM,
        chosen,
        (TRACKS,),
        {"train": images},
        left_out=reasons(listed.left_out),
        beside=reasons(listed.beside),
        leftovers=listed.leftovers,
    )
