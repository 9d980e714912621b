"""Folder of a run: its recipe and data, and results that are not computed twice."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.datasets import DataSet
from airreid.datasets.held_out import hold_out
from airreid.datasets.pixels import pixels
from airreid.datasets.samples import ImageSet
from airreid.datasets.synthetic.population import image_set
from airreid.errors import InputError
from airreid.images import CROP_HEIGHT, CROP_WIDTH
from training.engine.progress import Report
from training.recipes.load import parse_recipe
from training.recipes.recipe import Recipe
from training.recipes.site_steps import SiteStep
from training.runs.atomic_file import save_text
from training.runs.graph_features import extract

CropSize = tuple[int, int]
"""Height and width of crops."""
TRAINED_SIZE = (CROP_HEIGHT, CROP_WIDTH)
"""Size that networks trained here take; another's network may take another one."""


@dataclass(frozen=True)
class ImageSets:
    """Images that a recipe trains on, and those that it is measured on, if any."""

    train: ImageSet
    codec: ImageSet
    validation: ImageSet | None
    """People who are not trained on: the best epoch is chosen, and the card made, on them."""


def image_sets(recipe: Recipe, data: DataSet | None) -> ImageSets:
    """Chooses the training images of a data set, or the recipe's synthetic people for None.

    Of a data set, ``validation_share`` of the training identities are held out; its test
    images are not touched.
    """
    if data is None:
        parts = recipe.synthetic
        return ImageSets(
            image_set(parts.train), image_set(parts.codec), image_set(parts.validation)
        )
    whole = data["train"]
    held = _held_out(whole, recipe.validation_share, recipe.seed)
    if not held:
        images = ImageSet(data.label, whole.samples)
        return ImageSets(images, images, None)
    train, validation = (
        tuple(s for s in whole.samples if (s.identity in held) == inside)
        for inside in (False, True)
    )
    images = ImageSet(f"{data.label}, {len(held)} identities held out", train)
    return ImageSets(images, images, ImageSet(f"{data.label}, held-out identities", validation))


def _held_out(images: ImageSet, share: float, seed: int) -> set[str]:
    """Chooses identities seen by two cameras or more; none where that leaves few."""
    cameras: dict[str, set[str]] = {}
    for sample in images.samples:
        cameras.setdefault(sample.identity, set()).add(sample.camera)
    across = [identity for identity, views in cameras.items() if len(views) > 1]
    count = min(int(share * len(cameras)), len(across))
    if count < 2 or len(cameras) - count < 2:
        return set()
    return hold_out(across, count, seed)


def claim(out: Path, recipe: Recipe, data: dict[str, str], extends: str | None = None) -> None:
    """Marks ``out`` as the folder of a run, and refuses a folder of another run.

    Writes ``recipe.json``, ``data.json`` (digests of image sets) and, for a run that
    ``extends`` a bundle, ``extends.json``. Raises :class:`InputError` where one of them
    says something else, and where a run that extends would begin in a full folder.
    """
    texts = [
        ("recipe.json", recipe.model_dump_json(indent=2), "settings"),
        ("data.json", json.dumps(data), "images"),
    ]
    if extends is not None:
        texts.insert(0, ("extends.json", json.dumps({"bundle": extends}), "bundle to extend"))
        if out.is_dir() and any(out.iterdir()) and not (out / "extends.json").exists():
            raise InputError(f"{out}: not empty; give another --out")
    out.mkdir(parents=True, exist_ok=True)
    for name, text, what in texts:
        path = out / name
        if path.exists() and not _same(path, text):
            raise InputError(
                f"{out}: holds a run with {_other(path, data, what)}; give another --out or delete "
                "it"
            )
        save_text(path, text)


def _other(path: Path, data: dict[str, str], what: str) -> str:
    """Says what of a run is another, ``what`` where its images are or nothing else is known."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        images_differ = any(stored.get(key) != data[key] for key in data if key != "network")
        if path.name == "data.json" and stored.keys() == data.keys() and not images_differ:
            return "another network"
    except (ValueError, AttributeError):
        pass
    return f"other {what}"


def _same(path: Path, text: str) -> bool:
    """Tells whether a file says ``text``; a recipe may say so by old names of its fields.

    Which precision is shipped may change until a scheme has been trained for it: an int8
    graph that drifts must not cost the backbone. The share of a site's trained weights may change
    at any time: it is looked at after the training.
    """
    stored = path.read_text(encoding="utf-8")
    if path.name != "recipe.json":
        return stored == text
    try:
        before, asked = parse_recipe(stored, str(path)), parse_recipe(text, "recipe")
    except InputError:
        return False
    if not list(path.parent.glob("models/*.scheme.pt")):
        before = before.model_copy(update={"ship": asked.ship})
    return _without_share(before) == _without_share(asked)


def _without_share(recipe: Recipe) -> Recipe:
    steps = tuple(
        step.model_copy(update={"share": "auto"}) if isinstance(step, SiteStep) else step
        for step in recipe.steps
    )
    return recipe.model_copy(update={"steps": steps})


def cached_pixels(
    images: ImageSet, cache: Path, report: Report, size: CropSize = TRAINED_SIZE
) -> NDArray[np.uint8]:
    """Decodes images: uint8 (N, *size, 3), see :func:`airreid.datasets.pixels.pixels`."""
    tick = report.phase(f"images of {images.name}", len(images))
    loaded: NDArray[np.uint8] = pixels(images, cache, tick, height=size[0], width=size[1])
    return loaded


def kept_features(
    graph: Path,
    images: ImageSet,
    out: Path,
    space: str,
    cache: Path,
    report: Report,
    copies: int = 1,
    size: CropSize = TRAINED_SIZE,
) -> NDArray[np.float32]:
    """Returns features (copies N, D) of the people whom codecs are trained on, kept in ``out``.

    ``size``: height and width of the crops that the graph takes.
    """
    stored = stored_features(out, space, copies * len(images))
    if stored is not None:
        return stored
    crops = cached_pixels(images, cache, report, size)
    suffix = f", {copies} copies" if copies > 1 else ""
    tick = report.phase(f"features for the codecs{suffix}", copies * len(images))
    name = f"features-{space}.npy" if copies == 1 else f"features-{space}-{copies}.npy"
    return extract(graph, crops, out / name, tick, copies=copies)


def stored_features(out: Path, space: str, count: int) -> NDArray[np.float32] | None:
    """Loads the first ``count`` features (N, D) of a space; None if the run keeps fewer."""
    for path in sorted(out.glob(f"features-{space}*.npy")):
        if path.name.endswith(".part.npy"):
            continue
        stored: NDArray[np.float32] = np.load(path, mmap_mode="r")
        if len(stored) >= count:
            return np.array(stored[:count])
    return None


class MachineAndVersions(NamedTuple):
    """Machine and packages of a computation, for a model card."""

    machine: str
    versions: dict[str, str]
    """Package name to version."""


def machine_and_versions() -> MachineAndVersions:
    """Describes this machine and its packages."""
    packages = ("airreid", "torch", "torchvision", "onnx", "onnxruntime", "numpy")
    return MachineAndVersions(
        f"{platform.machine()}, {torch.get_num_threads()} threads",
        {name: version(name) for name in packages},
    )
