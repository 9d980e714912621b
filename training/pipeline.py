"""A recipe from images to a bundle: one step after another, none done twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airreid.bundle import Bundle, load_bundle, write_manifest
from airreid.datasets import DataSet
from airreid.errors import BundleError
from airreid.model_card import ModelCard
from training.card.accuracy import measurable, no_channel_rows, scheme_rows, validation
from training.card.page import write_card
from training.engine.distributed import open_distributed
from training.engine.progress_report import Report
from training.export.bundle import ABOUT, export_runs
from training.export.heads import space_id
from training.models.digital import Digital
from training.recipes.recipe import Recipe, scheme_ids
from training.runs.checkpoints import SavedBackbone
from training.runs.folder import claim, image_sets, made_with
from training.runs.reuse_backbone import take_backbone, with_backbone_of
from training.steps.backbone import run_backbone
from training.steps.context import Quiet, RunContext
from training.steps.heads import run_autoencoder, run_codec, run_digital
from training.steps.joint import run_joint

STEPS: dict[str, Callable[[Any, RunContext], None]] = {
    "backbone": run_backbone,
    "autoencoder": run_autoencoder,
    "codec": run_codec,
    "digital": run_digital,
    "joint": run_joint,
}


def run_recipe(
    recipe: Recipe,
    data: DataSet | None,
    out: Path,
    report: Report,
    cache: Path | None = None,
    backbone: Path | None = None,
) -> Bundle | None:
    """Trains everything that the recipe asks for and leaves a bundle in ``out/bundle``.

    ``data`` None means the recipe's synthetic people. A run that was stopped goes on
    where its last checkpoint is. ``cache`` holds decoded images; ``out/cache`` if
    left out. ``backbone`` is the folder of a run whose backbone is taken instead of training
    one. Started by torchrun, all processes train and the first one writes. Returns
    None for a recipe without schemes, and in the other processes.
    """
    if backbone is not None:
        recipe = with_backbone_of(backbone, recipe)
    sets = image_sets(recipe, data)
    with open_distributed(recipe.engine.device) as distributed:
        digests = {"train": sets.train.digest(), "codec": sets.codec.digest()}
        if distributed.is_main:
            claim(out, recipe, digests)
            if backbone is not None:
                take_backbone(backbone, recipe, out)
        distributed.barrier()
        shown = report if distributed.is_main else Quiet()
        context = RunContext(recipe, sets, out, cache or out / "cache", shown, distributed)
        for step in recipe.steps:
            STEPS[step.kind](step, context)
            distributed.barrier()
        return _finish(context) if distributed.is_main else None


def _finish(context: RunContext) -> Bundle | None:
    """The bundle and its card."""
    used = {scheme.backbone for scheme in context.schemes}
    fitted = {stem: context.people(context.backbones[stem]).features for stem in sorted(used)}
    about: dict[str, Any] = {
        "name": context.recipe.name,
        "schemes": scheme_ids(context.recipe),
        "codec_images": len(context.sets.codec),
        "weights": {one.id: space_id(one.weights) for one in context.schemes},
        "provenance": _provenance(context),
    }
    path = context.out / ABOUT
    made = _made(path, about)
    if made is not None:
        return made
    path.write_text(json.dumps(about, indent=2), encoding="utf-8")
    if not context.schemes:
        return None
    ship = (context.recipe.ship,)
    bundle = export_runs([context.out], context.out / "bundle", ship, context.report)
    images = context.sets.validation
    if images is not None and measurable(images):
        about["provenance"]["accuracy"] = _accuracy(context, bundle, fitted)
        manifest = bundle.manifest.model_copy(
            update={"provenance": ModelCard.model_validate(about["provenance"])}
        )
        write_card(bundle.path, manifest)
        bundle = write_manifest(bundle.path, manifest)
    path.write_text(json.dumps({**about, "bundle": bundle.bundle_id}, indent=2), encoding="utf-8")
    return bundle


def _made(path: Path, about: dict[str, Any]) -> Bundle | None:
    """The bundle that an earlier call has made of the same weights, if it is still whole."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        bundle = load_bundle(path.parent / "bundle")
    except (OSError, ValueError, BundleError):
        return None
    same = kept.get("weights") == about["weights"] and kept.get("bundle") == bundle.bundle_id
    return bundle if same else None


def _accuracy(context: RunContext, bundle: Bundle, fitted: dict[str, Any]) -> dict[str, Any]:
    """Every scheme on held-out people, with its own backbone."""
    images = context.sets.validation
    assert images is not None
    found: dict[str, Any] = {}
    spaces = {context.backbones[stem].space: stem for stem in fitted}
    for info in bundle.manifest.backbones:
        stem = spaces[info.space_id]
        mine = [one for one in context.schemes if one.backbone == stem]
        others = [one.id for one in context.schemes if one.backbone != stem]
        digital: dict[str, Digital] = {one.id: one.digital() for one in mine if one.is_digital}
        people = validation(bundle, images, context.cache, context.report, info)
        fp32 = context.graphs(context.backbones[stem]).fp32
        head = no_channel_rows(people, images, info.precision, fp32, context.cache, context.report)
        rows = scheme_rows(bundle, people, fitted[stem], digital, context.report, leave_out=others)
        found = {**head, **found}
        if len(spaces) > 1:
            found[f"noiseless_{stem}"] = head
        for part, more in rows.items():
            found[part] = [*found.get(part, []), *more]
    return found


def _provenance(context: RunContext) -> dict[str, Any]:
    sets = context.sets
    synthetic = sets.train.name.startswith("synthetic")
    first = next(iter(context.backbones.values()))
    return {
        "licence": "Apache-2.0" if synthetic else "not stated: trained on the user's own images",
        "data": f"{sets.train.name}, digest {sets.train.digest()}",
        "codec_data": f"{sets.codec.name}, digest {sets.codec.digest()}",
        "initial_weights": first.origin,
        "backbone_training_minutes": round(first.seconds / 60, 1),
        "recipe": json.loads(context.recipe.model_dump_json()),
        "parity_backbone": _rounded(context.graphs(first).parity),
        "backbones": [_about(context, saved) for saved in context.backbones.values()],
        **made_with(),
    }


def _about(context: RunContext, saved: SavedBackbone) -> dict[str, Any]:
    graphs = context.graphs(saved)
    return {
        "name": saved.stem,
        **saved.settings,
        "space": saved.space,
        "trained_at": list(saved.size),
        "initial_weights": saved.origin,
        "minutes": round(saved.seconds / 60, 1),
        "parity": _rounded(graphs.parity),
        "int8_cosine": None if graphs.int8_cosine is None else round(graphs.int8_cosine, 4),
    }


def _rounded(value: float) -> float:
    return float(f"{value:.2e}")
