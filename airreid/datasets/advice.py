"""Advice on what the people, cameras and tracks of a data set allow to be trained."""

from __future__ import annotations

from airreid.datasets.dataset import DISTRACTOR, DataSet
from airreid.datasets.folder import HOLDOUT
from airreid.datasets.samples import ImageSet
from airreid.datasets.tracks import FORM, TRACKS
from airreid.datasets.unlabelled import FORM as UNLABELLED

FEWEST_PEOPLE = 8
"""Identities seen by two cameras below which nothing about cameras can be learned."""
MEASURED_PEOPLE = 40
"""Identities seen by two cameras from which on joint training was measured to pay."""
FEWEST_TRACKS = 16
"""Tracks of two images or more below which training within the cameras is not tried."""
_JOINT = "'airreid train run site --joint'"


def advice(data: DataSet) -> list[str]:
    """Says what the people and the tracks of a data set allow, none without a training part."""
    if data.form == UNLABELLED:
        notes = [
            "the images say nobody's identity: 'airreid adopt --no-identities --preset NAME' fits "
            f"PCA; {_JOINT} would learn from identities, <identity>/<camera>/<image>, or from "
            "tracks, <camera>/<track>/<image>"
        ]
        folders = {sample.name.rpartition("/")[0] for sample in data["crops"].samples} - {""}
        if len(folders) > 1:
            notes.append(
                f"the images lie in {len(folders)} folders: if each is a person, put a folder of "
                "the camera between, <identity>/<camera>/<image>"
            )
        return notes
    if "train" not in data:
        return []
    if data.form == FORM:
        return [_of_tracks(data["train"]), *_names_of_tracks(data["train"])]
    notes = [_of_people(data)]
    if TRACKS in data:
        notes.append(_beside(data[TRACKS]))
    return notes


def cameras_of(images: ImageSet) -> dict[str, set[str]]:
    """Cameras by which each identity was seen; distractors are nobody."""
    cameras: dict[str, set[str]] = {}
    for sample in images.samples:
        if sample.identity != DISTRACTOR:
            cameras.setdefault(sample.identity, set()).add(sample.camera)
    return cameras


def several_images(images: ImageSet) -> int:
    """Number of the identities, or tracks, that have two images or more."""
    counts: dict[str, int] = {}
    for sample in images.samples:
        counts[sample.identity] = counts.get(sample.identity, 0) + 1
    return sum(count > 1 for count in counts.values())


def _of_people(data: DataSet) -> str:
    views = cameras_of(data["train"])
    across = sum(len(cameras) > 1 for cameras in views.values())
    head = f"{across} people to train on were seen by two cameras"
    if across and HOLDOUT in data.protocols and data.protocol != HOLDOUT:
        head += ", a fifth of whom are kept for the test"
    if across < FEWEST_PEOPLE:
        return (
            f"{head}: too few to train a network ({_JOINT} needs {FEWEST_PEOPLE}); 'airreid adopt' "
            "fits PCA to the features of a network of others"
        )
    if across < MEASURED_PEOPLE:
        return (
            f"{head}: {_JOINT} can train a network of others here, but was measured from "
            f"{MEASURED_PEOPLE} people on; the closed form, 'airreid adopt', is the safe choice"
        )
    return (
        f"{head}: {_JOINT} can train a network of others here; without torch 'airreid adopt' fits "
        "codes in closed form"
    )


def _of_tracks(images: ImageSet) -> str:
    tracks, several = len(images.identities), several_images(images)
    head = f"{tracks} tracks: nobody is known by two cameras, so nothing can be measured here; "
    if several < FEWEST_TRACKS:
        return (
            f"{head}{several} of them have two images or more, and training needs {FEWEST_TRACKS}: "
            "'airreid adopt --no-identities --preset NAME' fits PCA"
        )
    return f"{head}{_JOINT} learns from them"


def _names_of_tracks(images: ImageSet) -> list[str]:
    """Notes that tracks may be people: their names come back under other cameras."""
    cameras: dict[str, set[str]] = {}
    for sample in images.samples:
        cameras.setdefault(sample.identity.rpartition("/")[2], set()).add(sample.camera)
    shared = sum(len(names) > 1 for names in cameras.values())
    if 2 * shared < len(cameras):
        return []
    return [
        f"{shared} names of tracks come back below another camera: if each is a person, give them "
        "as <identity>/<camera>/<image>, which teaches more and can be measured"
    ]


def _beside(images: ImageSet) -> str:
    tracks, several = len(images.identities), several_images(images)
    if several < FEWEST_TRACKS:
        return (
            f"{tracks} tracks beside them, {several} of two images or more: too few to train on "
            f"({FEWEST_TRACKS} are needed)"
        )
    return f"{tracks} tracks beside them: {_JOINT} learns from both together"
