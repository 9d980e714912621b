"""int8 beside fp32 on the same queries, with a network of one layer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from airreid.datasets.dataset import DataSet
from airreid.datasets.samples import ImageSet
from airreid.datasets.synthetic.population import Population, image_set
from benchmarks.int8_accuracy import compare
from training.export.onnx import export_onnx


class _Layer(nn.Module):
    """uint8 (N, 256, 128, 3) -> (N, 4 * 8): one convolution, averaged over four bands."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 16, stride=16)

    def forward(self, crops: Tensor) -> Tensor:
        maps = torch.relu(self.conv(crops.permute(0, 3, 1, 2) / 255.0))
        return maps.unflatten(2, (4, 4)).mean((3, 4)).flatten(1)


def test_both_graphs_search_the_same_queries(tmp_path: Path) -> None:
    torch.manual_seed(0)
    graph = tmp_path / "fp32.onnx"
    export_onnx(_Layer(), torch.zeros((2, 256, 128, 3), dtype=torch.uint8), graph)
    people = image_set(Population(seed=9, identities=10, cameras=2, shots=2))
    subsets = {
        "train": image_set(Population(seed=8, identities=8, cameras=2, shots=1)),
        "gallery": ImageSet("gallery", tuple(s for s in people.samples if s.camera == "cam-0")),
        "query": ImageSet("query", tuple(s for s in people.samples if s.camera == "cam-1")),
    }
    data = DataSet("made up", "drawn", "all", ("all",), subsets=subsets)
    figures = compare(graph, data, tmp_path / "cache")
    assert (figures["queries"], figures["gallery_images"], figures["calibration_images"]) == (
        20,
        20,
        16,
    )
    assert 0.9 < figures["feature_cosine"] < 1
    points = 100 * (figures["int8_top1"] - figures["fp32_top1"])
    assert figures["int8_minus_fp32_points"] == pytest.approx(points, abs=0.01)
    assert figures["fp32_top1"] > 0.1  # guessing finds one in ten
    same = compare(graph, data, tmp_path / "cache", int8=graph)
    assert same["int8_minus_fp32_points"] == same["half_width_points"] == 0
    assert same["int8_top1"] == figures["fp32_top1"]
