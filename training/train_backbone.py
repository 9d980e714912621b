"""Training the re-ID backbone: identities as classes, images small first."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airreid.errors import AirReidError
from training import checkpoint
from training.augment import resize, vary
from training.losses import nearest_hit_rate, retrieval_loss
from training.models.backbone import FEATURE_DIM, Backbone, load_weights
from training.recipe import BackboneRecipe, Stage
from training.sampling import identity_batches


class TrainingError(AirReidError):
    """Training cannot go on, for a reason that the message names."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands, after each step."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    """Share of the batch whose nearest neighbour in the batch is of its identity."""


@dataclass(frozen=True)
class Trained:
    """A finished backbone."""

    network: Backbone
    """In evaluation mode."""
    origin: str
    """Where its initial weights came from."""
    seconds: float
    """Spent training, over all runs that continued one another."""


class Report(Protocol):
    """What is called after each step."""

    def __call__(self, progress: Progress) -> None: ...


def _stage_of(recipe: BackboneRecipe, epoch: int) -> Stage:
    for stage in recipe.stages:
        if epoch < stage.epochs:
            return stage
        epoch -= stage.epochs
    raise ValueError(f"no stage for epoch {epoch}")


def _learning_rate(recipe: BackboneRecipe, at: float) -> float:
    """Learning rate at a fractional epoch: warm-up, then cosine to zero."""
    if at < recipe.warmup_epochs:
        return recipe.lr * max(0.02, at / recipe.warmup_epochs)
    rest = max(1e-9, recipe.epochs - recipe.warmup_epochs)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, (at - recipe.warmup_epochs) / rest)))


def _optimizer(recipe: BackboneRecipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The recipe's optimiser; biases and normalisation gains are not decayed."""
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr)
    return torch.optim.SGD(
        groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0
    )


def train_backbone(
    recipe: BackboneRecipe,
    crops: np.ndarray,
    labels: np.ndarray,
    seed: int,
    out: Path,
    report: Report,
) -> Trained:
    """Trains a backbone on uint8 crops (N, 256, 128, 3) with int64 labels (N,).

    ``out/backbone.pt`` is written after each epoch; a run that finds it goes on from
    there. The order of images and every variation depend on (seed, epoch) alone, so
    the continuation is the one that an unbroken run would have had. Raises
    :class:`TrainingError` when the loss is not finite.
    """
    torch.manual_seed(seed)
    network = Backbone(recipe.bn_neck)
    origin = load_weights(network, recipe.weights)
    classifier = nn.Linear(FEATURE_DIM, int(labels.max()) + 1, bias=False)
    nn.init.normal_(classifier.weight, std=0.001)
    network = network.to(memory_format=torch.channels_last)
    optimizer = _optimizer(recipe, [*network.parameters(), *classifier.parameters()])
    path = out / "backbone.pt"
    start, seconds = 0, 0.0
    if path.exists():
        state = checkpoint.load(path)
        network.load_state_dict(state["network"])
        classifier.load_state_dict(state["classifier"])
        optimizer.load_state_dict(state["optimizer"])
        start, seconds = int(state["epoch"]), float(state["seconds"])
    for epoch in range(start, recipe.epochs):
        started = time.monotonic()
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch])))
        stage = _stage_of(recipe, epoch)
        batches = identity_batches(
            labels, recipe.identities_per_batch, recipe.images_per_identity, rng
        )
        network.train()
        for step, batch in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(recipe, epoch + step / len(batches))
            images = resize(torch.from_numpy(crops[np.sort(batch)]), stage.height, stage.width)
            target = torch.from_numpy(labels[np.sort(batch)])
            loss, feature = _loss(
                recipe, network, classifier, vary(images, recipe.erase, rng), target
            )
            value = float(loss.detach())
            if not math.isfinite(value):
                raise TrainingError(
                    f"loss is {value} in epoch {epoch + 1}, step {step + 1}: lower backbone.lr; "
                    f"the last whole epoch is kept in {path}"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            hit = nearest_hit_rate(feature, target)
            report(Progress(epoch, recipe.epochs, step, len(batches), value, hit))
        seconds += time.monotonic() - started
        checkpoint.save(
            path,
            {
                "network": network.state_dict(),
                "classifier": classifier.state_dict(),
                "optimizer": optimizer.state_dict(),
                "epoch": epoch + 1,
                "seconds": seconds,
            },
        )
    return Trained(network.eval(), origin, seconds)


def _loss(
    recipe: BackboneRecipe, network: Backbone, classifier: nn.Module, images: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.bf16):
        pooled = network.pooled(images)
    feature: Tensor = network.neck(pooled.float())
    logits: Tensor = classifier(feature)
    loss = F.cross_entropy(logits, target, label_smoothing=recipe.label_smoothing)
    if recipe.retrieval_weight:
        metric = retrieval_loss(feature, feature, target, recipe.temperature)
        loss = loss + recipe.retrieval_weight * metric
    return loss, feature.detach()
