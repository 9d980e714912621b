"""From a stranger's ONNX network and some crops to a bundle."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from airreid.adopt.elsewhere import SiteResult, measure_site
from airreid.adopt.heads import HeadRecord, parse_schemes, write_heads
from airreid.adopt.images import AdoptionImages, labels_of, spread
from airreid.adopt.int8 import Int8Result, try_int8
from airreid.adopt.network import PlainNetwork, load_network, read_interface
from airreid.adopt.preprocessing import PRESETS, Preprocessing
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
from airreid.model_card import AdoptionRecord, ModelCard
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


def adopt(adoption: Adoption, phase: Phase) -> Adopted:
    """Makes a bundle in ``adoption.out``, whole or not at all.

    Raises :class:`InputError` for a network that cannot be used, preprocessing that is not
    clear, a folder that is not empty, and schemes that the features cannot carry.
    """
    wanted = parse_schemes(adoption.schemes)
    if adoption.out.exists() and (not adoption.out.is_dir() or any(adoption.out.iterdir())):
        raise InputError(f"{adoption.out}: not empty; give another --out")
    model = load_network(adoption.network)
    interface = read_interface(adoption.network, model, adoption.output, adoption.size)
    plain = PlainNetwork(adoption.network, interface, os.cpu_count() or 1)
    images = adoption.images

    def crops(positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        return _crops(images.fit, positions, interface.height, interface.width)

    proof = crops(spread(images.fit, _PROOF_IMAGES))
    search = None
    preprocessing = adoption.preprocessing
    first = plain.features((preprocessing or Preprocessing()).apply(proof[:1]))
    if preprocessing is None:
        if images.labels is None:
            raise InputError(
                f"{images.name}: nobody's identity, so the preprocessing cannot be found by "
                "trying; say it with --preset, or with --mean, --std, --scale and --colour"
            )
        search = find_preprocessing(
            plain.features,
            crops,
            images.labels,
            interface.dtype,
            phase("preprocessing", len(PRESETS)),
        )
        preprocessing = search.preprocessing
    staging = adoption.out.with_name(f".{adoption.out.name}.{os.getpid()}.part")
    staging.mkdir(parents=True)
    try:
        path = staging / "backbone.onnx"
        onnx.save(wrap(model, interface, preprocessing, first.shape[1]), path)
        parity = prove(path, plain, proof, preprocessing)
        backbone = BackboneInfo(
            id=_identifier(adoption.network.stem),
            file=FileRef.of(path),
            precision="fp32",
            space_id=hashlib.sha256(path.read_bytes()).hexdigest()[:16],
            height=interface.height,
            width=interface.width,
            feature_dim=first.shape[1],
        )
        bare = _bundle(staging, adoption, [backbone], (), ModelCard())
        features = _features(bare, images.fit, adoption.cache, phase)
        heads, split = write_heads(
            wanted, features, images.labels, staging, backbone.space_id, phase("codes", len(wanted))
        )
        points, what = _tested(adoption, bare, heads, phase)
        if images.everything is not images.fit:  # measured; now the test's people are fitted on too
            features = _features(bare, images.everything, adoption.cache, phase)
            heads, split = write_heads(
                wanted,
                features,
                labels_of(images.everything),
                staging,
                backbone.space_id,
                phase("codes, of everybody", len(wanted)),
            )
        int8 = None
        if adoption.int8:
            int8 = try_int8(
                bare,
                backbone,
                lambda most: crops(spread(images.fit, most)),
                images.test,
                adoption.cache,
                phase,
            )
        card = ModelCard(
            licence="the network's is its authors'; the codes' is yours",
            data=f"{adoption.network.name}, trained by others",
            codec_data=f"{images.name}, {len(images.everything)} images, "
            f"digest {images.everything.digest()}",
            versions={
                name: version(name) for name in ("airreid", "numpy", "onnx", "onnxruntime", "scipy")
            },
            adopted=AdoptionRecord(
                network=adoption.network.name,
                sha256=hashlib.sha256(adoption.network.read_bytes()).hexdigest(),
                output=interface.output_name,
                preprocessing=preprocessing.words,
                parity=parity,
                codes={head.info.id: head.words for head in heads},
                held_out_people=len(images.test["query"].identities) if images.test else 0,
                top1={_row(point): point.top1 for point in points if point.link != "paper"},
                **({} if int8 is None else {"int8": int8.words}),
            ),
        )
        quantised = [] if int8 is None or int8.backbone is None else [int8.backbone]
        infos = [head.info for head in heads]
        _bundle(staging, adoption, [*quantised, backbone], infos, card)
        if adoption.out.exists():
            adoption.out.rmdir()
        staging.rename(adoption.out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    bundle = load_bundle(adoption.out)
    settings = _settings(adoption)
    elsewhere = tuple(
        measure_site(bundle, features, images.everything, site, settings, phase)
        for site in adoption.elsewhere
    )
    refitted = images.everything is not images.fit
    return Adopted(
        bundle, search, parity, tuple(heads), split, tuple(points), what, refitted, int8, elsewhere
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
