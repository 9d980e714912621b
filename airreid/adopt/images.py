"""The user's crops for adopting a network: who is fitted on, and who is tested on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from airreid.datasets.dataset import DataSet
from airreid.datasets.mixed import with_tracks
from airreid.datasets.open import open_data
from airreid.datasets.readable import Phase, broken_images, leave_out, without
from airreid.datasets.samples import ImageSet
from airreid.datasets.tracks import TRACKS
from airreid.datasets.unlabelled import is_unlabelled, unlabelled_set
from airreid.errors import InputError
from airreid.retrieval import Labels

MOST_IMAGES = 200_000
"""Images that are fitted on, at most."""


@dataclass(frozen=True)
class AdoptionImages:
    """Crops to fit on, who they show, and a test of other people where there is one."""

    name: str
    """Data set and protocol, as results call them."""
    fit: ImageSet
    labels: Labels | None
    """Identities and cameras of ``fit``; None for a folder without them."""
    test: DataSet | None
    """People who are not in ``fit``."""
    everything: ImageSet
    """``fit`` and, where the test was split off from the user's own folder, its images too."""
    why_no_test: str = ""
    tracks: ImageSet | None = None
    """Tracks beside the identities, which only a training looks at."""
    left_out: tuple[str, ...] = ()
    """Files that are no images or cannot be decoded, each with its reason."""


def open_images(
    source: str, labelled: bool | None = None, tracks: Path | None = None
) -> AdoptionImages:
    """Opens a data set, a folder ``<identity>/<camera>/<image>``, or a folder of crops.

    ``labelled`` False takes a folder as crops of nobody in particular, whatever lies in it.
    ``tracks`` is a folder ``<camera>/<track>/<image>`` beside a source of identities.
    A published data set is fitted on its training part and tested on its test. Of a user's own
    folder a fifth of the identities is kept for the test. Raises :class:`InputError` for
    what is none of these.
    """
    path = Path(source)
    if labelled is False:
        return _without_labels(path)

    def opened(protocol: str | None = None) -> DataSet:
        data = open_data(source, protocol)
        return data if tracks is None else with_tracks(data, tracks)

    try:
        data = opened()
    except InputError as error:
        if not path.is_dir():
            raise
        if is_unlabelled(path) and tracks is None:
            return _without_labels(path)
        _unlabelled(path)  # says so where there are no images at all
        raise InputError(
            f"{error}; or let 'airreid adopt --no-identities --preset NAME' fit PCA"
        ) from None
    everything = data["train"]
    if "query" not in data:
        return _fit_only(data, everything, f"{data.label}: nobody to search for by another camera")
    if not _disjoint(data):
        if "holdout" not in data.protocols:
            return _fit_only(data, everything, f"{data.label} tests on the people it trains on")
        try:
            data = opened("holdout")
        except InputError as error:
            return _fit_only(data, everything, str(error))
    if len(data.unanswerable()) == len(data["query"].identities):
        return _fit_only(data, everything, "nobody who is held out was seen by two cameras")
    _check_count(everything)
    labels = labels_of(data["train"])
    beside = data.subsets.get(TRACKS)
    return AdoptionImages(
        data.label,
        data["train"],
        labels,
        data,
        everything,
        tracks=beside,
        left_out=data.left_out,
    )


def readable_images(images: AdoptionImages, cache: Path, phase: Phase) -> AdoptionImages:
    """Leaves out images that cannot be decoded, each with its reason.

    Raises :class:`InputError` where they are too many; see :func:`broken_images`.
    """
    sets = [images.everything, images.fit]
    sets += [] if images.tracks is None else [images.tracks]
    sets += [] if images.test is None else images.test.subsets.values()
    samples = tuple(sample for part in sets for sample in part.samples)
    broken = broken_images(ImageSet(images.name, samples), cache, phase)
    if not broken:
        return images
    fit = without(images.fit, broken)
    whole = images.everything is images.fit
    return replace(
        images,
        fit=fit,
        labels=None if images.labels is None else labels_of(fit),
        test=None if images.test is None else leave_out(images.test, broken),
        everything=fit if whole else without(images.everything, broken),
        tracks=None if images.tracks is None else without(images.tracks, broken),
        left_out=(*images.left_out, *broken.values()),
    )


def labels_of(images: ImageSet) -> Labels:
    """Identities and cameras of a set as numbers."""
    return Labels(images.labels(), images.cameras())


def _fit_only(data: DataSet, images: ImageSet, why: str) -> AdoptionImages:
    _check_count(images)
    labels, beside = labels_of(images), data.subsets.get(TRACKS)
    return AdoptionImages(data.label, images, labels, None, images, why, beside, data.left_out)


def _disjoint(data: DataSet) -> bool:
    return not set(data["train"].identities) & set(data["query"].identities)


def _without_labels(folder: Path) -> AdoptionImages:
    images, left_out = _unlabelled(folder)
    why = "the images say nobody's identity"
    return AdoptionImages(images.name, images, None, None, images, why, left_out=left_out)


def _unlabelled(folder: Path) -> tuple[ImageSet, tuple[str, ...]]:
    images, left_out = unlabelled_set(folder)
    _check_count(images)
    return images, left_out


def _check_count(images: ImageSet) -> None:
    if len(images) > MOST_IMAGES:
        raise InputError(f"{images.name}: {len(images)} images; at most {MOST_IMAGES} are taken")


def spread(images: ImageSet, most: int) -> np.ndarray:
    """Positions of at most ``most`` images, evenly spread over a set: int64."""
    return np.unique(np.linspace(0, len(images) - 1, min(most, len(images))).astype(np.int64))
