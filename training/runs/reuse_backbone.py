"""Reuse of a backbone that another run has trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from airreid.errors import InputError
from training.recipes.load import load_recipe
from training.recipes.recipe import Recipe
from training.recipes.steps import BackboneStep
from training.runs.checkpoints import backbone_path, load_backbone, save


def recipe_of(run: Path) -> Recipe:
    """Reads the recipe of a run's folder. Raises :class:`InputError` where there is none."""
    path = run / "recipe.json"
    if not path.is_file():
        raise InputError(f"{run}: not the folder of a run (no recipe.json)")
    return load_recipe(str(path), [])


def with_backbone_of(run: Path, recipe: Recipe) -> Recipe:
    """Changes a recipe so that its backbone is that of ``run``.

    Its backbone step becomes the one that ``run`` was trained by, and the seed, the held-out
    share and the synthetic people with it, so that whom the backbone has learned is nobody
    whom a scheme is chosen on. Raises :class:`InputError` where either has no backbone step.
    """
    other = recipe_of(run)
    replaced, source = _step(recipe, f"recipe {recipe.name}"), _step(other, str(run))
    taken = source.model_copy(update={"name": replaced.name})
    steps = tuple(taken if step is replaced else step for step in recipe.steps)
    same = {name: getattr(other, name) for name in ("seed", "validation_share", "synthetic")}
    return recipe.model_copy(update={"steps": steps, **same})


def take_backbone(run: Path, recipe: Recipe, out: Path) -> None:
    """Puts the finished backbone of ``run`` where a run of ``recipe`` in ``out`` keeps its own.

    ``recipe`` is what :func:`with_backbone_of` gives, and ``out`` is claimed by it. The
    classifier comes along where both learn from the same images. Raises :class:`InputError`
    where ``run`` has not finished its backbone and where ``out`` has another one.
    """
    step, source = _step(recipe, f"recipe {recipe.name}"), _step(recipe_of(run), str(run))
    finished = backbone_path(run, source.name)
    if not finished.exists():
        raise InputError(f"{run}: its backbone is not finished; run its command again first")
    saved = replace(load_backbone(finished), name=step.name)
    if _trained_on(run) != _trained_on(out):
        saved = replace(saved, classifier=None)
    path = backbone_path(out, step.name)
    if not path.exists():
        save(path, saved)
    elif load_backbone(path).space != saved.space:
        raise InputError(f"{out}: holds a run on another backbone; give another --out")


def _step(recipe: Recipe, owner: str) -> BackboneStep:
    steps = [step for step in recipe.steps if isinstance(step, BackboneStep)]
    if len(steps) != 1:
        raise InputError(f"{owner}: has {len(steps)} backbone steps; --backbone takes the one")
    return steps[0]


def _trained_on(run: Path) -> str:
    try:
        digest: str = json.loads((run / "data.json").read_text(encoding="utf-8"))["train"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{run / 'data.json'}: does not say what the run learns from") from None
    return digest
