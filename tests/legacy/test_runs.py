"""Folders of training runs begun before: recipes are read, trained schemes compute the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from training.models.codec import Codec
from training.models.digital import DigitalCodec
from training.recipes.load import RECIPES, load_recipe
from training.runs.checkpoints import load_scheme, scheme_path
from training.runs.reuse_backbone import recipe_of

from .support import FILES

RUNS = sorted(path.parent for path in FILES.glob("runs/*/recipe.json"))
ADDED = ("closed_form",)
"""Kinds of steps that recipes were given since."""


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_recipe_is_read_and_means_what_it_did(run: Path) -> None:
    recipe = recipe_of(run)
    assert recipe == load_recipe(str(run / "recipe.json"), [])
    today = RECIPES[run.name]
    as_then = tuple(step for step in today.steps if step.kind not in ADDED)
    assert recipe == today.model_copy(update={"steps": as_then})
    written = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    assert (recipe.name, recipe.seed) == (written["name"], written["seed"])
    assert [step.name for step in recipe.steps] == [step["name"] for step in written["steps"]]
    assert [step.kind for step in recipe.steps] == [step["kind"] for step in written["steps"]]


def test_there_is_a_run_of_every_recipe() -> None:
    assert {run.name for run in RUNS} <= set(RECIPES)
    assert len(RUNS) == 9


@pytest.mark.parametrize("scheme_id", ["jscc-ae-24", "jscc-fc-16"])
def test_a_trained_codec_computes_the_same(
    scheme_id: str, arrays: Mapping[str, np.ndarray]
) -> None:
    saved = load_scheme(scheme_path(FILES / "runs" / "demo", scheme_id))
    assert (saved.id, saved.backbone, saved.step) == (scheme_id, "backbone", "codec")
    assert saved.snr_db_train == (-10.0, 10.0)
    codec = saved.network(Codec)
    with torch.no_grad():
        symbols = codec.encoder(torch.from_numpy(arrays["features"]))
    np.testing.assert_allclose(symbols, arrays[f"run/{scheme_id}/symbols"], atol=1e-5)
    if scheme_id == "jscc-fc-16":
        assert codec.decoder is None
        return
    assert codec.decoder is not None
    with torch.no_grad():
        embeddings = codec.decoder(symbols)
    np.testing.assert_allclose(embeddings, arrays[f"run/{scheme_id}/embeddings"], atol=1e-5)


def test_a_trained_digital_scheme_computes_the_same(arrays: Mapping[str, np.ndarray]) -> None:
    saved = load_scheme(scheme_path(FILES / "runs" / "demo", "digital-64-r1"))
    assert saved.is_digital
    assert (saved.crc_bits, saved.payload_sizes) == (11, 4)
    digital = saved.network(DigitalCodec)
    with torch.no_grad():
        latent = digital.head(torch.from_numpy(arrays["features"]))
        bits = digital.prior.bits(latent)
    np.testing.assert_allclose(latent, arrays["run/digital-64-r1/latent"], atol=1e-5)
    np.testing.assert_allclose(bits, arrays["run/digital-64-r1/bits"], rtol=1e-4)
