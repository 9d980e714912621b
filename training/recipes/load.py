"""Finding a recipe and changing its fields from the command line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from airreid.disk import read_given
from airreid.errors import InputError
from airreid.validation import first_complaint
from training.recipes.old_names import new_name, with_new_names
from training.recipes.own import OWN
from training.recipes.paper import PAPER
from training.recipes.recipe import Recipe
from training.recipes.site_steps import SiteStep
from training.recipes.steps import BackboneStep, JointStep

_BYTES_MAX = 1024 * 1024
RECIPES: dict[str, Recipe] = {**OWN, **PAPER}


def with_settings(recipe: Recipe, settings: list[str]) -> Recipe:
    """Applies ``key=value`` settings to a recipe and checks them against its bounds.

    Keys are dotted and begin with a step's name (``backbone.learning.lr=0.01``) or a field
    of the recipe (``engine.workers=4``). ``epochs=N`` is short for N epochs of every step,
    at its smallest image size. Raises :class:`InputError` naming the setting.
    """
    tree: dict[str, Any] = recipe.model_dump(mode="json")
    steps = {step["name"]: step for step in tree["steps"]}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting}: write key=value")
        try:
            value: object = json.loads(text)
        except (ValueError, RecursionError):  # a text, or a number of thousands of digits
            value = text
        if key == "epochs":
            for step in tree["steps"]:
                _shorten(step, value)
        else:
            _assign(tree, steps, key, value)
    try:
        return Recipe.model_validate(with_new_names(tree))
    except ValidationError as error:
        raise InputError(f"recipe {recipe.name}: {_first(error, tree)}") from None


def with_options(recipe: Recipe, joint: bool, minutes: float | None, share: str | None) -> Recipe:
    """Applies what the command line has options for to a recipe that begins with a network.

    Without ``joint`` the site step is left out. Raises :class:`InputError` for values out of
    bounds, and for ``minutes`` or ``share`` without the step that they are for.
    """
    site = recipe.steps[-1]
    if not joint:
        if minutes is not None or share is not None:
            option = "--minutes" if minutes is not None else "--share"
            raise InputError(f"{option}: is for the joint stage; give --joint with it")
        return recipe.model_copy(update={"steps": recipe.steps[:2]})
    if not isinstance(site, SiteStep):
        raise InputError(f"--joint: recipe {recipe.name} has no site step")
    if minutes is not None and not 0 < minutes < math.inf:
        raise InputError(f"--minutes {minutes:g}: give minutes of training, above 0")
    if share is not None and not _is_share(share):
        raise InputError(f"--share {share}: give a number from 0 to 1, or auto")
    given = {"minutes": minutes, "share": share}
    settings = [f"{site.name}.{key}={value}" for key, value in given.items() if value is not None]
    return with_settings(recipe, settings)


def _is_share(text: str) -> bool:
    try:
        return text == "auto" or 0 <= float(text) <= 1
    except ValueError:
        return False


def by_timm(recipe: Recipe, backbone: str) -> list[str]:
    """Settings by which the steps of a recipe begin with a network of timm, on ImageNet weights.

    ``backbone``: ``timm:NAME``. Raises :class:`InputError` for a recipe that has no backbone.
    """
    settings = []
    for step in recipe.steps:
        if isinstance(step, BackboneStep | JointStep) and step.backbone is not None:
            fields = {"last_stride": 2, "backbone": backbone, "weights": "imagenet"}
            settings += [f"{step.name}.{field}={value}" for field, value in fields.items()]
    if not settings:
        raise InputError(f"--backbone {backbone}: recipe {recipe.name} trains no backbone")
    return settings


def load_recipe(name: str, settings: list[str]) -> Recipe:
    """Loads a built-in recipe by name (``paper/jscc_ae`` is ``paper_jscc_ae``), or one saved
    as JSON, and applies ``--set``. Raises :class:`InputError` where there is none."""
    known = name.replace("/", "_").replace("-", "_")
    if known in RECIPES:
        return with_settings(RECIPES[known], settings)
    path = Path(name)
    if path.suffix == ".json" and path.is_file():
        return with_settings(parse_recipe(read_given(path, _BYTES_MAX), str(path)), settings)
    raise InputError(f"no recipe {name!r}; there are: {', '.join(sorted(RECIPES))}")


def parse_recipe(text: bytes | str, source: str) -> Recipe:
    """Reads a recipe's JSON, also one with old field names.

    Raises :class:`InputError` naming the ``source`` and the first field that is wrong.
    """
    try:
        return Recipe.model_validate(with_new_names(json.loads(text)))
    except ValidationError as error:
        raise InputError(f"{source}: not a recipe ({first_complaint(error)})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: not a recipe ({error})") from None


def _assign(tree: dict[str, Any], steps: dict[str, Any], key: str, value: object) -> None:
    """Sets a dotted key. Raises :class:`InputError` if the recipe has no such field."""
    *path, field = key.split(".")
    node: object = tree
    if path and path[0] in steps:
        node = steps[path.pop(0)]
    for part in path:
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            node = None
    if not isinstance(node, dict) or field not in node or field in ("kind", "steps"):
        present = new_name(field)
        hint = f"; {field} is {present} now" if present else ""
        raise InputError(
            f"--set {key}: the recipe has no such field; its steps are {', '.join(steps)}{hint}"
        )
    node[field] = value


def _shorten(step: dict[str, Any], epochs: object) -> None:
    """Sets the epochs of a step, at its smallest image size."""
    if "stages" in step:
        step["stages"] = [{**step["stages"][0], "epochs": epochs}]
    for field in ("epochs", "decoder_epochs"):
        if field in step:
            step[field] = epochs


def _first(error: ValidationError, tree: dict[str, Any]) -> str:
    """Words the first complaint, with a step's name in place of its number and kind."""
    first = first_complaint(error)
    where = list(first.path)
    if len(where) > 2 and where[0] == "steps" and where[1].isdigit():
        where = [tree["steps"][int(where[1])]["name"], *where[3:]]
    return f"{'.'.join(where) or 'steps'}: {first.message}"
