"""A training step of the backbone, ours against the plain loop of the tutorials.

Both train torchvision's ResNet-50 with one FC layer by cross-entropy on the same images
and take turns, so that a machine whose speed drifts slows both alike; the figure is the
ratio of medians. The plain loop: fp32, default memory format, default SGD. Ours:
channels last, fused SGD, gradients set to none, and the number format that ``auto``
chooses here. A third one takes turns with them: fp32 matrix products with as many
multiplications as a step, which says what the processor could do at most.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from training.engine.precision import choose_precision
from training.engine.schedule import make_optimizer
from training.models.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from training.recipes.base import OptimizerConfig
from training.steps.backbone import Pooled, new_classifier, param_groups

IDENTITIES = 751
_PRODUCT = 2048
"""Rows and columns of the matrices: large enough for the processor's full speed."""
Step = Callable[[], float]


def plain_step(images: Tensor, labels: Tensor) -> Step:
    """Takes the reference's step. images: float32 (N, H, W, 3), 0..255."""
    torch.manual_seed(0)
    network = torchvision.models.resnet50(weights=None, num_classes=IDENTITIES).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    mean = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)

    def step() -> float:
        x = (images.permute(0, 3, 1, 2).contiguous() / 255 - mean) / std
        loss = F.cross_entropy(network(x), labels)
        optimizer.zero_grad(set_to_none=False)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return float(loss.detach())

    return step


def our_step(images: Tensor, labels: Tensor, compiled: bool) -> Step:
    """Takes a step as :func:`training.engine.fit.fit` does."""
    torch.manual_seed(0)
    network = Backbone(bn_neck=False).to(memory_format=torch.channels_last).train()
    classifier = new_classifier(network.dim, IDENTITIES)
    learning = OptimizerConfig(lr=0.01)
    optimizer = make_optimizer(learning, param_groups(learning, network, classifier))
    precision = choose_precision("auto", torch.device("cpu"))
    forward: nn.Module = Pooled(network)
    if compiled:
        forward = torch.compile(forward)  # type: ignore[assignment]

    def step() -> float:
        with precision.autocast():
            pooled = forward(images)
        loss = F.cross_entropy(classifier(network.neck(pooled.float())), labels)
        value = float(loss.detach())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return value

    return step


def products(operations: float) -> Step:
    """Times a product of two matrices; returns the seconds that ``operations`` additions and
    multiplications take at its speed."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(_PRODUCT, _PRODUCT, generator=generator) for _ in range(2))
    out = torch.empty(_PRODUCT, _PRODUCT)

    def step() -> float:
        started = time.perf_counter()
        torch.mm(left, right, out=out)
        return (time.perf_counter() - started) * operations / (2 * _PRODUCT**3)

    return step


def measure(
    height: int, width: int, batch: int, rounds: int, compiled: bool, threads: int
) -> dict[str, Any]:
    """Measures images per second of both, medians over ``rounds`` turns of one step each."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.uniform(0, 255, (batch, height, width, 3)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, IDENTITIES, batch))
    steps = {"plain": plain_step(images, labels), "ours": our_step(images, labels, compiled)}
    with FlopCounterMode(display=False) as counter:
        steps["plain"]()
    product = products(counter.get_total_flops())
    times: dict[str, list[float]] = {name: [] for name in (*steps, "product")}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            if turn:  # the first one allocates
                times[name].append(time.perf_counter() - started)
        if turn:
            times["product"].append(product())
    speed = {name: batch / float(np.median(taken)) for name, taken in times.items()}
    ratios = np.asarray(times["plain"]) / np.asarray(times["ours"])
    return {
        "name": f"training step, ResNet-50, {height}x{width}, batch {batch}",
        "unit": "images/s",
        "ours": round(speed["ours"], 2),
        "peer": round(speed["plain"], 2),
        "peer_name": "plain torchvision loop, fp32",
        "ratio": round(speed["ours"] / speed["plain"], 3),
        "product": round(speed["product"], 2),
        "ratio_quartiles": [round(float(q), 3) for q in np.percentile(ratios, (25, 75))],
        "precision": choose_precision("auto", torch.device("cpu")).name,
        "compiled": compiled,
        "threads": threads,
        "processor": platform.machine(),
        "torch": torch.__version__,
    }
