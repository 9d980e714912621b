"""A recipe from images to a bundle, in steps that are kept and not done twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.bundle import Bundle
from training.bundling import build_bundle, space_id
from training.card import noiseless_rows, scheme_rows, validation
from training.export import export_onnx, prove_parity
from training.export_digital import prove_distinct
from training.models.backbone import FEATURE_DIM, Backbone
from training.quantise import quantise
from training.recipe import Recipe
from training.report import Report
from training.run_folder import (
    ImageSets,
    cached_pixels,
    claim,
    image_sets,
    kept_features,
    made_with,
)
from training.schemes import People, make_schemes, scheme_ids
from training.train_backbone import Trained, train_backbone

BACKBONE_TOLERANCE = 1e-3


def run_recipe(
    recipe: Recipe, data: Path | None, out: Path, report: Report, cache: Path | None = None
) -> Bundle:
    """Trains everything that the recipe asks for and leaves a bundle in ``out/bundle``.

    ``data`` None means the recipe's synthetic people. A run that was stopped goes on
    where its last checkpoint is. ``cache`` holds decoded images; ``out/cache`` if
    left out.
    """
    scheme_ids(recipe)
    cache = cache or out / "cache"
    sets = image_sets(recipe, data)
    claim(out, recipe, {"train": sets.train.digest(), "codec": sets.codec.digest()})
    crops = cached_pixels(sets.train, cache, report)
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

    features = kept_features(int8, sets.codec, out, space, cache, report)
    schemes = make_schemes(recipe, People(features, sets.codec, space), out, folder, report)
    prove_distinct(folder, schemes.infos)
    provenance = _provenance(recipe, sets, trained, parity)

    def build() -> Bundle:
        return build_bundle(
            folder, recipe.name, [(int8, "int8")], space, FEATURE_DIM, schemes.infos, provenance
        )

    bundle = build()
    if sets.validation is not None:
        people = validation(bundle, sets.validation, cache, report)
        provenance["accuracy"] = {
            **noiseless_rows(people, sets.validation, fp32, cache, report),
            **scheme_rows(bundle, people, features, schemes.digital, report),
        }
        bundle = build()
    return bundle


def _export_backbone(
    network: Backbone, fp32: Path, int8: Path, sample: NDArray[np.uint8], report: Report
) -> float:
    example = torch.zeros((2, *sample.shape[1:]), dtype=torch.uint8)
    export_onnx(network, example, fp32)
    parity = prove_parity(network, fp32, sample[:8], BACKBONE_TOLERANCE)
    quantise(fp32, int8, sample, report.phase("quantising to int8", -(-len(sample) // 8) + 1))
    return parity


def _provenance(recipe: Recipe, sets: ImageSets, trained: Trained, parity: float) -> dict[str, Any]:
    return {
        "licence": "Apache-2.0",
        "data": f"{sets.train.name}, digest {sets.train.digest()}",
        "codec_data": f"{sets.codec.name}, digest {sets.codec.digest()}",
        "initial_weights": trained.origin,
        "backbone_training_minutes": round(trained.seconds / 60, 1),
        "recipe": json.loads(recipe.model_dump_json()),
        "parity_backbone": float(f"{parity:.2e}"),
        **made_with(),
    }
