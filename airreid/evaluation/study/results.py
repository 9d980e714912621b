"""Results of a study in folders: those of one machine, and those that others have given."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from airreid.disk import read_regular
from airreid.errors import InputError
from airreid.evaluation.study.cells import PACKED, PEOPLE, Cell, read_cell, write_cell
from airreid.evaluation.study.plan import (
    DIGESTS,
    Plan,
    difference,
    read_plan,
    shared_settings,
    write_plan,
)
from airreid.evaluation.study.published import Published, read_published

CELLS = "cells"
"""Folder of the cells in that of a study. Results that are to be given away have none."""
_BYTES_MAX = 64 * 1024 * 1024
_ABOUT = ("features.json", "crops.json")


@dataclass(frozen=True)
class Results:
    """Finished cells of one study, and what it is to have."""

    folder: Path
    plan: Plan
    cells: dict[str, Cell]
    notes: tuple[str, ...] = ()
    """Sentences on what is left out, or not quite alike."""
    published: Published = field(default_factory=Published)
    """Values whose cells are gone; they count where there is no cell."""


def read_results(folder: Path, features: Path | None = None) -> Results:
    """Reads the folder of a study, or one that :func:`write_results` wrote.

    ``features``: folder of its features; ``FOLDER/features`` if left out. Cells of other features,
    or of other settings than the rest, are left out, and a note names them. Raises
    :class:`InputError` for a folder without cells.
    """
    plan = read_plan(folder)
    if not plan.about:
        plan = plan.model_copy(update={"about": _about(features or folder / "features")})
    paths = {path.name.removesuffix(PACKED): path for path in folder.glob(f"*{PACKED}")}
    paths |= {path.stem: path for path in (folder / CELLS).glob("*.json")}
    published = read_published(folder)
    if not paths and not published.entries:
        raise InputError(f"{folder}: no cells of a study; 'airreid study run' computes them")
    cells = {name: read_cell(paths[name]) for name in sorted(paths)}
    return _of_one_study(Results(folder, plan, cells, published=published))


def _about(features: Path) -> dict[str, Any]:
    """Reads what a folder of features or images says of its data; empty where there is none."""
    for name in _ABOUT:
        try:
            about: dict[str, Any] = json.loads(read_regular(features / name, _BYTES_MAX))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise InputError(f"{features / name}: cannot be read ({error}); delete it") from None
        return about
    return {}


def _of_one_study(results: Results) -> Results:
    """Leaves out cells that are not of the plan's features, or not of its settings."""
    plan = results.plan
    shared = dict(plan.shared)
    if not shared:
        for name, cell in results.cells.items():
            shared = shared_settings(name, cell.settings) | shared
    strangers = [
        name
        for name, cell in results.cells.items()
        if (plan.about.get(DIGESTS) and cell.key != plan.key(cell.settings))
        or any(shared.get(f, v) != v for f, v in shared_settings(name, cell.settings).items())
    ]
    cells = {name: cell for name, cell in results.cells.items() if name not in strangers}
    note = f"{results.folder}: left out, of other features or settings: {', '.join(strangers)}"
    plan = plan.model_copy(update={"shared": shared})
    notes = (note,) if strangers else ()
    return Results(results.folder, plan, cells, notes, results.published)


def joined(first: Results, *others: Results) -> Results:
    """Puts results of one study together; of a cell that several have, the first counts.

    Raises :class:`InputError` for results of other data, another network or another study, and for
    a folder that does not say of which. Where features have other digests, as those that another
    processor computed, a note says so.
    """
    for other in others:
        check_same(first.folder, first.plan, other)
        plan = first.plan
        names = dict.fromkeys((*plan.cells, *other.plan.cells))
        first = Results(
            first.folder,
            plan.model_copy(update={"cells": tuple(names), "about": _about_both(plan, other.plan)}),
            dict(sorted((other.cells | first.cells).items())),
            (*first.notes, *other.notes, *other_features(plan, other)),
            first.published if first.published.entries else other.published,
        )
    return first


def _about_both(first: Plan, other: Plan) -> dict[str, Any]:
    """Adds the digests of features that differ, as ``digests_2`` and so on."""
    digests = [value for name, value in first.about.items() if name.startswith(DIGESTS)]
    if other.about[DIGESTS] in digests:
        return first.about
    return first.about | {f"{DIGESTS}_{len(digests) + 1}": other.about[DIGESTS]}


def check_same(folder: Path, plan: Plan, other: Results) -> None:
    """Raises :class:`InputError` unless results are of the study that a folder's plan names."""
    for place, about in ((folder, plan.about), (other.folder, other.plan.about)):
        if not about.get(DIGESTS):
            raise InputError(
                f"{place}: does not say of which data it is; call 'airreid study run' there again"
            )
    if unlike := difference(plan, other.plan):
        raise InputError(f"{other.folder}: not the study of {folder}: it has {unlike}")


def other_features(plan: Plan, other: Results) -> tuple[str, ...]:
    """Says whether features have other digests than a plan's."""
    if plan.about[DIGESTS] == other.plan.about[DIGESTS]:
        return ()
    return (
        f"{other.folder}: same data and network, but features of another machine, whose digests "
        "differ",
    )


def shared_cell(cell: Cell) -> Cell:
    """Returns a cell without all that tells of a person's features: results alone.

    Messages of the digital schemes are left out, and who the people of the test are: what is left
    is which queries show the same one.
    """
    facts = cell.facts
    if PEOPLE in facts:
        alike = np.unique(facts[PEOPLE], return_inverse=True)[1]
        facts = facts | {PEOPLE: alike.tolist()}
    latents = tuple(
        each.model_copy(update={"messages": (), "crc_seed": ""}) for each in cell.latents
    )
    return cell.model_copy(update={"facts": facts, "latents": latents})


def write_results(results: Results, out: Path) -> list[Path]:
    """Writes every cell to ``NAME.json.xz``, and ``study.json`` beside; the same bytes again.

    Raises :class:`InputError` for a folder that holds the results of another study.
    """
    if not results.plan.cells or not results.plan.about.get(DIGESTS):
        raise InputError(
            f"{results.folder}: does not say which cells it has and of which data; call 'airreid "
            "study run' there again, or give --features"
        )
    stored = read_plan(out)
    if stored.cells:
        check_same(results.folder, results.plan, Results(out, stored, {}))
        if stored.about[DIGESTS] != results.plan.about[DIGESTS]:
            raise InputError(f"{out}: of features with other digests; give another folder")
    write_plan(out, results.plan)
    paths = []
    for name, cell in results.cells.items():
        paths.append(out / f"{name}{PACKED}")
        write_cell(shared_cell(cell), paths[-1])
    return paths
