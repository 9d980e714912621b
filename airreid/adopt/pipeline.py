"""From a stranger's ONNX network and some crops to a bundle."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from airreid.adopt.elsewhere import SiteResult, measure_site
from airreid.adopt.heads import HeadRecord, carried, check_bandwidths, write_heads
from airreid.adopt.images import AdoptionImages, labels_of, spread
from airreid.adopt.int8 import Int8Result, try_int8
from airreid.adopt.network import PlainNetwork, at_size, load_network, read_interface
from airreid.adopt.preprocessing import PRESETS, Preprocessing
from airreid.adopt.schemes import parse_schemes
from airreid.adopt.search_preprocessing import Found, find_preprocessing
from airreid.adopt.wrapping import prove, wrap
from airreid.bundle import BackboneInfo, Bundle, Manifest, load_bundle, write_manifest
from airreid.codecs.selection import HeldOut
from airreid.datasets.dataset import DataSet
from airreid.datasets.samples import ImageSet
from airreid.errors import InputError
from airreid.evaluation.evaluate import Settings, about, evaluate
from airreid.evaluation.features import Phase, features_of
from airreid.evaluation.points import Point
from airreid.images import to_crop
from airreid.interruption import exit_by_signals
from airreid.model_card import AdoptionRecord, ModelCard
from airreid.retrieval import Labels
from airreid.scheme_info import FileRef, SchemeInfo

SNRS_DB = (-10.0, -6.0, -3.0, 0.0, 5.0, 20.0)
"""SNRs of the table that adopting ends with."""
_PROOF_IMAGES = 8


@dataclass(frozen=True)
class Adoption:
    """Everything that adopting a network is asked for."""

    network: Path
    images: AdoptionImages
    out: Path
    schemes: tuple[str, ...]
    """Ids of the schemes to fit."""
    output: str | None = None
    size: tuple[int, int] | None = None
    """Height and width of the crops, for a network that takes any."""
    preprocessing: Preprocessing | None = None
    """None: found by trying."""
    cache: Path = Path()
    seeds: int = 5
    name: str = ""
    int8: bool = True
    """Whether a backbone in int8 is tried."""
    fewer_schemes: bool = False
    """Whether schemes that so few images cannot carry are left out, and not refused."""
    elsewhere: tuple[DataSet, ...] = ()
    """Data sets of other sites, on which the finished bundle is measured."""


@dataclass(frozen=True)
class Adopted:
    """The bundle, and what was found out on the way."""

    bundle: Bundle
    found: Found | None
    """None where the preprocessing was given."""
    parity: float
    """Largest difference between wrapped and plain network, relative to the feature's RMS."""
    heads: tuple[HeadRecord, ...]
    split: HeldOut | None
    points: tuple[Point, ...]
    """Accuracy on people who were not fitted on; empty without any."""
    about: dict[str, object]
    fitted_on_test: bool
    """Whether the bundle's codes are fitted on everybody, after :attr:`points` were measured with
    codes fitted without the test's people."""
    int8: Int8Result | None
    """None where it was not asked for."""
    elsewhere: tuple[SiteResult, ...]
    left_out: tuple[str, ...]
    """Schemes that so few images cannot carry."""


def adopt(adoption: Adoption, phase: Phase) -> Adopted:
    """Makes a bundle in ``adoption.out``, whole or not at all.

    Raises :class:`InputError` for a network that cannot be used, preprocessing that is not
    clear, a folder that is not empty, and schemes that the features cannot carry.
    """
    parse_schemes(adoption.schemes)
    if adoption.out.exists() and (not adoption.out.is_dir() or any(adoption.out.iterdir())):
        raise InputError(f"{adoption.out}: not empty; give another --out")
    network = _Network(adoption, phase)
    adoption = replace(adoption, schemes=network.schemes)
    staging = adoption.out.with_name(f".{adoption.out.name}.{os.getpid()}.part")
    with exit_by_signals():
        return _adopted(adoption, network, staging, phase)


