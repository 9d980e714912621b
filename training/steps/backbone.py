"""Training the re-ID backbone: identities as classes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.engine.batches import Images
from training.engine.distributed import Distributed
from training.engine.fit import Loss, Task, fit
from training.engine.losses import match_rate, nearest_hit_rate, retrieval_loss
from training.engine.precision import Precision
from training.engine.schedule import ParamGroup
from training.models.backbone import Backbone
from training.models.weights import load_weights
from training.recipes.base import Engine, OptimizerConfig, Stage
from training.recipes.steps import BackboneStep, JointStep
from training.runs.checkpoints import SavedBackbone, backbone_path, save
from training.steps.context import RunContext

_CHUNK = 32


class Pooled(nn.Module):
    """A backbone up to its pooling, as a module that can be compiled."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone.pooled(images)


def run_backbone(step: BackboneStep, context: RunContext) -> None:
    """Trains the step's backbone, or takes it from an earlier run of the same folder."""
    path = backbone_path(context.out, step.name)
    saved = context.keep(path)
    if saved is None:
        saved = train_backbone(step, context)
        if context.distributed.is_main:
            save(path, saved)
    context.backbones[step.name] = context.trunk = saved


def train_backbone(step: BackboneStep, context: RunContext) -> SavedBackbone:
    """Trains a backbone and its classifier on the run's images (N, 256, 128, 3)."""
    seed, distributed = context.recipe.seed, context.distributed
    torch.manual_seed(seed)
    network = Backbone(step.bn_neck, step.backbone, step.last_stride)
    origin = first_weights(network, step.weights, distributed)
    labels = context.sets.train.labels()
    classifier = new_classifier(network.dim, int(labels.max()) + 1)
    parts = nn.ModuleDict({"backbone": network, "classifier": classifier})
    placed, forward = place(parts, context.recipe.engine, context)
    network_now: Any = placed["backbone"]
    head: Any = placed["classifier"]

    def loss(images: Tensor, target: Tensor, _: torch.Generator, precision: Precision) -> Loss:
        with precision.autocast():
            pooled = forward(images)
        feature = network_now.neck(distributed.gather(pooled.float()))
        identity = distributed.gather(target)
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
        batches=image_batches(step, context),
        loss=loss,
        seed=seed,
        validate=context.validator(final, step.validation_images, score),
        keep=step.keep,
    )
    report = lambda progress: context.report.network(step.name, progress)  # noqa: E731
    fitted = fit(task, context.recipe.engine, context.out, distributed, report)
    return SavedBackbone(
        stem=step.name,
        settings=network.settings,
        weights=cpu_weights(network_now),
        size=(final.height, final.width),
        origin=origin,
        seconds=fitted.seconds,
        classifier=cpu_weights(head),
    )


def first_weights(network: Backbone, weights: str, distributed: Distributed) -> str:
    """The same initial weights in every process; a line for the model card."""

    def make() -> tuple[str, dict[str, Any]]:
        return load_weights(network, weights), cpu_weights(network)

    origin, state = distributed.broadcast(make)
    network.load_state_dict(state)
    return origin


def groups(
    learning: OptimizerConfig, backbone: nn.Module, *heads: nn.Module
) -> tuple[ParamGroup, ...]:
    """A backbone and what follows it."""
    decay = learning.weight_decay
    head_lr = learning.head_lr or learning.lr
    return (
        *(ParamGroup(head, head_lr, decay) for head in heads),
        ParamGroup(backbone, learning.lr, decay),
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


def image_batches(step: BackboneStep | JointStep, context: RunContext) -> Images:
    """The run's training images as the step wants them."""
    return Images(
        crops=context.crops(),
        labels=context.sets.train.labels(),
        stages=step.stages,
        batches=step.batches,
        variation=step.variation,
        seed=context.recipe.seed,
        workers=context.recipe.engine.workers,
        distributed=context.distributed,
    )


def place(parts: nn.ModuleDict, engine: Engine, context: RunContext) -> tuple[nn.ModuleDict, Any]:
    """Parts on their device, channels last, with joined statistics; the backbone's pooled
    forward pass, compiled if wanted."""
    distributed = context.distributed
    backbone: Any = parts["backbone"]
    backbone.trunk = distributed.sync_batchnorm(backbone.trunk)
    placed = parts.to(distributed.device)
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
