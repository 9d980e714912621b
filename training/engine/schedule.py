"""Optimisers of a recipe, and their learning rate over time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from training.recipes.base import OptimizerConfig

_WARMUP_START = 0.02
"""Share of the peak learning rate that a warm-up begins with."""


def lr_scale(learning: OptimizerConfig, epochs: int, epoch: float) -> float:
    """Returns the learning rate at a fractional ``epoch`` as a share of ``learning.lr``."""
    if epoch < learning.warmup_epochs:
        return max(_WARMUP_START, epoch / learning.warmup_epochs)
    if learning.schedule == "steps":
        return float(learning.gamma ** sum(epoch >= milestone for milestone in learning.milestones))
    rest = max(1e-9, epochs - learning.warmup_epochs)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (epoch - learning.warmup_epochs) / rest)))


def set_lr(optimizer: torch.optim.Optimizer, scale: float) -> None:
    """Gives every parameter group its own peak learning rate times ``scale``."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * scale


@dataclass(frozen=True)
class ParamGroup:
    """Weights with a learning rate and a weight decay of their own."""

    module: nn.Module
    lr: float
    weight_decay: float


def make_optimizer(
    learning: OptimizerConfig, groups: Iterable[ParamGroup]
) -> torch.optim.Optimizer:
    """Builds SGD or AdamW, fused. A weight that is in several groups belongs to the first."""
    taken: set[int] = set()
    param_groups: list[dict[str, Any]] = []
    for group in groups:
        weights = [p for p in group.module.parameters() if p.requires_grad and id(p) not in taken]
        taken |= {id(p) for p in weights}
        decayed = [p for p in weights if learning.decay_bias_and_norm or p.ndim > 1]
        plain = [p for p in weights if not (learning.decay_bias_and_norm or p.ndim > 1)]
        param_groups += [
            {"params": params, "weight_decay": decay, "lr": group.lr, "peak": group.lr}
            for params, decay in ((decayed, group.weight_decay), (plain, 0.0))
            if params
        ]
    if learning.optimizer == "adamw":
        return torch.optim.AdamW(param_groups, lr=learning.lr, fused=True)
    return torch.optim.SGD(
        param_groups,
        lr=learning.lr,
        momentum=learning.momentum,
        nesterov=learning.nesterov,
        fused=True,
    )
