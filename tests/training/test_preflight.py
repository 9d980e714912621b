"""Impossible wishes are refused before anything is trained or written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airreid.datasets import open_data
from airreid.errors import InputError
from training.engine.progress import SilentReport
from training.pipeline import run_recipe
from training.recipes.load import load_recipe
from training.recipes.recipe import Recipe
from training.steps.held_out import split


def folder(root: Path, people: int, cameras: int) -> Path:
    rng = np.random.default_rng(0)
    for person in range(people):
        for camera in range(cameras):
            path = root / f"p{person}" / f"c{camera}" / "0.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(rng.integers(0, 256, (16, 8, 3), np.uint8)).save(path)
    return root


def recipe(backbone: str, scheme: str) -> Recipe:
    loaded = load_recipe("demo", [])
    steps = tuple(
        step.model_copy(update={"backbone": backbone})
        if step.kind == "backbone"
        else step.model_copy(update={"schemes": (scheme,)})
        for step in loaded.steps
        if step.kind in ("backbone", "closed_form" if scheme.startswith("jscc-nested") else "codec")
    )
    return loaded.model_copy(update={"steps": steps})


@pytest.mark.parametrize(
    ("people", "cameras", "backbone", "scheme", "reason"),
    [
        (12, 2, "resnet18", "jscc-fc-1024", "jscc-fc-1024: more channel uses than the 512 values"),
        (12, 1, "resnet50", "jscc-fc-64", "everybody was seen by one camera"),
        (12, 2, "resnet50", "jscc-nested-64", "24 images; a nested code needs more than the 32"),
        (3, 2, "resnet50", "jscc-fc-64", "too few people or pictures to train a codec on"),
    ],
)
def test_impossible_wishes_are_refused_before_anything_is_trained(
    tmp_path: Path, people: int, cameras: int, backbone: str, scheme: str, reason: str
) -> None:
    data = open_data(folder(tmp_path / "mine", people, cameras))
    out = tmp_path / "out"
    with pytest.raises(InputError, match=reason):
        run_recipe(recipe(backbone, scheme), data, out, SilentReport())
    assert not out.exists()


def test_nobody_is_held_out_alone() -> None:
    """Among the pictures of one person everybody is right: 1.000 says nothing."""
    labels = np.repeat(np.arange(6), 4)
    cameras = np.tile([0, 0, 1, 1], 6)
    _, held_out = split(labels, cameras, seed=0)
    assert len(set(labels[held_out].tolist())) == 2
    with pytest.raises(InputError, match="needs four identities"):
        split(labels[:12], cameras[:12], seed=0)
