"""Bundle of what one run or several have trained."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from airreid.bundle import (
    MANIFEST,
    BackboneInfo,
    Bundle,
    Manifest,
    Precision,
    load_bundle,
    write_manifest,
)
from airreid.digital.table_design import prove_distinct
from airreid.errors import InputError
from airreid.model_card import Accuracy, ModelCard, RunCard
from airreid.scheme_info import SchemeInfo
from training.card.page import write_card
from training.engine.progress import Report
from training.export.backbone import backbone_info, stored_graphs
from training.export.scheme import export_scheme
from training.runs.checkpoints import (
    SavedBackbone,
    SavedScheme,
    backbone_path,
    load_backbone,
    load_scheme,
    scheme_path,
)
from training.runs.folder import machine_and_versions, stored_features
from training.runs.record import Run, open_run


def export_runs(
    runs: Sequence[Path],
    folder: Path,
    precisions: Sequence[Precision],
    report: Report,
    wanted: Sequence[str] = (),
    name: str | None = None,
    licence: str | None = None,
) -> Bundle:
    """Exports schemes of finished runs, with the backbones that they work on.

    ``precisions`` of each backbone, the one to be used first; ``wanted``: scheme ids, all
    of them if left out. ``folder`` is new, empty or holds a bundle, which is replaced once
    the new one is whole. Raises :class:`InputError` for runs that have a scheme id in
    common and :class:`airreid.errors.ParityError` when a graph drifts from PyTorch.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise InputError(f"{folder}: holds something that is no bundle; give another --out")
    opened = [open_run(out) for out in runs]
    chosen = _chosen(opened, wanted)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        backbones: dict[str, list[BackboneInfo]] = {}
        infos: list[SchemeInfo] = []
        several = _several(opened, chosen)
        tick = report.phase("exporting", sum(map(len, chosen)))
        for run, ids in zip(opened, chosen, strict=True):
            for scheme_id in ids:
                scheme = load_scheme(scheme_path(run.out, scheme_id))
                saved = load_backbone(backbone_path(run.out, scheme.backbone))
                if saved.space not in backbones:
                    backbones[saved.space] = _backbones(run, saved, part, precisions, several)
                infos.append(_scheme(run, scheme, saved, part))
                tick()
        prove_distinct(part, infos)
        manifest = Manifest(
            name=name or opened[0].record.name,
            backbones=tuple(info for group in backbones.values() for info in group),
            schemes=tuple(infos),
            provenance=_card(opened, chosen, licence),
        )
        write_with_card(part, manifest)
        _replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return load_bundle(folder)


def _replace(part: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _chosen(runs: list[Run], wanted: Sequence[str]) -> list[list[str]]:
    """Chooses the scheme ids to be taken from each run."""
    owner: dict[str, Path] = {}
    for run in runs:
        for scheme_id in run.record.schemes:
            if wanted and scheme_id not in wanted:
                continue
            if scheme_id in owner:
                raise InputError(
                    f"{owner[scheme_id]} and {run.out} both have {scheme_id}; leave it out of one "
                    "with --scheme, or train it under another id, such as "
                    f"{scheme_id.rpartition('-')[0]}-b-{scheme_id.rpartition('-')[2]}"
                )
            owner[scheme_id] = run.out
    missing = [scheme_id for scheme_id in wanted if scheme_id not in owner]
    if missing:
        trained = ", ".join(scheme_id for run in runs for scheme_id in run.record.schemes)
        raise InputError(f"--scheme {missing[0]}: no run has it; there are: {trained}")
    if not owner:
        raise InputError(f"{runs[0].out}: trains no scheme, and a bundle needs one")
    return [
        [scheme_id for scheme_id in run.record.schemes if owner.get(scheme_id) == run.out]
        for run in runs
    ]


def _several(runs: list[Run], chosen: list[list[str]]) -> bool:
    """Whether the chosen schemes work on more than one backbone."""
    spaces = set()
    for run, ids in zip(runs, chosen, strict=True):
        for scheme_id in ids:
            scheme = load_scheme(scheme_path(run.out, scheme_id))
            spaces.add(load_backbone(backbone_path(run.out, scheme.backbone)).space)
    return len(spaces) > 1


def _backbones(
    run: Run, saved: SavedBackbone, folder: Path, precisions: Sequence[Precision], several: bool
) -> list[BackboneInfo]:
    """Copies a backbone's graphs; their names carry the space where there are several."""
    graphs = stored_graphs(saved, run.out)
    infos = []
    for precision in precisions:
        tail = f"-{saved.space[:8]}" if several else ""
        path = folder / f"backbone{tail}.{precision}.onnx"
        shutil.copyfile(graphs.of(precision), path)
        backbone_id = f"{saved.settings['name'].replace('_', '-')}{tail}-{precision}"
        infos.append(backbone_info(path, backbone_id, precision, saved.space, saved.dim))
    return infos


def _scheme(run: Run, scheme: SavedScheme, backbone: SavedBackbone, folder: Path) -> SchemeInfo:
    features = stored_features(run.out, backbone.space, run.record.codec_images)
    if features is None:
        raise InputError(f"{run.out}: features-{backbone.space}.npy is gone; run the recipe again")
    recorded = run.record.provenance.rate_lambda_of(scheme.id)
    return export_scheme(scheme, folder, features, backbone.space, recorded)


def _card(runs: list[Run], chosen: list[list[str]], licence: str | None) -> ModelCard:
    """Makes the card of one run, or of several side by side."""
    used = [(run, ids) for run, ids in zip(runs, chosen, strict=True) if ids]
    cards = [run.record.provenance.only(ids) for run, ids in used]
    if licence is not None:
        cards = [card.model_copy(update={"licence": licence}) for card in cards]
    if len(cards) == 1:
        return cards[0]
    made_with = machine_and_versions()
    several = ModelCard(
        licence="; ".join(dict.fromkeys(card.licence or "not stated" for card in cards)),
        runs=tuple(
            RunCard.model_validate({**card.model_dump(), "schemes": ids})
            for card, (_, ids) in zip(cards, used, strict=True)
        ),
        machine=made_with.machine,
        versions=made_with.versions,
    )
    accuracy = Accuracy()
    for card in cards:
        if card.accuracy is not None:
            accuracy = accuracy.with_rows_of(card.accuracy)
    if not accuracy.model_fields_set:
        return several
    return several.model_copy(update={"accuracy": accuracy})


def write_with_card(folder: Path, manifest: Manifest) -> Bundle:
    """Writes the manifest and its model card over files that lie in ``folder``."""
    write_card(folder, manifest)
    return write_manifest(folder, manifest)
