"""One bundle from what one run or several have trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from airreid.bundle import MANIFEST, BackboneInfo, Bundle, Manifest, load_bundle, write_manifest
from airreid.errors import InputError
from airreid.model_card import ModelCard
from airreid.scheme_info import SchemeInfo
from training.card.page import write_card
from training.engine.progress_report import Report
from training.export.backbone import stored_graphs
from training.export.digital import export_digital, prove_distinct
from training.export.heads import backbone_info, export_head
from training.runs.checkpoints import (
    SavedBackbone,
    SavedScheme,
    backbone_path,
    load_backbone,
    load_scheme,
    scheme_path,
)
from training.runs.folder import made_with, stored_features

ABOUT = "run.json"
_SAMPLE = 64
"""Features on which a JSCC head's graphs are compared with PyTorch."""


@dataclass(frozen=True)
class Run:
    """A finished run's folder."""

    out: Path
    about: dict[str, Any]
    """``name``, ``schemes``, ``codec_images`` and ``provenance``."""

    @property
    def schemes(self) -> list[str]:
        return list(self.about["schemes"])


def open_run(out: Path) -> Run:
    """Raises :class:`InputError` for a folder that holds no finished run."""
    try:
        return Run(out, json.loads((out / ABOUT).read_text(encoding="utf-8")))
    except OSError:
        state = "is not finished: give 'airreid train run' the same --out again"
        begun = (out / "recipe.json").exists()
        raise InputError(f"{out}: {state if begun else 'holds no run'}") from None
    except ValueError:
        raise InputError(f"{out / ABOUT}: damaged; delete it and run the recipe again") from None


def export_runs(
    runs: Sequence[Path],
    folder: Path,
    precisions: Sequence[str],
    report: Report,
    wanted: Sequence[str] = (),
    name: str | None = None,
    licence: str | None = None,
) -> Bundle:
    """Exports schemes of finished runs, with the backbones that they work on.

    ``precisions`` of each backbone, the one to be used first; ``wanted``: scheme ids, all
    of them if left out. ``folder`` is new, empty or holds a bundle, which is replaced once
    the new one is whole. Raises :class:`InputError` for runs that have a scheme id in
    common and :class:`training.export.onnx.ParityError` when a graph drifts from PyTorch.
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
            name=name or opened[0].about["name"],
            backbones=tuple(info for group in backbones.values() for info in group),
            schemes=tuple(infos),
            provenance=ModelCard.model_validate(_provenance(opened, chosen, licence)),
        )
        write_card(part, manifest)
        write_manifest(part, manifest)
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
    """Scheme ids to be taken from each run."""
    owner: dict[str, Path] = {}
    for run in runs:
        for scheme_id in run.schemes:
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
        there = ", ".join(one for run in runs for one in run.schemes)
        raise InputError(f"--scheme {missing[0]}: no run has it; there are: {there}")
    if not owner:
        raise InputError(f"{runs[0].out}: trains no scheme, and a bundle needs one")
    return [[one for one in run.schemes if owner.get(one) == run.out] for run in runs]


def _several(runs: list[Run], chosen: list[list[str]]) -> bool:
    spaces = {
        load_backbone(backbone_path(run.out, load_scheme(scheme_path(run.out, one)).backbone)).space
        for run, ids in zip(runs, chosen, strict=True)
        for one in ids
    }
    return len(spaces) > 1


def _backbones(
    run: Run, saved: SavedBackbone, folder: Path, precisions: Sequence[str], several: bool
) -> list[BackboneInfo]:
    """Copies a backbone's graphs; their names carry the space where there are several."""
    graphs = stored_graphs(saved, run.out)
    made = []
    for precision in precisions:
        tail = f"-{saved.space[:8]}" if several else ""
        path = folder / f"backbone{tail}.{precision}.onnx"
        shutil.copyfile(graphs.of(precision), path)
        backbone_id = f"{saved.settings['name'].replace('_', '-')}{tail}-{precision}"
        made.append(backbone_info(path, backbone_id, precision, saved.space, saved.dim))
    return made


def _scheme(run: Run, scheme: SavedScheme, saved: SavedBackbone, folder: Path) -> SchemeInfo:
    count = int(run.about["codec_images"])
    features = stored_features(run.out, saved.space, count)
    if features is None:
        raise InputError(f"{run.out}: features-{saved.space}.npy is gone; run the recipe again")
    if scheme.is_digital:
        model = scheme.digital()
        return export_digital(
            scheme.id,
            model.head,
            model.prior,
            folder,
            features,
            saved.space,
            24 if scheme.crc_bits == 24 else 11,
            scheme.payload_sizes,
        )
    spread = np.linspace(0, count - 1, min(count, _SAMPLE)).astype(int)
    sample = np.ascontiguousarray(features[spread])
    return export_head(scheme.id, scheme.codec(), folder, sample, saved.space, scheme.snr_db_train)


def _provenance(runs: list[Run], chosen: list[list[str]], licence: str | None) -> dict[str, Any]:
    """The model card's data: a run's own, or that of several side by side."""
    used = [(run, ids) for run, ids in zip(runs, chosen, strict=True) if ids]
    cards = [_of_schemes(dict(run.about["provenance"]), ids) for run, ids in used]
    if licence is not None:
        cards = [{**card, "licence": licence} for card in cards]
    if len(cards) == 1:
        return cards[0]
    accuracy: dict[str, list[Any]] = {}
    for card in cards:
        for part, rows in card.get("accuracy", {}).items():
            if isinstance(rows, list):
                accuracy[part] = [*accuracy.get(part, []), *rows]
    both: dict[str, Any] = {
        "licence": "; ".join(dict.fromkeys(card["licence"] for card in cards)),
        "runs": [{**card, "schemes": ids} for card, (_, ids) in zip(cards, used, strict=True)],
        **made_with(),
    }
    if accuracy:
        both["accuracy"] = accuracy
    return both


def _of_schemes(card: dict[str, Any], ids: list[str]) -> dict[str, Any]:
    """A card without the rows of schemes that are left out."""
    if "accuracy" in card:
        card["accuracy"] = {
            part: [row for row in rows if row["scheme"] in ids] if isinstance(rows, list) else rows
            for part, rows in card["accuracy"].items()
        }
    return card
