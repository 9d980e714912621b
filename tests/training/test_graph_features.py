"""Features of images and of varied copies, by an exported network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from training.export.onnx import export_onnx
from training.runs.graph_features import extract


class Means(nn.Module):
    """The mean colour of a crop."""

    def forward(self, crops: Tensor) -> Tensor:
        return crops.float().mean((1, 2))


def test_views_are_varied_copies_and_the_same_in_every_run(tmp_path: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (5, 256, 128, 3), dtype=np.uint8)
    graph = tmp_path / "means.onnx"
    export_onnx(Means(), torch.from_numpy(crops[:2]), graph)
    path = tmp_path / "crops.npy"
    np.save(path, crops)
    mapped = np.load(path, mmap_mode="r")  # as a run keeps them: not to be written to
    features = extract(graph, mapped, batch=2, copies=3)
    assert features.shape == (15, 3)
    np.testing.assert_allclose(features[:5], crops.mean((1, 2)), rtol=1e-5)
    first, second = features[5:10], features[10:]
    assert np.abs(first - features[:5]).max() > 1
    assert np.abs(second - first).max() > 1
    np.testing.assert_array_equal(extract(graph, mapped, batch=2, copies=3), features)
    cache = tmp_path / "features.npy"
    np.testing.assert_array_equal(extract(graph, mapped, cache, batch=2, copies=3), features)
    np.testing.assert_array_equal(extract(graph, mapped[:0], cache), features)
