"""Nested codes in training: the network, the closed form as a recipe's step, and its export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from airreid.bundle import BackboneInfo, Manifest, load_bundle, write_manifest
from airreid.codecs.nested import NestedCode
from airreid.model_card import ModelCard
from airreid.scheme_info import FileRef, NestedInfo
from airreid.scheme_kinds import open_scheme
from training.export.scheme import export_scheme
from training.models.channel import Channel
from training.models.nested_code import NestedNetwork
from training.recipes.own import DEMO
from training.recipes.recipe import scheme_ids
from training.recipes.steps import ClosedFormStep, JointScheme
from training.runs.checkpoints import load_scheme, scheme_path
from training.steps.heads import train_heads

from .head_run import crowd, head_context

PEOPLE = crowd(24, 40)
STEP = ClosedFormStep(schemes=("jscc-nested-64",))


def network(scale: float = 1.0) -> NestedNetwork:
    draws = np.random.default_rng(1)
    matrix = draws.standard_normal((64, 64)).astype(np.float32)
    matrix[:, 32:] *= scale
    nested = NestedNetwork(64, 64)
    nested.take(NestedCode(draws.standard_normal(64).astype(np.float32) / 64, matrix))
    return nested


def test_the_network_encodes_as_the_code_does_whatever_a_piece_is_scaled_by() -> None:
    features = PEOPLE.features[:20]
    with torch.no_grad():
        symbols, scaled = (
            network(scale).eval()(torch.from_numpy(features)).numpy() for scale in (1.0, 1e-3)
        )
    np.testing.assert_allclose(symbols, network().code().encode(features), atol=2e-5)
    np.testing.assert_allclose(symbols, scaled, atol=2e-5)
    power = np.square(symbols.reshape(20, 2, 32)).mean(2)
    np.testing.assert_allclose(power, 1.0, rtol=1e-5)


def test_training_hears_a_random_number_of_pieces_and_use_hears_all() -> None:
    nested, features = network(), torch.from_numpy(PEOPLE.features[:64])
    channel = Channel("awgn", (20.0, 20.0))
    draws = torch.Generator().manual_seed(3)
    heard = (nested.train().transmit(features, channel, draws).queries != 0).view(64, 2, 32)
    assert heard[:, 0].all()
    assert 0 < int(heard[:, 1].all(1).sum()) < 64
    assert (nested.eval().transmit(features, channel, draws).queries != 0).all()


def test_training_hears_prefixes_in_proportion_to_their_weights() -> None:
    features = torch.from_numpy(PEOPLE.features[:64])
    channel, draws = Channel("awgn", (20.0, 20.0)), torch.Generator().manual_seed(3)
    weighted = NestedNetwork(64, 128, prefix_weights=(0.0, 3.0, 0.0, 1.0))
    torch.nn.init.normal_(weighted.matrix)
    pieces = torch.cat(
        [
            (weighted.train().transmit(features, channel, draws).queries != 0).view(64, 4, 32)
            for _ in range(20)
        ]
    )
    heard = pieces.all(2).sum(1)
    counts = torch.bincount(heard, minlength=5).tolist()
    assert counts[0] == counts[1] == counts[3] == 0
    assert 0.7 < counts[2] / len(heard) < 0.8
    again = NestedNetwork(**weighted.settings)
    assert again.settings == weighted.settings
    assert "prefix_weights" not in NestedNetwork(64, 128).settings  # as checkpoints of before


@pytest.mark.parametrize(
    ("scheme", "weights", "message"),
    [
        ("jscc-nested-64", [1.0], "1 prefix weights; 64 uses have 2 pieces"),
        ("jscc-nested-64", [1.0, -1.0], "numbers from 0 on"),
        ("jscc-nested-64", [0.0, 0.0], "one above 0"),
        ("jscc-nested-64", [1.0, float("inf")], "numbers from 0 on"),
        ("jscc-fc-64", [1.0, 1.0], "prefix_weights are for nested schemes"),
    ],
)
def test_weights_that_fit_no_prefixes_are_refused(
    scheme: str, weights: list[float], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        JointScheme.model_validate({"id": scheme, "prefix_weights": weights})


def test_the_step_ends_in_a_scheme_of_a_bundle_that_encodes_the_same(tmp_path: Path) -> None:
    context = head_context(tmp_path, STEP)
    (scheme,) = train_heads(STEP, PEOPLE, "backbone", context)
    loaded = load_scheme(scheme_path(tmp_path, "jscc-nested-64"))
    assert (loaded.step, loaded.snr_db_train) == ("closed_form", (-10.0, 20.0))
    assert loaded.stopping == scheme.stopping
    folder = tmp_path / "bundle"
    folder.mkdir()
    info = export_scheme(loaded, folder, PEOPLE.features, "ab")
    assert isinstance(info, NestedInfo)
    assert info.stopping is not None
    assert info.stopping.people == 120
    graph = folder / "backbone.onnx"
    graph.write_bytes((folder / "jscc-nested-64.encoder.onnx").read_bytes())
    backbone = BackboneInfo(
        id="b", file=FileRef.of(graph), precision="fp32", space_id="ab", feature_dim=64
    )
    write_manifest(
        folder, Manifest(name="m", backbones=(backbone,), schemes=(info,), provenance=ModelCard())
    )
    bundle = load_bundle(folder)
    symbols = open_scheme(bundle, info, 1).gallery(PEOPLE.features[:30])
    expected = loaded.network(NestedNetwork).code().encode(PEOPLE.features[:30])
    np.testing.assert_allclose(symbols, expected, atol=1e-2)


def test_the_demo_recipe_makes_the_schemes_of_the_demo_bundle() -> None:
    assert set(scheme_ids(DEMO)) == set(load_bundle(Path("models/demo")).scheme_ids)
