"""Training the re-ID backbone: identities as classes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.engine.batches import Images
from training.engine.fit import Loss, Task, fit
from training.engine.losses import match_rate, nearest_hit_rate, retrieval_loss
from training.engine.precision import Precision
from training.engine.schedule import Group
from training.engine.world import World
from training.models.backbone import Backbone
from training.models.weights import load_weights
from training.recipes.base import Engine, Learning, Stage
from training.recipes.steps import BackboneStep, JointStep
from training.runs.checkpoints import SavedBackbone, backbone_path, save
from training.steps.context import Bench

_CHUNK = 32


class Pooled(nn.Module):
    """A backbone up to its pooling, as a module that can be compiled."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone.pooled(images)


def run_backbone(step: BackboneStep, bench: Bench) -> None:
    """Trains the step's backbone, or takes it from an earlier run of the same folder."""
    path = backbone_path(bench.out, step.name)
    saved = bench.keep(path)
    if saved is None:
        saved = train_backbone(step, bench)
        if bench.world.first:
            save(path, saved)
    bench.backbones[step.name] = bench.trunk = saved


def train_backbone(step: BackboneStep, bench: Bench) -> SavedBackbone:
    """Trains a backbone and its classifier on the run's images (N, 256, 128, 3)."""
    seed, world = bench.recipe.seed, bench.world
    torch.manual_seed(seed)
    network = Backbone(step.bn_neck, step.backbone, step.last_stride)
    origin = first_weights(network, step.weights, world)
    labels = bench.sets.train.labels()
    classifier = new_classifier(network.dim, int(labels.max()) + 1)
    parts = nn.ModuleDict({"backbone": network, "classifier": classifier})
    placed, forward = place(parts, bench.recipe.engine, bench)
    network_now: Any = placed["backbone"]
    head: Any = placed["classifier"]

    def loss(images: Tensor, target: Tensor, _: torch.Generator, precision: Precision) -> Loss:
        with precision.autocast():
            pooled = forward(images)
        feature = network_now.neck(world.gather(pooled.float()))
        identity = world.gather(target)
        value = identity_loss(step, feature, feature, head(feature), identity)
        return Loss(value, nearest_hit_rate(feature.detach(), identity))

    final = step.stages[-1]

    def score(images: Tensor, identity: Tensor, cameras: Tensor) -> float:
        feature = features_of(network_now, images)
        return match_rate(feature, feature, identity, cameras)

    task = Task(
        name=step.name,
        setting=step.name,
        architecture={**network.settings, "identities": classifier.out_features},
        parts=placed,
        groups=groups(step.learning, network_now, head),
        learning=step.learning,
        epochs=step.epochs,
        batches=image_batches(step, bench),
        loss=loss,
        seed=seed,
        validate=bench.validator(final, step.validation_images, score),
        keep=step.keep,
    )
    report = lambda progress: bench.report.network(step.name, progress)  # noqa: E731
    fitted = fit(task, bench.recipe.engine, bench.out, world, report)
    return SavedBackbone(
        stem=step.name,
        settings=network.settings,
        weights=cpu_weights(network_now),
        size=(final.height, final.width),
        origin=origin,
        seconds=fitted.seconds,
        classifier=cpu_weights(head),
    )


def first_weights(network: Backbone, weights: str, world: World) -> str:
    """The same initial weights in every process; a line for the model card."""

    def make() -> tuple[str, dict[str, Any]]:
        return load_weights(network, weights), cpu_weights(network)

    origin, state = world.same(make)
    network.load_state_dict(state)
    return origin


def groups(learning: Learning, backbone: nn.Module, *heads: nn.Module) -> tuple[Group, ...]:
    """A backbone and what follows it."""
    decay = learning.weight_decay
    head_lr = learning.head_lr or learning.lr
    return (
        *(Group(head, head_lr, decay) for head in heads),
        Group(backbone, learning.lr, decay),
    )


def new_classifier(inputs: int, identities: int) -> nn.Linear:
    """The FC layer to the identities, for training only."""
    classifier = nn.Linear(inputs, identities, bias=False)
    nn.init.normal_(classifier.weight, std=0.001)
    return classifier


def identity_loss(
    step: BackboneStep | JointStep,
    queries: Tensor,
    gallery: Tensor,
    logits: Tensor,
    identity: Tensor,
) -> Tensor:
    """Cross-entropy over identities and, if weighted, the retrieval loss of the batch."""
    loss = queries.new_zeros(())
    if step.cross_entropy_weight:
        entropy = F.cross_entropy(logits, identity, label_smoothing=step.label_smoothing)
        loss = loss + step.cross_entropy_weight * entropy
    if step.retrieval_weight:
        search = retrieval_loss(queries, gallery, identity, step.temperature)
        loss = loss + step.retrieval_weight * search
    return loss


def image_batches(step: BackboneStep | JointStep, bench: Bench) -> Images:
    """The run's training images as the step wants them."""
    return Images(
        crops=bench.crops(),
        labels=bench.sets.train.labels(),
        stages=step.stages,
        batches=step.batches,
        variation=step.variation,
        seed=bench.recipe.seed,
        workers=bench.recipe.engine.workers,
        world=bench.world,
    )


def place(parts: nn.ModuleDict, engine: Engine, bench: Bench) -> tuple[nn.ModuleDict, Any]:
    """Parts on their device, channels last, with joined statistics; the backbone's pooled
    forward pass, compiled if wanted."""
    world = bench.world
    backbone: Any = parts["backbone"]
    backbone.trunk = world.join_statistics(backbone.trunk)
    placed = parts.to(world.device)
    backbone.to(memory_format=torch.channels_last)
    forward: Any = Pooled(backbone)
    return placed, torch.compile(forward) if engine.compile else forward


@torch.no_grad()
def features_of(network: Backbone, images: Tensor) -> Tensor:
    """Images (n, H, W, 3) at their size -> features (n, D), in chunks."""
    return torch.cat([network(images[at : at + _CHUNK]) for at in range(0, len(images), _CHUNK)])


def cpu_weights(module: nn.Module) -> dict[str, Any]:
    """A copy of a state on the CPU, contiguous: what is kept in files."""
    return {
        key: value.detach().cpu().contiguous().clone() for key, value in module.state_dict().items()
    }


def final_size(stages: tuple[Stage, ...]) -> tuple[int, int]:
    """Height and width that a network is used at."""
    return stages[-1].height, stages[-1].width