def _adopted(adoption: Adoption, network: _Network, staging: Path, phase: Phase) -> Adopted:
    images = adoption.images
    staging.mkdir(parents=True)
    try:
        backbone, parity = network.wrapped(staging / "backbone.onnx")
        bare = _bundle(staging, adoption, [backbone], (), ModelCard())
        fitted = _fitted(adoption, bare, images.fit, images.labels, phase)
        points, what = _tested(adoption, bare, fitted.heads, phase)
        if images.everything is not images.fit:  # measured; now the test's people are fitted on too
            labels = labels_of(images.everything)
            fitted = _fitted(adoption, bare, images.everything, labels, phase)
        int8 = None
        if adoption.int8:
            few = network.crops
            int8 = try_int8(bare, backbone, few, images.test, adoption.cache, phase)
        quantised = [] if int8 is None or int8.backbone is None else [int8.backbone]
        infos = [head.info for head in fitted.heads]
        card = _card(adoption, network, parity, fitted.heads, points, int8)
        _bundle(staging, adoption, [*quantised, backbone], infos, card)
        if adoption.out.exists():
            adoption.out.rmdir()
        staging.rename(adoption.out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    bundle, settings = load_bundle(adoption.out), _settings(adoption)
    return Adopted(
        bundle=bundle,
        found=network.search,
        parity=parity,
        heads=tuple(fitted.heads),
        split=fitted.split,
        points=tuple(points),
        about=what,
        fitted_on_test=images.everything is not images.fit,
        int8=int8,
        elsewhere=tuple(
            measure_site(bundle, fitted.features, images.everything, site, settings, phase)
            for site in adoption.elsewhere
        ),
        left_out=network.left_out,
    )


class _Network:
    """The user's network, read, with its preprocessing as given or found."""

    def __init__(self, adoption: Adoption, phase: Phase) -> None:
        self._adoption = adoption
        known = adoption.preprocessing
        if known is None and adoption.images.labels is None:
            raise InputError(
                f"{adoption.images.name}: nobody's identity, so the preprocessing cannot be found "
                "by trying; say it with --preset, or with --mean, --std, --scale and --colour"
            )
        given = load_network(adoption.network)
        self.interface = read_interface(adoption.network, given, adoption.output, adoption.size)
        self._model = at_size(adoption.network, given, self.interface)
        self._plain = PlainNetwork(
            adoption.network, self.interface, os.cpu_count() or 1, self._model
        )
        self._proof = self.crops(_PROOF_IMAGES)
        self._check_crops()
        if known is not None and self.interface.dtype == "uint8" and not known.untouched:
            raise InputError(
                f"{adoption.network}: takes uint8, so its preprocessing is inside it already; give "
                "--preset raw or raw-bgr"
            )
        first = self._plain.features((known or Preprocessing()).apply(self._proof[:1]))
        self._feature_dim = first.shape[1]
        count = len(adoption.images.fit)
        few = carried(adoption.schemes, self._feature_dim, count) if adoption.fewer_schemes else ()
        self.schemes = few or adoption.schemes
        """Schemes asked for, less those that may be left out."""
        self.left_out = tuple(name for name in adoption.schemes if name not in self.schemes)
        check_bandwidths(parse_schemes(self.schemes), self._feature_dim, count)
        self.search = None if known is not None else self._search(phase)
        """None where the preprocessing was given."""
        self.preprocessing = known if self.search is None else self.search.preprocessing

    def _check_crops(self) -> None:
        """Raises :class:`InputError` for images of which nothing can be learned."""
        images = self._adoption.images
        if (self._proof == self._proof[0]).all():
            raise InputError(
                f"{images.name}: {len(images.fit)} images, all the same; give different crops"
            )

    def crops(self, most: int) -> NDArray[np.uint8]:
        """At most so many crops of those that are fitted on, evenly spread."""
        return self._at(spread(self._adoption.images.fit, most))

    def _at(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        images, size = self._adoption.images.fit, self.interface
        return _crops(images, positions, size.height, size.width)

    def _search(self, phase: Phase) -> Found:
        images = self._adoption.images
        assert images.labels is not None
        tick = phase("preprocessing", len(PRESETS))
        return find_preprocessing(
            self._plain.features, self._at, images.labels, self.interface.dtype, tick
        )

    def wrapped(self, path: Path) -> tuple[BackboneInfo, float]:
        """Writes the network with its preprocessing inside; its description and the parity."""
        assert self.preprocessing is not None
        onnx.save(wrap(self._model, self.interface, self.preprocessing, self._feature_dim), path)
        parity = prove(path, self._plain, self._proof, self.preprocessing)
        backbone = BackboneInfo(
            id=_identifier(self._adoption.network.stem),
            file=FileRef.of(path),
            precision="fp32",
            space_id=hashlib.sha256(path.read_bytes()).hexdigest()[:16],
            height=self.interface.height,
            width=self.interface.width,
            feature_dim=self._feature_dim,
        )
        return backbone, parity


@dataclass(frozen=True)
class _Fitted:
    """Codes in the bundle's folder, and the features that they are fitted on."""

    heads: list[HeadRecord]
    split: HeldOut | None
    features: NDArray[np.float32]


def _fitted(
    adoption: Adoption, bare: Bundle, images: ImageSet, labels: Labels | None, phase: Phase
) -> _Fitted:
    wanted = parse_schemes(adoption.schemes)
    features = _features(bare, images, adoption.cache, phase)
    tick = phase(f"codes of {len(images)} images", len(wanted))
    space_id = bare.backbone.space_id
    heads, split = write_heads(wanted, features, labels, bare.path, space_id, tick)
    return _Fitted(heads, split, features)


def _card(
    adoption: Adoption,
    network: _Network,
    parity: float,
    heads: Sequence[HeadRecord],
    points: Sequence[Point],
    int8: Int8Result | None,
) -> ModelCard:
    images, preprocessing = adoption.images, network.preprocessing
    assert preprocessing is not None
    packages = ("airreid", "numpy", "onnx", "onnxruntime", "scipy")
    return ModelCard(
        licence="the network's is its authors'; the codes' is yours",
        data=f"{adoption.network.name}, trained by others",
        codec_data=f"{images.name}, {len(images.everything)} images, "
        f"digest {images.everything.digest()}",
        versions={name: version(name) for name in packages},
        adopted=AdoptionRecord(
            network=adoption.network.name,
            sha256=hashlib.sha256(adoption.network.read_bytes()).hexdigest(),
            output=network.interface.output_name,
            preprocessing=preprocessing.words,
            parity=parity,
            codes={head.info.id: head.words for head in heads},
            held_out_people=len(images.test["query"].identities) if images.test else 0,
            top1={_row(point): point.top1 for point in points if point.link != "paper"},
            **({} if int8 is None else {"int8": int8.words}),
        ),
    )


def _tested(
    adoption: Adoption, bare: Bundle, heads: Sequence[HeadRecord], phase: Phase
) -> tuple[list[Point], dict[str, object]]:
    """Accuracy on people whom the codes in the folder were not fitted on."""
    images = adoption.images
    if images.test is None:
        return [], {}
    infos = [head.info for head in heads]
    bundle = _bundle(bare.path, adoption, [bare.backbone], infos, ModelCard())
    settings = _settings(adoption)
    points = evaluate(bundle, images.test, settings, phase)
    return points, about([bundle], images.test, settings)


def _settings(adoption: Adoption) -> Settings:
    return Settings(
        SNRS_DB,
        adoption.cache,
        adoption.seeds,
        paper=False,
        pca_images=len(adoption.images.fit),
        threads=os.cpu_count() or 1,
    )


def _features(bundle: Bundle, images: ImageSet, cache: Path, phase: Phase) -> NDArray[np.float32]:
    tick = phase(f"features of {len(images)} images", len(images))
    features = features_of(bundle, bundle.backbone, images, cache, tick)
    if not np.isfinite(features).all():
        rows = np.flatnonzero(~np.isfinite(features).all(axis=1))
        raise InputError(
            f"{images.samples[int(rows[0])].name}: the network gives NaN or infinity for it, and "
            f"for {len(rows) - 1} more images"
        )
    return features


def _bundle(
    folder: Path,
    adoption: Adoption,
    backbones: Sequence[BackboneInfo],
    schemes: Sequence[SchemeInfo],
    card: ModelCard,
) -> Bundle:
    manifest = Manifest(
        name=adoption.name or adoption.out.name,
        backbones=tuple(backbones),
        schemes=tuple(schemes),
        provenance=card,
    )
    return write_manifest(folder, manifest)


def _crops(
    images: ImageSet, positions: NDArray[np.int64], height: int, width: int
) -> NDArray[np.uint8]:
    samples = [images.samples[i] for i in positions.tolist()]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return np.stack(list(pool.map(lambda s: to_crop(s.load(), height, width), samples)))


def _identifier(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "network"


def _row(point: Point) -> str:
    where = "" if point.snr_db is None else f" at {point.snr_db:+g} dB"
    return f"{point.scheme} {point.link}{where}"
