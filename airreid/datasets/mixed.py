"""Identities over cameras and, beside them, tracks of people who are known to one camera alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from airreid.datasets.dataset import DataSet
from airreid.datasets.folder import ALL, HOLDOUT, open_folder
from airreid.datasets.reader import Boxes, Certainty, Reader, Recognition
from airreid.datasets.samples import ImageSet
from airreid.datasets.tracks import TRACKS, check_tracks, open_tracks
from airreid.errors import InputError

IDENTITIES = "identities"
"""Folder of the people who are known by several cameras."""
FORM = "folders identities and tracks"


class MixedReader(Reader):
    """A user's own people and, beside them, what a tracker leaves."""

    name = "your own, and tracks beside them"
    looks_for = f"{IDENTITIES}/<identity>/<camera>/<image> and {TRACKS}/<camera>/<track>/<image>"
    protocols = (ALL, HOLDOUT)

    def recognises(self, path: Path) -> Recognition:
        missing = [part for part in (IDENTITIES, TRACKS) if not (path / part).is_dir()]
        if missing:
            return Recognition(Certainty.NO, f"no folder {missing[0]}")
        return Recognition(Certainty.SURE, "folders identities and tracks")

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        people = open_folder(path / IDENTITIES, protocol)
        name = f"folder {path.resolve().name}"
        return with_tracks(replace(people, name=name, form=FORM), path / TRACKS)


def with_tracks(data: DataSet, folder: Path) -> DataSet:
    """Adds the tracks of a folder ``<camera>/<track>/<image>`` as subset ``tracks``.

    A camera is the same where its name is. Raises :class:`InputError` for data that has tracks
    already and for a folder that is none of tracks.
    """
    if TRACKS in data or data.protocols == (TRACKS,):
        raise InputError(f"{data.label}: has tracks already; leave out --tracks {folder}")
    check_tracks(folder)
    opened = open_tracks(folder)
    images = opened["train"]
    samples = tuple(
        replace(sample, name=f"{TRACKS}/{sample.name}", identity=f"{TRACKS}/{sample.identity}")
        for sample in images.samples
    )
    tracks = ImageSet(images.name, samples)
    return replace(
        data,
        subsets={**data.subsets, TRACKS: tracks},
        left_out=data.left_out + opened.left_out,
        beside=data.beside + opened.beside,
        leftovers=data.leftovers + opened.leftovers,
    )
