"""Model card of a run: what it was trained from, and how good its schemes are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import Bundle
from airreid.model_card import Accuracy, BackboneRecord, ModelCard, RecipeRecord
from training.card.accuracy import (
    measurable,
    no_channel_accuracy,
    scheme_accuracy,
    validation_features,
)
from training.runs.checkpoints import SavedBackbone
from training.runs.folder import machine_and_versions
from training.steps.context import RunContext


def card_of_run(context: RunContext) -> ModelCard:
    """Describes a run whose steps are done; accuracy is not in it yet."""
    sets = context.sets
    synthetic = sets.train.name.startswith("synthetic")
    first = next(iter(context.backbones.values()))
    made_with = machine_and_versions()
    return ModelCard(
        licence="Apache-2.0" if synthetic else "not stated: trained on the user's own images",
        data=f"{sets.train.name}, digest {sets.train.digest()}",
        codec_data=f"{sets.codec.name}, digest {sets.codec.digest()}",
        initial_weights=first.origin,
        backbone_training_minutes=round(first.seconds / 60, 1),
        recipe=RecipeRecord.model_validate_json(context.recipe.model_dump_json()),
        parity_backbone=_three_digits(context.graphs(first).parity),
        backbones=tuple(_backbone_record(context, saved) for saved in context.backbones.values()),
        machine=made_with.machine,
        versions=made_with.versions,
    )


def _backbone_record(context: RunContext, saved: SavedBackbone) -> BackboneRecord:
    graphs = context.graphs(saved)
    cosine = graphs.int8_cosine
    return BackboneRecord.model_validate(
        {
            "name": saved.name,
            **saved.settings,
            "space": saved.space,
            "trained_at": saved.size,
            "initial_weights": saved.origin,
            "minutes": round(saved.seconds / 60, 1),
            "parity": _three_digits(graphs.parity),
            "int8_cosine": None if cosine is None else round(cosine, 4),
        }
    )


def accuracy_of_run(
    context: RunContext, bundle: Bundle, trained_on: Mapping[str, NDArray[np.float32]]
) -> Accuracy | None:
    """Measures every scheme of the run's bundle on held-out people, with its own backbone.

    ``trained_on``: backbone's name to the features (N, D) of the images that its schemes were
    trained on. None where no people are held out whom two cameras saw.
    """
    images = context.sets.validation
    if images is None or not measurable(images):
        return None
    accuracy: Accuracy | None = None
    names = {context.backbones[name].space: name for name in trained_on}
    by_backbone: dict[str, object] = {}
    for info in bundle.manifest.backbones:
        name = names[info.space_id]
        schemes = [scheme for scheme in context.schemes if scheme.backbone == name]
        people = validation_features(bundle, images, context.cache, context.report, info)
        fp32 = context.graphs(context.backbones[name]).fp32
        bound = no_channel_accuracy(
            people, images, info.precision, fp32, context.cache, context.report
        )
        rows = scheme_accuracy(bundle, people, trained_on[name], schemes, context.report)
        by_backbone[f"noiseless_{name}"] = bound.model_dump()
        accuracy = (bound if accuracy is None else accuracy).with_rows_of(rows)
    if accuracy is None or len(names) == 1:
        return accuracy
    return Accuracy.model_validate({**accuracy.model_dump(), **by_backbone})


def _three_digits(value: float) -> float:
    return float(f"{value:.2e}")
