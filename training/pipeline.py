"""A recipe from images to a bundle, in steps that are kept and not done twice."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.bundle import Bundle
from airreid.errors import InputError
from training import checkpoint
from training.bundling import build_bundle, export_head, space_id
from training.data.folder import folder_set
from training.data.pixels import pixels
from training.data.samples import ImageSet
from training.data.synthetic import image_set
from training.evaluate import (
    Gallery,
    against_pca,
    noiseless,
    paired_difference,
    split_by_camera,
)
from training.export import export_onnx, prove_parity
from training.features import extract
from training.models.backbone import FEATURE_DIM, Backbone
from training.models.codec import Codec
from training.quantise import quantise
from training.recipe import Recipe
from training.train_backbone import Progress, Trained, train_backbone
from training.train_codec import CodecProgress, parse_scheme, train_codec

CARD_SNRS_DB = (-10.0, -6.0, -3.0, 0.0, 5.0, 10.0, 20.0)
CARD_SEEDS = tuple(range(5))
BACKBONE_TOLERANCE = 1e-3


class Report(Protocol):
    """What a run says while it goes on."""

    def phase(self, name: str, steps: int) -> Callable[[], object]:
        """A phase of so many steps begins; call the result after each."""

    def backbone(self, progress: Progress) -> None: ...

    def codec(self, scheme_id: str, progress: CodecProgress) -> None: ...


@dataclass(frozen=True)
class _Sets:
    train: ImageSet
    codec: ImageSet
    validation: ImageSet | None


def _sets(recipe: Recipe, data: Path | None) -> _Sets:
    if data is not None:
        own = folder_set(data)
        return _Sets(own, own, None)
    parts = recipe.synthetic
    return _Sets(image_set(parts.train), image_set(parts.codec), image_set(parts.validation))


def _claim(out: Path, recipe: Recipe, sets: _Sets) -> None:
    """Writes ``recipe.json`` and ``data.json``; a folder of another run is refused."""
    out.mkdir(parents=True, exist_ok=True)
    data = {"train": sets.train.digest(), "codec": sets.codec.digest()}
    for name, text, what in (
        ("recipe.json", recipe.model_dump_json(indent=2), "settings"),
        ("data.json", json.dumps(data), "images"),
    ):
        path = out / name
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{out}: holds a run with other {what}; give another --out or delete it"
            )
        path.write_text(text, encoding="utf-8")


def run_recipe(
    recipe: Recipe, data: Path | None, out: Path, report: Report, cache: Path | None = None
) -> Bundle:
    """Trains everything that the recipe asks for and leaves a bundle in ``out/bundle``.

    ``data`` None means the recipe's synthetic people. A run that was stopped goes on
    where its last checkpoint is. ``cache`` holds decoded images; ``out/cache`` if
    left out.
    """
    for scheme_id in recipe.codec.schemes:
        parse_scheme(scheme_id)
    cache = cache or out / "cache"
    sets = _sets(recipe, data)
    _claim(out, recipe, sets)
    crops = _pixels(sets.train, cache, report)
    trained = train_backbone(
        recipe.backbone, crops, sets.train.labels(), recipe.seed, out, report.backbone
    )
    network = trained.network
    folder = out / "bundle"
    folder.mkdir(exist_ok=True)
    fp32, int8 = out / "backbone.fp32.onnx", folder / "backbone.int8.onnx"
    spread = np.linspace(0, len(crops) - 1, min(len(crops), recipe.calibration_images)).astype(int)
    sample = np.ascontiguousarray(crops[spread])
    parity = _export_backbone(network, fp32, int8, sample, report)
    space = space_id(network.state_dict())

    codec_crops = _pixels(sets.codec, cache, report)
    tick = report.phase("features for the codecs", len(sets.codec))
    features = extract(int8, codec_crops, out / f"features-{space}.npy", tick)
    schemes = []
    snr_range = (recipe.codec.snr_db_min, recipe.codec.snr_db_max)
    for scheme_id in recipe.codec.schemes:
        codec = _codec(scheme_id, recipe, features, sets.codec, out, space, report)
        schemes.append(export_head(scheme_id, codec, folder, features[:64], space, snr_range))
    provenance = _provenance(recipe, sets, trained, parity)
    bundle = build_bundle(
        folder, recipe.name, [(int8, "int8")], space, FEATURE_DIM, schemes, provenance
    )
    if sets.validation is not None:
        provenance["accuracy"] = _card(bundle, sets.validation, features, fp32, cache, report)
        bundle = build_bundle(
            folder, recipe.name, [(int8, "int8")], space, FEATURE_DIM, schemes, provenance
        )
    return bundle


def _pixels(images: ImageSet, cache: Path, report: Report) -> NDArray[np.uint8]:
    loaded: NDArray[np.uint8] = pixels(
        images, cache, report.phase(f"images of {images.name}", len(images))
    )
    return loaded


def _export_backbone(
    network: Backbone, fp32: Path, int8: Path, sample: NDArray[np.uint8], report: Report
) -> float:
    example = torch.zeros((2, *sample.shape[1:]), dtype=torch.uint8)
    export_onnx(network, example, fp32)
    parity = prove_parity(network, fp32, sample[:8], BACKBONE_TOLERANCE)
    quantise(fp32, int8, sample, report.phase("quantising to int8", -(-len(sample) // 8) + 1))
    return parity


def _codec(
    scheme_id: str,
    recipe: Recipe,
    features: NDArray[np.float32],
    images: ImageSet,
    out: Path,
    space: str,
    report: Report,
) -> Codec:
    path = out / f"codec-{scheme_id}-{space}.pt"
    kind, bandwidth = parse_scheme(scheme_id)
    if path.exists():
        codec = Codec(kind, features.shape[1], bandwidth, recipe.codec.hidden)
        codec.load_state_dict(checkpoint.load(path))
        return codec.eval()
    codec = train_codec(
        scheme_id,
        recipe.codec,
        features,
        images.labels(),
        images.cameras(),
        recipe.seed,
        lambda progress: report.codec(scheme_id, progress),
    )
    checkpoint.save(path, codec.state_dict())
    return codec


def _card(
    bundle: Bundle,
    images: ImageSet,
    codec_features: NDArray[np.float32],
    fp32: Path,
    cache: Path,
    report: Report,
) -> dict[str, Any]:
    """Accuracy on people whom nothing was trained on: int8 against fp32, codecs against PCA."""
    crops = _pixels(images, cache, report)
    labels, cameras = images.labels(), images.cameras()

    def split(graph: Path, name: str) -> Gallery:
        tick = report.phase(f"validation features, {name}", len(images))
        return split_by_camera(extract(graph, crops, tick=tick), labels, cameras)

    data = split(bundle.file(bundle.backbone.file), "int8")
    ours, full = noiseless(data), noiseless(split(fp32, "fp32"))
    difference, half = paired_difference(ours, full)
    tick = report.phase("accuracy over the air", len(bundle.manifest.schemes) * len(CARD_SNRS_DB))
    rows = against_pca(bundle, data, codec_features, CARD_SNRS_DB, CARD_SEEDS, tick)
    return {
        "protocol": f"{images.name}: {ours.queries} queries by one camera against "
        f"{len(data.gallery)} images by another; {len(CARD_SEEDS)} noise seeds",
        "noiseless_int8_top1": round(ours.top1, 4),
        "noiseless_fp32_top1": round(full.top1, 4),
        "int8_minus_fp32": round(difference, 4),
        "int8_minus_fp32_half_width": round(half, 4),
        "over_the_air": rows,
    }


def _provenance(recipe: Recipe, sets: _Sets, trained: Trained, parity: float) -> dict[str, Any]:
    return {
        "licence": "Apache-2.0",
        "data": f"{sets.train.name}, digest {sets.train.digest()}",
        "codec_data": f"{sets.codec.name}, digest {sets.codec.digest()}",
        "initial_weights": trained.origin,
        "backbone_training_minutes": round(trained.seconds / 60, 1),
        "recipe": json.loads(recipe.model_dump_json()),
        "parity_backbone": float(f"{parity:.2e}"),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "versions": {
            name: version(name)
            for name in ("airreid", "torch", "torchvision", "onnx", "onnxruntime", "numpy")
        },
    }
