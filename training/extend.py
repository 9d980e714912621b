"""More schemes for a bundle that there is: its backbone stays as it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from airreid.bundle import Bundle, Manifest, files_of, load_bundle, write_manifest
from airreid.errors import InputError
from training.card import protocol, scheme_rows, validation
from training.export_digital import prove_distinct
from training.recipe import Recipe
from training.report import Report
from training.run_folder import claim, image_sets, kept_features, made_with
from training.schemes import People, make_schemes, scheme_ids


def extend_bundle(
    source: Path,
    recipe: Recipe,
    data: Path | None,
    out: Path,
    report: Report,
    cache: Path | None = None,
) -> Bundle:
    """Trains those schemes of the recipe that ``source`` has not; a bundle in ``out/bundle``.

    Schemes are trained on features by the first backbone of the bundle, of the recipe's
    codec population or of the images in ``data``. Old files are copied as they are and
    the provenance is kept; ``extended`` in it says what was added, with which recipe,
    data and versions. A run that was stopped goes on where its last checkpoint is.
    Raises :class:`InputError` when nothing is missing and when ``out`` holds anything
    but this run.
    """
    bundle = load_bundle(source)
    old = bundle.scheme_ids
    new = [scheme_id for scheme_id in scheme_ids(recipe) if scheme_id not in old]
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
    space = backbone.space_id
    features = kept_features(bundle.file(backbone.file), sets.codec, out, space, cache, report)
    schemes = make_schemes(recipe, People(features, sets.codec, space), out, folder, report, old)
    infos = (*bundle.manifest.schemes, *schemes.infos)
    prove_distinct(folder, infos)
    added: dict[str, Any] = {
        "schemes": new,
        "from_bundle": bundle.bundle_id,
        "backbone": backbone.id,
        "recipe": json.loads(recipe.model_dump_json(include={"name", "seed", "codec", "digital"})),
        "codec_data": f"{sets.codec.name}, digest {sets.codec.digest()}",
        **made_with(),
    }
    provenance = dict(bundle.manifest.provenance)
    provenance["extended"] = [*provenance.get("extended", []), added]

    def build() -> Bundle:
        manifest = Manifest(
            name=bundle.manifest.name,
            backbones=bundle.manifest.backbones,
            schemes=infos,
            provenance=provenance,
        )
        return write_manifest(folder, manifest)

    extended = build()
    if sets.validation is not None:
        people = validation(extended, sets.validation, cache, report)
        added["accuracy_protocol"] = protocol(sets.validation, people)
        accuracy = dict(provenance.get("accuracy", {}))
        rows = scheme_rows(extended, people, features, schemes.digital, report, leave_out=old)
        for part, more in rows.items():
            accuracy[part] = [*accuracy.get(part, []), *more]
        provenance["accuracy"] = accuracy
        extended = build()
    return extended
