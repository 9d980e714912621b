"""Features of a study, computed once: people to train on apart from those to test on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from airreid.adopt.images import AdoptionImages, open_images
from airreid.adopt.pipeline import Adoption, adopt
from airreid.adopt.preprocessing import named
from airreid.bundle import Bundle, load_bundle
from airreid.errors import InputError
from airreid.evaluation.features import Phase, features_of
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.retrieval import Labels

Array = NDArray[np.float32]
_TRAINING, _TEST, _ABOUT = "training.npz", "test.npz", "features.json"
_BUNDLE = "bundle"
NETWORK = "network"
"""Folder of the network as a bundle, beside the features."""


@dataclass(frozen=True)
class TrainingPeople:
    """Features (N, D) of the people to fit on, with their labels."""

    features: Array
    labels: Labels

    def take(self, rows: NDArray[np.bool_]) -> TrainingPeople:
        """Returns the rows where a mask (N,) is true."""
        return TrainingPeople(self.features[rows], self.labels.take(rows))


@dataclass(frozen=True)
class StudyFolder:
    """Folder of what a study is made of. Who is tested lies in a file that fitting never opens."""

    folder: Path
    about: dict[str, Any]
    """Data set, protocol, network and digests."""

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each file's arrays, by the file's name."""
        stored: dict[str, str] = self.about["digests"]
        return stored

    def read(self, name: str) -> dict[str, NDArray[Any]]:
        """Reads a file of arrays. Raises :class:`InputError` unless they have their digest."""
        return read_arrays(self.folder / name, self.digests[name])


@dataclass(frozen=True)
class StudyFeatures(StudyFolder):
    """Folder of a study's features."""

    def bundle(self) -> Bundle | None:
        """Opens the bundle that was given in place of a network, with its codes; else None."""
        return load_bundle(self.folder / NETWORK) if self.about.get(_BUNDLE) else None

    def training(self) -> TrainingPeople:
        """Reads the people to fit on."""
        arrays = self.read(_TRAINING)
        return TrainingPeople(arrays["features"], Labels(arrays["identity"], arrays["camera"]))

    def test(self) -> RetrievalFeatures:
        """Reads queries and gallery of the test."""
        arrays = self.read(_TEST)
        return RetrievalFeatures(
            arrays["gallery"],
            Labels(arrays["gallery_identity"], arrays["gallery_camera"]),
            arrays["queries"],
            Labels(arrays["query_identity"], arrays["query_camera"]),
        )


def read_arrays(path: Path, digest: str) -> dict[str, NDArray[Any]]:
    """Reads a file of arrays. Raises :class:`InputError` unless they have the digest."""
    try:
        with np.load(path) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete the folder") from None
    if digest_of(arrays) != digest:
        raise InputError(f"{path}: not the features that were stored; delete the folder")
    return arrays


def open_features(folder: Path) -> StudyFeatures | None:
    """Opens the features of an earlier call; None where there are none."""
    about = stored_about(folder / _ABOUT)
    return None if about is None else StudyFeatures(folder, about)


def stored_about(path: Path) -> dict[str, Any] | None:
    """Reads what an earlier call wrote of its arrays; None where there is nothing.

    Raises :class:`InputError` for a file that is not whole.
    """
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it") from None
    return about


def make_features(
    folder: Path, data: str, network: Path, preset: str | None, phase: Phase
) -> StudyFeatures:
    """Extracts features of a data set by an ONNX network, in ONNX Runtime, and stores them.

    ``network``: its file, or the folder of a bundle, whose first backbone it is. A file's
    preprocessing is found on training people, unless ``preset`` names it. Raises
    :class:`InputError` for data that have no test of other people than those to train on.
    """
    images = open_images(data)
    if images.test is None or images.labels is None:
        raise InputError(f"{data}: {images.why_no_test or 'nobody is known'}; the study needs both")
    bundle = adopted(folder, images, network, preset, phase)
    backbone = bundle.manifest.backbones[0]
    cache = folder / "cache"

    def features(name: str, chosen: Any) -> Array:
        return features_of(bundle, backbone, chosen, cache, phase(name, len(chosen)))

    query_labels, gallery_labels = images.test.test_labels()
    training: dict[str, NDArray[Any]] = {
        "features": features("training people", images.fit),
        "identity": images.labels.identity,
        "camera": images.labels.camera,
    }
    test: dict[str, NDArray[Any]] = {
        "queries": features("queries", images.test["query"]),
        "query_identity": query_labels.identity,
        "query_camera": query_labels.camera,
        "gallery": features("gallery", images.test["gallery"]),
        "gallery_identity": gallery_labels.identity,
        "gallery_camera": gallery_labels.camera,
    }
    about = {
        **protocol_of(images, network),
        **({_BUNDLE: bundle.bundle_id} if network.is_dir() else {}),
        "dimensions": int(training["features"].shape[1]),
        "digests": {_TRAINING: digest_of(training), _TEST: digest_of(test)},
    }
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / _TRAINING, **training)  # type: ignore[arg-type]
    np.savez(folder / _TEST, **test)  # type: ignore[arg-type]
    (folder / _ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return StudyFeatures(folder, about)


def protocol_of(images: AdoptionImages, network: Path) -> dict[str, str]:
    """Names data set, protocol, people and network, with their digests."""
    test = images.test
    assert test is not None
    return {
        "data": test.label,
        "protocol": test.protocol,
        "data_digest": test.digest(),
        "training_digest": images.fit.digest(),
        "training": f"{len(images.fit)} images of {len(images.fit.identities)} identities",
        "test": f"{len(test['query'])} queries, {len(test['gallery'])} gallery images, "
        f"{len(test['query'].identities)} identities",
        "network": _network_digest(network),
    }


def _network_digest(network: Path) -> str:
    """Returns the SHA-256 of a network's file; of a bundle, that of its first backbone."""
    if network.is_dir():
        return load_bundle(network).manifest.backbones[0].file.sha256
    return hashlib.sha256(network.read_bytes()).hexdigest()


def adopted(
    folder: Path,
    images: AdoptionImages,
    network: Path,
    preset: str | None,
    phase: Phase,
    size: tuple[int, int] | None = None,
) -> Bundle:
    """Returns the network as a bundle, which is made once; one that is a bundle is copied.

    ``size``: height and width of the crops, in place of what the network declares.
    """
    out = folder / NETWORK
    if network.is_dir() and not out.exists():
        load_bundle(network)  # whole, or an error that says what is wrong
        part = out.with_name(f".{NETWORK}.{os.getpid()}.part")
        shutil.copytree(network, part)
        part.rename(out)
    elif not out.exists():
        adopt(
            Adoption(
                network=network,
                images=images,
                out=out,
                schemes=("jscc-fc-8",),  # the study fits its own
                size=size,
                preprocessing=None if preset is None else named(preset),
                cache=folder / "cache",
                int8=False,
            ),
            phase,
        )
    return load_bundle(out)


def digest_of(arrays: dict[str, NDArray[Any]]) -> str:
    """Returns the SHA-256 of arrays, with their names, types and shapes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
