"""A run of one head step on made-up features, without images; see test_head_training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from training.engine.distributed import Distributed
from training.recipes.base import Batches, Engine, OptimizerConfig, Stage
from training.recipes.recipe import Recipe
from training.recipes.steps import BackboneStep, HeadStep
from training.runs.folder import ImageSets
from training.steps.context import HeadData, RunContext

from .train_script import Losses, people

BACKBONE = BackboneStep(
    stages=(Stage(height=64, width=32, epochs=0),),
    learning=OptimizerConfig(lr=0.1),
    batches=Batches(sampler="shuffled"),
)


def head_context(
    out: Path, step: HeadStep, report: Losses | None = None, seed: int = 0, **engine: object
) -> RunContext:
    """The context of a run whose last step is ``step``."""
    chosen = Engine.model_validate({"tensorboard": False, "device": "cpu", **engine})
    recipe = Recipe(name="heads", seed=seed, engine=chosen, steps=(BACKBONE, step))
    sets = ImageSets(people(), people(), None)
    alone = Distributed(torch.device("cpu"))
    return RunContext(recipe, sets, out, out / "cache", report or Losses(), alone)


def crowd(identity_size: int, nuisance_size: int, jitter: float = 0.0) -> HeadData:
    """720 features of 120 people: identity in a few directions, larger nuisance in others."""
    rng = np.random.default_rng(0)
    identity = np.repeat(rng.standard_normal((120, identity_size)), 6, axis=0)
    if jitter:
        identity += jitter * rng.standard_normal(identity.shape)
    nuisance = 2 * rng.standard_normal((720, nuisance_size))
    size = identity_size + nuisance_size
    mixing = np.linalg.qr(rng.standard_normal((size, size)))[0]
    features = (np.hstack([identity, nuisance]) @ mixing).astype(np.float32)
    return HeadData(features, np.repeat(np.arange(120), 6), np.tile(np.arange(2), 360))
