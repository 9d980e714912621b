"""More schemes for a bundle that there is: its backbone stays as it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from airreid.bundle import Bundle, Manifest, files_of, load_bundle, write_manifest
from airreid.datasets import DataSet
from airreid.errors import InputError
from airreid.model_card import ModelCard
from airreid.scheme_info import SchemeInfo
from training.card.accuracy import measurable, protocol, scheme_rows, validation
from training.engine.progress_report import Report
from training.export.digital import export_digital, prove_distinct
from training.export.heads import export_head
from training.recipes.recipe import Recipe
from training.recipes.steps import CodecStep, DigitalStep, schemes_of
from training.runs.folder import claim, image_sets, kept_features, made_with
from training.steps.context import People
from training.steps.heads import codec_heads, digital_heads


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
    Old files are copied as they are and the provenance is kept; ``extended`` in it says
    what was added, with which recipe, data and versions. A run that was stopped goes on
    where its last checkpoint is. Raises :class:`InputError` when nothing is missing and
    when ``out`` holds anything but this run.
    """
    bundle = load_bundle(source)
    old = tuple(bundle.scheme_ids)
    steps = [step for step in recipe.steps if isinstance(step, CodecStep | DigitalStep)]
    new = [one for step in steps for one in schemes_of(step) if one not in old]
    if not new:
        raise InputError(f"{source}: has every scheme of recipe {recipe.name} already")
    cache = cache or out / "cache"
    sets = image_sets(recipe, data)
    claim(out, recipe, {"codec": sets.codec.digest()}, extends=bundle.bundle_id)
    folder = out / "bundle"
    folder.mkdir(exist_ok=True)
    for ref in files_of(bundle.manifest):
        shutil.copyfile(bundle.file(ref), folder / ref.path)

    backbone = bundle.backbone
    space, graph, images = backbone.space_id, bundle.file(backbone.file), sets.codec
    made: list[SchemeInfo] = []
    networks = {}
    plain = kept_features(graph, images, out, space, cache, report)
    for step in steps:
        features = kept_features(graph, images, out, space, cache, report, step.views)
        labels, cameras = images.labels(), images.cameras()
        people = People(features, np.tile(labels, step.views), np.tile(cameras, step.views))
        if isinstance(step, CodecStep):
            for one in codec_heads(step, people, space, out, recipe.seed, report, old):
                snrs = one.snr_db_train
                made.append(export_head(one.id, one.codec(), folder, plain[:64], space, snrs))
            continue
        for one in digital_heads(step, people, space, out, recipe.seed, report, old):
            model = networks[one.id] = one.digital()
            heads = (model.head, model.prior)
            sizes = step.payload_sizes
            made.append(export_digital(one.id, *heads, folder, plain, space, step.crc_bits, sizes))
    infos = (*bundle.manifest.schemes, *made)
    prove_distinct(folder, infos)
    added: dict[str, Any] = {
        "schemes": new,
        "from_bundle": bundle.bundle_id,
        "backbone": backbone.id,
        "recipe": {
            "name": recipe.name,
            "seed": recipe.seed,
            "steps": [json.loads(step.model_dump_json()) for step in steps],
        },
        "codec_data": f"{images.name}, digest {images.digest()}",
        **made_with(),
    }
    provenance = bundle.manifest.provenance.model_dump(mode="json")
    provenance["extended"] = [*provenance.get("extended", []), added]

    def build() -> Bundle:
        manifest = Manifest(
            name=bundle.manifest.name,
            backbones=bundle.manifest.backbones,
            schemes=infos,
            provenance=ModelCard.model_validate(provenance),
        )
        return write_manifest(folder, manifest)

    extended = build()
    if sets.validation is not None and measurable(sets.validation):
        gallery = validation(extended, sets.validation, cache, report)
        added["accuracy_protocol"] = protocol(sets.validation, gallery)
        accuracy = dict(provenance.get("accuracy", {}))
        rows = scheme_rows(extended, gallery, plain, networks, report, leave_out=old)
        for part, more in rows.items():
            accuracy[part] = [*accuracy.get(part, []), *more]
        provenance["accuracy"] = accuracy
        extended = build()
    return extended
