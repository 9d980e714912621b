"""Networks of others as torch modules: the same features, gradients, and back into the graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from airreid.inference import Network
from training.onnx_network.module import (
    OnnxModule,
    averaged,
    difference,
    trainable,
    with_weights,
)
from training.onnx_network.operators import UntrainableError

from . import onnx_networks as made

KINDS = [made.torchreid, made.fastreid, made.openvino, made.transformer, made.dense, made.shared]


def crops(count: int = 6, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, made.HEIGHT, made.WIDTH, 3), dtype=np.uint8)


def runtime(model: onnx.ModelProto, path: Path) -> Network:
    onnx.save(model, path)
    return Network(path, threads=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_network_goes_back_into_its_graph(
    kind: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    """ONNX Runtime is the judge, before the first step and after some."""
    model = kind()
    network = runtime(model, tmp_path / "before.onnx")
    module = trainable(model, network, crops())
    assert difference(module, network, crops(seed=1)) < 1e-5
    before = module.weights()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
    for seed in range(3):
        feature = module.train()(torch.from_numpy(crops(seed=seed)).float())
        optimizer.zero_grad()
        (feature - 1).square().mean().backward()
        optimizer.step()
    after = module.weights()
    for name, weights in before.items():
        assert not np.array_equal(weights, after[name]), f"{name} was not trained"
    trained = runtime(with_weights(model, after), tmp_path / "after.onnx")
    assert difference(module, trained, crops()) < 1e-4
    assert difference(module, network, crops()) > 1e-3
    resumed = OnnxModule(model).eval()
    resumed.load_state_dict(module.state_dict())
    assert difference(resumed, trained, crops()) < 1e-4
    mixed = averaged(before, after, 0.25)
    for name, weights in mixed.items():
        np.testing.assert_allclose(weights, 0.75 * before[name] + 0.25 * after[name], atol=1e-6)


def test_colours_epsilons_and_factors_are_no_weights() -> None:
    names = OnnxModule(made.fastreid()).weights()
    sizes = sorted(weights.size for weights in names.values())
    assert min(sizes) == made.CHANNELS
    assert len(names) == 2 + 2 * 4  # two kernels, two batch norms


@pytest.mark.parametrize("kind", [made.fastreid, made.shared])
def test_the_proof_moves_no_running_value(
    kind: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    model = kind()
    module = trainable(model, runtime(model, tmp_path / "net.onnx"), crops())
    before = OnnxModule(model).weights()
    for name, weights in module.weights().items():
        np.testing.assert_array_equal(weights, before[name])


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (made.bare("Det"), "operator Det"),
        (made.bare("Shrink"), "operator Shrink"),
        (made.bare("Transpose", perm=[0, 1]), "operator Transpose: permute"),
        (made.computed_running(), "operator BatchNormalization: its running values are computed"),
        (made.dense(np.full((8, 3, 3, 3), 0.1, np.float16)), "half precision"),
        (made.dense(np.full((8, 3, 3, 3), np.nan, np.float32)), "not finite"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_trained_is_named(model: onnx.ModelProto, reason: str) -> None:
    with pytest.raises(UntrainableError, match=reason):
        OnnxModule(model)(torch.zeros(2, made.HEIGHT, made.WIDTH, 3))


def test_another_result_than_onnx_runtime_is_refused(tmp_path: Path) -> None:
    other = runtime(made.dense(np.full((8, 3, 3, 3), 0.1, np.float32)), tmp_path / "other.onnx")
    with pytest.raises(UntrainableError, match=r"differ by .* from ONNX Runtime"):
        trainable(made.dense(), other, crops())
