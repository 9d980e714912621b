"""Cells of study B: one network and code each, trained together and measured through noise."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.errors import InputError
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.evaluation.study.cells import StudyCurve, key_of, point_of
from airreid.evaluation.study.table import JOINT, NOISELESS
from airreid.inference import BackboneRunner
from airreid.retrieval import NearestMatch, cosine
from airreid.signal import SNR_DB_MAX
from training.models.codec import Codec
from training.models.digital import DigitalCodec
from training.models.stack import CodecStack
from training.runs import atomic_file
from training.study.crops import Crops, LabelledCrops, SearchCrops, StudyCrops
from training.study.digital_cells import Trained, coded_curve, fits
from training.study.features import TrainingPeople
from training.study.joint_settings import BASELINE, JointRecipe, JointSettings
from training.study.joint_training import JointParts, JointTraining, new_parts
from training.study.jscc_cells import pca_code
from training.study.measure import Noise, linear_curve, stack_curves
from training.study.run import CellSpec, Measure, Outcome
from training.study.training import StudyContext

_STEPS_AN_EPOCH = 450


def joint_cells(settings: JointSettings, study: StudyCrops | None) -> list[CellSpec]:
    """Returns the cells of study B, in the order in which they are of use.

    ``study``: needed to compute them; None to name them.
    """
    shared = settings.model_dump(mode="json", exclude={"recipes", "bandwidths"})
    cells = [
        CellSpec(NOISELESS, {}, 10, partial(_public, study, settings, ())),
        CellSpec(
            "closed",
            {**shared, "bandwidths": list(settings.bandwidths)},
            20,
            partial(_public, study, settings, settings.bandwidths),
        ),
    ]
    for bandwidth in settings.bandwidths:
        for recipe in settings.recipes:
            alone = recipe.kind == "baseline"
            if alone and bandwidth != settings.bandwidths[0]:
                continue
            measured = list(settings.bandwidths) if alone else [bandwidth]
            begins = recipe.begins_with == BASELINE
            cells.append(
                CellSpec(
                    f"{JOINT}{recipe.name}" if alone else f"{JOINT}{recipe.name}-{bandwidth}",
                    {
                        **shared,
                        "recipe": recipe.model_dump(mode="json"),
                        "bandwidths": measured,
                        "follows": _baseline(settings).model_dump(mode="json") if begins else None,
                    },
                    recipe.epochs * _STEPS_AN_EPOCH,
                    partial(_joint, study, settings, recipe, bandwidth, tuple(measured)),
                    follows=(f"{JOINT}{BASELINE}",) if begins else (),
                )
            )
    return cells


def _baseline(settings: JointSettings) -> JointRecipe:
    return next(recipe for recipe in settings.recipes if recipe.name == BASELINE)


def _public(
    study: StudyCrops | None,
    settings: JointSettings,
    bandwidths: tuple[int, ...],
    images: LabelledCrops,
    on: StudyContext,
) -> Measure:
    """The network as it was given: without a channel, or PCA of its features through noise."""
    assert study is not None
    bundle = study.network()
    runner = BackboneRunner(bundle, bundle.backbone, threads=1)

    def measure(test: SearchCrops) -> Outcome:
        search = _searched(runner.features, test)
        if not bandwidths:
            hits, curve = _noiseless(search)
            counted = search.query_labels.identity[NearestMatch(*_sides(search)).counted]
            return Outcome([curve], facts={"people": counted.tolist(), **hits})
        people = TrainingPeople(_in_parts(runner.features, images.crops), images.labels)
        noise = Noise(len(search.queries), settings.noise_seeds)
        return Outcome(_pca("pca", people, search, settings, bandwidths, noise))

    return measure


def _joint(
    study: StudyCrops | None,
    settings: JointSettings,
    recipe: JointRecipe,
    bandwidth: int,
    bandwidths: tuple[int, ...],
    images: LabelledCrops,
    on: StudyContext,
) -> Measure:
    assert study is not None
    parts = new_parts(recipe, bandwidth, study, images, settings.seed)
    weights = on.kept / f"{JOINT}{BASELINE}-{_key(settings, study)}.pt"
    if recipe.begins_with == BASELINE:
        _begin_with(weights, parts)
    name = f"{recipe.name}-{bandwidth}"
    JointTraining(recipe, bandwidth, images, on).run(parts, name)
    parts.eval().cpu()
    if recipe.kind == "baseline":
        atomic_file.save(weights, {"parts": parts.state_dict()})
    return partial(_measured, settings, recipe, bandwidths, images, parts)


def _key(settings: JointSettings, study: StudyCrops) -> str:
    """Digest of all that the baseline's network comes of."""
    recipe = _baseline(settings).model_dump(mode="json")
    return key_of({"recipe": recipe, "seed": settings.seed, "images": study.digests})[:8]


