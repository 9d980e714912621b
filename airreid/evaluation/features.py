"""Features of a data set by a bundle's backbone, kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import BackboneInfo, Bundle
from airreid.datasets.dataset import DataSet
from airreid.datasets.samples import ImageSet, Sample
from airreid.disk import open_private, private_folder
from airreid.errors import InputError
from airreid.evaluation.exact_retrieval import SingleShot
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.inference import BackboneRunner
from airreid.worker_processes import worker_processes

_BATCH = 16
_FEW = 64
"""Images that are decoded faster here than processes start, at most."""

Phase = Callable[[str, int], Callable[[], object]]
"""Begins a phase of so many steps; call the result after each."""


def default_cache() -> Path:
    """``AIRREID_CACHE``, or ``airreid`` in the user's cache folder."""
    named = os.environ.get("AIRREID_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airreid"


def features_of(
    bundle: Bundle,
    backbone: BackboneInfo,
    images: ImageSet,
    cache: Path,
    tick: Callable[[], object] = lambda: None,
) -> NDArray[np.float32]:
    """Features float32 (N, D), read from ``cache`` if they were computed before.

    A file of the cache is named by a digest of the images' names, labels, sizes and times
    and of the backbone's file, so another version of either is another file. Raises
    :class:`InputError` naming an image that cannot be read.
    """
    key = hashlib.sha256(f"{backbone.file.sha256}|{images.digest()}".encode()).hexdigest()[:24]
    path = cache / f"features-{key}.npy"
    stored = _stored(path)
    if stored is not None and len(stored) == len(images):
        for _ in range(len(images)):
            tick()
        return stored
    runner = BackboneRunner(bundle, backbone, threads=os.cpu_count() or 1)
    rows = []
    crops = _crops(images.samples, backbone)
    while batch := list(islice(crops, _BATCH)):
        rows.append(runner.features(np.stack(batch)))
        for _ in batch:
            tick()
    features = np.concatenate(rows)
    private_folder(cache)
    part = path.with_suffix(f".{os.getpid()}.part.npy")
    try:
        with open_private(part) as file:
            np.save(file, features)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return features


def _stored(path: Path) -> NDArray[np.float32] | None:
    """Features of an earlier run; None without any, and where the file is damaged."""
    try:
        stored: NDArray[np.float32] = np.load(path)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return stored if stored.ndim == 2 else None


def _crop(sample: Sample, backbone: BackboneInfo) -> NDArray[np.uint8]:
    return backbone.crop(sample.load())


def _crops(samples: Sequence[Sample], backbone: BackboneInfo) -> Iterator[NDArray[np.uint8]]:
    crop = partial(_crop, backbone=backbone)
    if len(samples) <= _FEW:
        yield from map(crop, samples)
        return
    with worker_processes() as pool:
        # In parts: what is decoded and not yet asked for stays bounded.
        for start in range(0, len(samples), 1024):
            yield from pool.map(crop, samples[start : start + 1024], chunksize=16)


def every(images: ImageSet, most: int) -> ImageSet:
    """Takes at most so many images, evenly spread over the set."""
    if len(images) <= most:
        return images
    spread = np.linspace(0, len(images) - 1, most).astype(int)
    samples = tuple(images.samples[i] for i in spread)
    return ImageSet(f"{images.name}, {most} of {len(images)} images", samples)


@dataclass(frozen=True)
class Extracted:
    """Features of a data set's test, and those that the linear baseline is fitted on."""

    test: RetrievalFeatures
    fitted_on: NDArray[np.float32]
    """(N, D); empty where there is nothing to fit on."""


def extract_test(
    bundle: Bundle,
    backbone: BackboneInfo,
    data: DataSet,
    cache: Path,
    pca_images: int,
    phase: Phase,
) -> Extracted:
    """Extracts query, gallery and ``pca_images`` training images by one backbone.

    The baseline is fitted on the subset ``codec`` where there is one, else on ``train``.
    Raises :class:`InputError` if no query has a counterpart by another camera.
    """
    query_labels, gallery_labels = data.test_labels()
    if len(data.unanswerable()) == len(data["query"].identities):
        raise InputError(f"{data.label}: no query has its identity by another camera to find")
    sets = {"query": data["query"], "gallery": data["gallery"]}
    name = "codec" if "codec" in data else "train"
    if pca_images:
        sets[f"{name}, for PCA"] = every(data[name], pca_images)
    features = []
    for subset, images in sets.items():
        tick = phase(f"features of {subset}", len(images))
        features.append(features_of(bundle, backbone, images, cache, tick))
    single_shot = SingleShot() if data.single_shot else None
    test = RetrievalFeatures(features[1], gallery_labels, features[0], query_labels, single_shot)
    if pca_images:
        return Extracted(test, features[2])
    return Extracted(test, features[0][:0])
