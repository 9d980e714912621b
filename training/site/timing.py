"""Time of a joint training on this machine, measured before it is begun."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from training.engine.fit import BatchLoss
from training.engine.precision import Precision

Loss = Callable[[Tensor, Tensor, torch.Generator, Precision], BatchLoss]
_STEPS = 3
_EVALUATION = 0.4
"""Time of an image that is only looked at, as a share of one that is trained on."""


def seconds_per_epoch(seconds_per_step: float, steps: int, batch: int, watched: int) -> float:
    """Returns the time of an epoch of ``steps`` batches, after which ``watched`` images are seen.

    ``batch``: images of a batch.
    """
    return steps * seconds_per_step + _EVALUATION * seconds_per_step / batch * watched


def seconds_per_step(
    parts: nn.Module, loss: Loss, images: Tensor, labels: Tensor, precision: Precision
) -> float:
    """Measures steps on one batch: the median of some. The parts' running values may move.

    images float32 (n, H, W, 3), 0..255; labels int64 (n,).
    """
    device = precision.device
    images, labels = images.to(device), labels.to(device)
    parts.train()
    seconds = []
    for _ in range(_STEPS):
        started = time.perf_counter()
        result = loss(images, labels, torch.Generator().manual_seed(0), precision)
        result.value.backward()  # type: ignore[no-untyped-call]
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    parts.zero_grad(set_to_none=True)
    return float(np.median(seconds))