def _begin_with(path: Path, parts: JointParts) -> None:
    """Takes the network of the baseline, and its classifier where the code's output fits it."""
    if not path.exists():
        raise InputError(
            f"{path}: the baseline's network is not there; delete the cell {JOINT}{BASELINE} of "
            "this study to train it again"
        )
    saved = atomic_file.load(path)["parts"]
    state = parts.state_dict()
    state |= {key: value for key, value in saved.items() if state[key].shape == value.shape}
    parts.load_state_dict(state)


def _measured(
    settings: JointSettings,
    recipe: JointRecipe,
    bandwidths: tuple[int, ...],
    images: LabelledCrops,
    parts: JointParts,
    test: SearchCrops,
) -> Outcome:
    """Measures the code, and beside it PCA of the trained network's own features."""
    name = f"{JOINT}{recipe.name}"
    search = _searched(parts.features, test)
    people = TrainingPeople(parts.features(images.crops), images.labels)
    noise = Noise(len(search.queries), settings.noise_seeds)
    curves, facts = [], _noiseless(search)[0]
    if isinstance(parts.code, Codec):
        stack = CodecStack([parts.code], [recipe.snr_db]).eval()
        curves += stack_curves(
            name,
            stack,
            {recipe.snr_db: [0]},
            lambda features: features,
            search,
            settings.snrs_db,
            noise,
            torch.device("cpu"),
        )
    if isinstance(parts.code, DigitalCodec):
        latents = (Trained(settings.seed, parts.code, people).measured(search),)
        for bandwidth in bandwidths:
            if fits(latents, bandwidth):
                curve, link_facts = coded_curve(
                    name, latents, bandwidth, settings.snrs_db, settings.noise_seeds
                )
                curves.append(curve)
                facts[f"coded-{bandwidth}"] = link_facts
    curves += _pca(f"{name}-pca", people, search, settings, bandwidths, noise)
    return Outcome(curves, facts=facts)


def _searched(features: Any, test: SearchCrops) -> RetrievalFeatures:
    """Extracts features of queries and gallery; ``features``: crops (n, H, W, 3) -> (n, D)."""
    return RetrievalFeatures(
        _in_parts(features, test.gallery.crops),
        test.gallery.labels,
        _in_parts(features, test.queries.crops),
        test.queries.labels,
    )


def _in_parts(features: Any, crops: Crops) -> NDArray[np.float32]:
    starts = range(0, len(crops), 32)
    return np.concatenate([features(crops[start : start + 32]) for start in starts])


def _sides(search: RetrievalFeatures) -> tuple[Any, Any]:
    return search.query_labels, search.gallery_labels


def _noiseless(search: RetrievalFeatures) -> tuple[dict[str, Any], StudyCurve]:
    """Top-1 and mAP without a channel, as facts, and as a curve of one point."""
    hits = NearestMatch(*_sides(search)).hits(cosine(search.queries, search.gallery))
    mean_ap = round(search.search(search.queries, search.gallery).mean_ap, 5)
    point = point_of(SNR_DB_MAX, hits[None, None], map=mean_ap)
    curve = StudyCurve(scheme=NOISELESS, bandwidth=search.queries.shape[1], points=(point,))
    return {"top1_without_channel": round(float(hits.mean()), 5), "map": mean_ap}, curve


def _pca(
    name: str,
    people: TrainingPeople,
    search: RetrievalFeatures,
    settings: JointSettings,
    bandwidths: tuple[int, ...],
    noise: Noise,
) -> list[StudyCurve]:
    return [
        linear_curve(name, [pca_code(people, bandwidth)], search, settings.snrs_db, noise)
        for bandwidth in bandwidths
    ]
