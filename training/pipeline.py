"""A recipe from images to a bundle: one step after another, none done twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from airreid.bundle import Bundle, load_bundle
from airreid.datasets import DataSet
from airreid.errors import AirReidError
from training.card.run_card import accuracy_of_run, card_of_run
from training.engine.distributed import open_distributed
from training.engine.progress import Report, SilentReport
from training.export.bundle import export_runs, write_with_card
from training.recipes.recipe import Recipe, scheme_ids
from training.recipes.steps import BackboneStep, JointStep
from training.runs.folder import claim, image_sets
from training.runs.preflight import check_wishes
from training.runs.record import RunRecord, digests_of, open_run, save_record
from training.runs.reuse_backbone import take_backbone, with_backbone_of
from training.steps.backbone import run_backbone
from training.steps.context import RunContext
from training.steps.heads import run_heads
from training.steps.joint import run_joint

_FEW_PEOPLE = 400
"""People below which random weights are a start to be warned of: with 40 they found 7 in 100 of
others, with 743 46 in 100 without a channel."""
STEPS: dict[str, Callable[[Any, RunContext], None]] = {
    "backbone": run_backbone,
    "autoencoder": run_heads,
    "codec": run_heads,
    "digital": run_heads,
    "closed_form": run_heads,
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
    check_wishes(recipe, sets)
    with open_distributed(recipe.engine.device) as distributed:
        digests = {"train": sets.train.digest(), "codec": sets.codec.digest()}
        if distributed.is_main:
            claim(out, recipe, digests)
            if backbone is not None:
                take_backbone(backbone, recipe, out)
        distributed.barrier()
        shown = report if distributed.is_main else SilentReport()
        context = RunContext(recipe, sets, out, cache or out / "cache", shown, distributed)
        if data is not None and backbone is None and _starts_from_nothing(recipe):
            _warn_of_few(len(sets.train.identities), recipe, shown)
        for step in recipe.steps:
            STEPS[step.kind](step, context)
            distributed.barrier()
        return _finish(context) if distributed.is_main else None


def _starts_from_nothing(recipe: Recipe) -> bool:
    """Whether a backbone is trained from random weights."""
    return any(
        isinstance(step, BackboneStep | JointStep)
        and step.backbone is not None
        and step.weights == "none"
        for step in recipe.steps
    )


def _warn_of_few(people: int, recipe: Recipe, report: Report) -> None:
    """Tells, before anything is trained, that a network of others is the better start."""
    if people < _FEW_PEOPLE:
        report.note(
            f"recipe {recipe.name} begins with random weights, and {people} people teach such a "
            "network little (docs/results/site.md): give --backbone timm:NAME, or let a network "
            "of others learn them with 'airreid train run site --joint --backbone NETWORK.onnx'"
        )


def _finish(context: RunContext) -> Bundle | None:
    """Records the run, and exports and measures its bundle unless that is done already."""
    used = {scheme.backbone for scheme in context.schemes}
    trained_on = {
        name: context.head_data(context.backbones[name]).features for name in sorted(used)
    }
    earlier = _finished_bundle(context)
    if earlier is not None:
        return earlier
    record = RunRecord(
        name=context.recipe.name,
        schemes=tuple(scheme_ids(context.recipe)),
        codec_images=len(context.sets.codec),
        weights=digests_of(context.schemes),
        provenance=card_of_run(context),
    )
    save_record(context.out, record)
    if not context.schemes:
        return None
    ship = (context.recipe.ship,)
    bundle = export_runs([context.out], context.out / "bundle", ship, context.report)
    accuracy = accuracy_of_run(context, bundle, trained_on)
    if accuracy is not None:
        card = record.provenance.model_copy(update={"accuracy": accuracy})
        record = record.model_copy(update={"provenance": card})
        manifest = bundle.manifest.model_copy(update={"provenance": card})
        bundle = write_with_card(bundle.path, manifest)
    save_record(context.out, record.model_copy(update={"bundle": bundle.bundle_id}))
    return bundle


def _finished_bundle(context: RunContext) -> Bundle | None:
    """Returns the bundle that an earlier call made of the same weights, if it is still whole."""
    try:
        record = open_run(context.out).record
        bundle = load_bundle(context.out / "bundle")
    except AirReidError:
        return None
    same = record.same_weights(context.schemes) and record.bundle == bundle.bundle_id
    return bundle if same else None
