"""The folder of a run: what it is for, and what is kept there and not made twice."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.errors import InputError
from training.data.folder import folder_set
from training.data.pixels import pixels
from training.data.samples import ImageSet
from training.data.synthetic import image_set
from training.features import extract
from training.recipe import Recipe
from training.report import Report


@dataclass(frozen=True)
class ImageSets:
    """What a recipe learns from, and what it is measured on if there is such a set."""

    train: ImageSet
    codec: ImageSet
    validation: ImageSet | None


def image_sets(recipe: Recipe, data: Path | None) -> ImageSets:
    """A user's folder for everything, or the recipe's synthetic people for None."""
    if data is not None:
        own = folder_set(data)
        return ImageSets(own, own, None)
    parts = recipe.synthetic
    return ImageSets(image_set(parts.train), image_set(parts.codec), image_set(parts.validation))


def claim(out: Path, recipe: Recipe, data: dict[str, str], extends: str | None = None) -> None:
    """Says in ``out`` what run it belongs to, and refuses a folder of another run.

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
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{out}: holds a run with other {what}; give another --out or delete it"
            )
        path.write_text(text, encoding="utf-8")


def cached_pixels(images: ImageSet, cache: Path, report: Report) -> NDArray[np.uint8]:
    """uint8 (N, 256, 128, 3), memory-mapped: :func:`training.data.pixels.pixels`."""
    loaded: NDArray[np.uint8] = pixels(
        images, cache, report.phase(f"images of {images.name}", len(images))
    )
    return loaded


def kept_features(
    graph: Path, images: ImageSet, out: Path, space: str, cache: Path, report: Report
) -> NDArray[np.float32]:
    """Features (N, D) of the people whom codecs are trained on, kept in ``out``."""
    crops = cached_pixels(images, cache, report)
    tick = report.phase("features for the codecs", len(images))
    return extract(graph, crops, out / f"features-{space}.npy", tick)


def made_with() -> dict[str, Any]:
    """Machine and package versions, for provenance."""
    return {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "versions": {
            name: version(name)
            for name in ("airreid", "torch", "torchvision", "onnx", "onnxruntime", "numpy")
        },
    }
