"""How far weights move, and when."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from training.recipes.base import OptimizerConfig

_FIRST = 0.02
"""Share of the peak that a warm-up begins with."""


def lr_scale(learning: OptimizerConfig, epochs: int, at: float) -> float:
    """Learning rate at a fractional epoch, as a share of ``learning.lr``."""
    if at < learning.warmup_epochs:
        return max(_FIRST, at / learning.warmup_epochs)
    if learning.schedule == "steps":
        return float(learning.gamma ** sum(at >= one for one in learning.milestones))
    rest = max(1e-9, epochs - learning.warmup_epochs)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (at - learning.warmup_epochs) / rest)))


def set_lr(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Gives every group its own peak times ``share``."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


@dataclass(frozen=True)
class ParamGroup:
    """Weights that move alike."""

    module: nn.Module
    lr: float
    weight_decay: float


def make_optimizer(
    learning: OptimizerConfig, groups: Iterable[ParamGroup]
) -> torch.optim.Optimizer:
    """SGD or AdamW, fused. A weight that is in several groups belongs to the first."""
    taken: set[int] = set()
    made: list[dict[str, Any]] = []
    for group in groups:
        own = [p for p in group.module.parameters() if p.requires_grad and id(p) not in taken]
        taken |= {id(p) for p in own}
        large = [p for p in own if learning.decay_all or p.ndim > 1]
        small = [p for p in own if not (learning.decay_all or p.ndim > 1)]
        made += [
            {"params": some, "weight_decay": decay, "lr": group.lr, "peak": group.lr}
            for some, decay in ((large, group.weight_decay), (small, 0.0))
            if some
        ]
    if learning.optimizer == "adamw":
        return torch.optim.AdamW(made, lr=learning.lr, fused=True)
    return torch.optim.SGD(
        made, lr=learning.lr, momentum=learning.momentum, nesterov=learning.nesterov, fused=True
    )
