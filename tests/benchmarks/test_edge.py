"""The arithmetic that the encoder is held against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.edge import _multiplications, _product


class _Two(nn.Module):
    """A dense and a depthwise layer."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Conv2d(3, 32, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(32, 32, 5, padding=2, groups=32)

    def forward(self, crops: Tensor) -> Tensor:
        features: Tensor = self.depthwise(self.dense(crops.permute(0, 3, 1, 2).float()))
        return features


def test_as_many_multiplications(tmp_path: Path) -> None:
    expected = 128 * 64 * 32 * (27 + 25)
    with torch.inference_mode():
        assert _multiplications(_Two()) == expected
        product = _product(_Two(), tmp_path, threads=1)
    for batch in (1, 8):
        output = np.asarray(product(np.zeros((batch, 256, 128, 3), np.uint8)))
        assert output.shape == (batch * (expected // 1024**2), 1024)
