"""Backbone and code together: gradients reach everything, the best epoch is found."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from airreid.errors import InputError
from training.engine.distributed import Distributed
from training.models.codec import Codec
from training.models.digital import DigitalCodec
from training.recipes.base import Batches, OptimizerConfig, SnrRange, Stage
from training.recipes.recipe import Recipe
from training.recipes.steps import JointScheme, JointStep
from training.runs.checkpoints import backbone_path, load_backbone, load_scheme, scheme_path
from training.runs.folder import ImageSets
from training.steps.context import RunContext
from training.steps.joint import run_joint

from .train_script import Losses, people

STEP = JointStep(
    backbone="resnet18",
    schemes=(
        JointScheme(id="jscc-ae-8", snr_db=SnrRange(low=-10, high=5)),
        JointScheme(id="digital-64", dimensions=8, rate_lambda=20.0),
    ),
    init="random",
    stages=(Stage(height=64, width=32, epochs=1),),
    learning=OptimizerConfig(lr=1e-3, head_weight_decay=5e-3),
    batches=Batches(sampler="identities", identities=2, images=2),
    retrieval_weight=1.0,
    keep="best",
)


def context(out: Path, step: JointStep) -> RunContext:
    recipe = Recipe.model_validate({"name": "joint", "steps": [step.model_dump()]})
    sets = ImageSets(people(), people(), people(9))
    return RunContext(recipe, sets, out, out / "cache", Losses(), Distributed(torch.device("cpu")))


def test_backbone_and_code_are_trained_together_once(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    first = context(tmp_path, STEP)
    run_joint(STEP, first)
    assert [scheme.id for scheme in first.schemes] == ["jscc-ae-8", "digital-64"]
    for scheme_id in ("jscc-ae-8", "digital-64"):
        saved = load_backbone(backbone_path(tmp_path, scheme_id))
        assert saved.size == (64, 32)
        assert saved.space == first.backbones[scheme_id].space
    codec = load_scheme(scheme_path(tmp_path, "jscc-ae-8")).network(Codec)
    assert codec.settings["layers"] == 0
    assert (
        load_scheme(scheme_path(tmp_path, "digital-64")).network(DigitalCodec).prior.dimensions == 8
    )
    losses = first.report
    assert isinstance(losses, Losses)
    assert len(losses.seen) == 8
    again = context(tmp_path, STEP)
    run_joint(STEP, again)
    assert isinstance(again.report, Losses)
    assert again.report.seen == []
    assert [scheme.id for scheme in again.schemes] == ["jscc-ae-8", "digital-64"]
    torch.set_num_threads(threads)


def test_a_start_without_what_it_needs(tmp_path: Path) -> None:
    step = STEP.model_copy(update={"init": "trained"})
    with pytest.raises(ValueError, match="no step before it trains digital-64, jscc-ae-8"):
        context(tmp_path, step)
    wide = STEP.model_copy(update={"init": "pca", "schemes": (JointScheme(id="jscc-fc-1024"),)})
    with pytest.raises(InputError, match="cannot reach beyond the feature's 512"):
        run_joint(wide, context(tmp_path, wide))
