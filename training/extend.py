"""More schemes for a bundle that exists: its backbone stays as it is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from airreid.bundle import Bundle, files_of, load_bundle
from airreid.datasets import DataSet
from airreid.digital.table_design import prove_distinct
from airreid.errors import InputError
from airreid.model_card import Accuracy, ExtensionRecord, ModelCard, RecipeRecord
from airreid.scheme_info import SchemeInfo
from training.card.accuracy import measurable, protocol, scheme_accuracy, validation_features
from training.engine.distributed import Distributed, device_of
from training.engine.progress import Report
from training.export.bundle import write_with_card
from training.export.scheme import export_scheme
from training.recipes.recipe import Recipe
from training.recipes.steps import ClosedFormStep, CodecStep, DigitalStep, schemes_of
from training.runs.checkpoints import SavedScheme
from training.runs.folder import ImageSets, claim, image_sets, kept_features, machine_and_versions
from training.steps.context import HeadData, RunContext
from training.steps.heads import train_heads

ExtensionStep = CodecStep | DigitalStep | ClosedFormStep
"""Steps that start from the backbone's features alone."""


def extend_bundle(
    source: Path,
    recipe: Recipe,
    data: DataSet | None,
    out: Path,
    report: Report,
    cache: Path | None = None,
) -> Bundle:
    """Trains those schemes of the recipe that ``source`` has not; a bundle in ``out/bundle``.

    Only steps that train heads on a frozen backbone are done, on features by the first
    backbone of the bundle, of the recipe's codec population or of the images in ``data``.
    Old files are copied as they are and the card is kept; ``extended`` in it says what was
    added, with which recipe, data and versions. A run that was stopped goes on where its
    last checkpoint is. Raises :class:`InputError` when nothing is missing and when ``out``
    holds anything but this run.
    """
    bundle = load_bundle(source)
    steps = [step for step in recipe.steps if isinstance(step, ExtensionStep)]
    ids = [scheme_id for step in steps for scheme_id in schemes_of(step)]
    new = [scheme_id for scheme_id in ids if scheme_id not in bundle.scheme_ids]
    if not new:
        raise InputError(f"{source}: has every scheme of recipe {recipe.name} already")
    cache = cache or out / "cache"
    sets = image_sets(recipe, data)
    claim(out, recipe, {"codec": sets.codec.digest()}, extends=bundle.bundle_id)
    folder = out / "bundle"
    folder.mkdir(exist_ok=True)
    for ref in files_of(bundle.manifest):
        shutil.copyfile(bundle.file(ref), folder / ref.path)

    distributed = Distributed(device_of(recipe.engine.device))
    context = RunContext(recipe, sets, out, cache, report, distributed)
    schemes = _train(bundle, steps, context)
    space, graph = bundle.backbone.space_id, bundle.file(bundle.backbone.file)
    size = (bundle.backbone.height, bundle.backbone.width)
    features = kept_features(graph, sets.codec, out, space, cache, report, size=size)
    added = [export_scheme(scheme, folder, features, space) for scheme in schemes]
    infos: tuple[SchemeInfo, ...] = (*bundle.manifest.schemes, *added)
    prove_distinct(folder, infos)
    extension = _extension(bundle, new, recipe, steps, sets)
    card = _with_extension(bundle.manifest.provenance, extension)
    manifest = bundle.manifest.model_copy(update={"schemes": infos, "provenance": card})
    extended = write_with_card(folder, manifest)
    if sets.validation is None or not measurable(sets.validation):
        return extended
    people = validation_features(extended, sets.validation, cache, report)
    rows = scheme_accuracy(extended, people, features, schemes, report)
    measured = protocol(sets.validation, people)
    card = _with_extension(
        bundle.manifest.provenance, extension.model_copy(update={"accuracy_protocol": measured})
    )
    accuracy = (card.accuracy or Accuracy()).with_rows_of(rows)
    card = card.model_copy(update={"accuracy": accuracy})
    return write_with_card(folder, manifest.model_copy(update={"provenance": card}))


def _train(
    bundle: Bundle, steps: Sequence[ExtensionStep], context: RunContext
) -> list[SavedScheme]:
    """Trains the schemes that the bundle has not, or takes them from the run's folder."""
    space, graph = bundle.backbone.space_id, bundle.file(bundle.backbone.file)
    size = (bundle.backbone.height, bundle.backbone.width)
    images, present = context.sets.codec, tuple(bundle.scheme_ids)
    schemes: list[SavedScheme] = []
    for step in steps:
        copies = step.augmented_copies
        features = kept_features(
            graph, images, context.out, space, context.cache, context.report, copies, size
        )
        data = HeadData.of_images(features, images, copies)
        schemes += train_heads(step, data, space, context, present)
    return schemes


def _extension(
    bundle: Bundle,
    new: Sequence[str],
    recipe: Recipe,
    steps: Sequence[ExtensionStep],
    sets: ImageSets,
) -> ExtensionRecord:
    made_with = machine_and_versions()
    used = {
        "name": recipe.name,
        "seed": recipe.seed,
        "steps": [step.model_dump(mode="json") for step in steps],
    }
    return ExtensionRecord(
        schemes=tuple(new),
        from_bundle=bundle.bundle_id,
        backbone=bundle.backbone.id,
        recipe=RecipeRecord.model_validate(used),
        codec_data=f"{sets.codec.name}, digest {sets.codec.digest()}",
        machine=made_with.machine,
        versions=made_with.versions,
    )


def _with_extension(card: ModelCard, extension: ExtensionRecord) -> ModelCard:
    return card.model_copy(update={"extended": (*card.extended, extension)})
