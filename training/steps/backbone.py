"""Training of the re-ID backbone: identities as classes."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airreid.errors import InputError
from training.engine.batches import ImageBatches
from training.engine.distributed import Distributed
from training.engine.fit import BatchLoss, Task, Validation
from training.engine.precision import Precision
from training.engine.retrieval import rank1, retrieval_loss
from training.engine.schedule import ParamGroup
from training.models.backbone import Backbone
from training.models.weights import load_weights
from training.recipes.base import OptimizerConfig
from training.recipes.steps import BackboneStep, JointStep
from training.runs.checkpoints import SavedBackbone, Weights, backbone_path, cpu_weights, save
from training.steps.context import RunContext
from training.steps.held_out import LabelledFeatures

_CHUNK = 32
Forward = Callable[[Tensor], Tensor]
"""Images (n, H, W, 3) -> pooled features (n, D)."""


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
    backbone = context.finished_backbone(path)
    if backbone is None:
        backbone = train_backbone(step, context)
        if context.distributed.is_main:
            save(path, backbone)
    context.backbones[step.name] = context.shared_backbone = backbone


def train_backbone(step: BackboneStep, context: RunContext) -> SavedBackbone:
    """Trains a backbone and its classifier on the run's images (N, 256, 128, 3)."""
    seed, distributed = context.recipe.seed, context.distributed
    torch.manual_seed(seed)
    network, origin = new_backbone(step, step.backbone, context)
    classifier = new_classifier(network.dim, len(context.sets.train.identities))
    parts = nn.ModuleDict({"backbone": network, "classifier": classifier})
    forward = place(parts, network, context)

    def loss(images: Tensor, labels: Tensor, _: torch.Generator, precision: Precision) -> BatchLoss:
        feature, identity = gathered(network, forward, images, labels, distributed, precision)
        value = identity_loss(step, feature, feature, classifier(feature), identity)
        return BatchLoss(value, rank1(feature.detach(), feature.detach(), identity))

    def score(people: LabelledFeatures) -> Validation:
        feature = features_of(network, people.features)
        return Validation(rank1(feature, feature, people.labels, people.cameras))

    final = step.stages[-1]
    task = Task(
        name=step.name,
        setting=f"{step.name}.learning",
        architecture={**network.settings, "identities": classifier.out_features},
        parts=parts,
        groups=param_groups(step.learning, network, classifier),
        learning=step.learning,
        epochs=step.epochs,
        batches=image_batches(step, context),
        loss=loss,
        seed=seed,
        validate=context.validator(final, step.validation_images, score),
        keep=step.keep,
    )
    seconds = context.fit(task)
    return SavedBackbone(
        name=step.name,
        settings=network.settings,
        weights=cpu_weights(network),
        size=(final.height, final.width),
        origin=origin,
        seconds=seconds,
        classifier=cpu_weights(classifier),
    )


def new_backbone(
    step: BackboneStep | JointStep, name: str, context: RunContext
) -> tuple[Backbone, str]:
    """Builds the backbone called ``name`` with the step's initial weights.

    Returns it with a line for the model card. Raises :class:`InputError` for a network that does
    not take images of the step's sizes.
    """
    network = Backbone(step.bn_neck, name, step.last_stride)
    for stage in step.stages:
        size = (stage.height, stage.width)
        if network.fixed_size and network.size != size:
            height, width = network.size
            raise InputError(
                f"backbone {name}: takes images of {height}x{width} alone, not of {size[0]}x"
                f'{size[1]}; give --set \'{step.name}.stages=[{{"height": {height}, "width": '
                f'{width}, "epochs": {step.epochs}}}]\''
            )
    origin = load_initial(network, step.weights, context.distributed)
    context.report.note(f"{name}: {origin}")
    return network, origin


def load_initial(network: Backbone, weights: str, distributed: Distributed) -> str:
    """Gives every process the same initial weights; returns a line for the model card."""

    def load() -> tuple[str, Weights]:
        return load_weights(network, weights), cpu_weights(network)

    origin, state = distributed.broadcast(load)
    network.load_state_dict(state)
    return origin


def param_groups(
    learning: OptimizerConfig, backbone: nn.Module, *heads: nn.Module
) -> tuple[ParamGroup, ...]:
    """Groups the weights of a backbone and of what follows it."""
    decay = learning.weight_decay
    head_lr = learning.head_lr or learning.lr
    return (
        *(ParamGroup(head, head_lr, decay) for head in heads),
        ParamGroup(backbone, learning.lr, decay),
    )


def new_classifier(inputs: int, identities: int) -> nn.Linear:
    """Makes the FC layer to the identities, for training only."""
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


def image_batches(step: BackboneStep | JointStep, context: RunContext) -> ImageBatches:
    """Makes the batches that a step wants of the run's training images."""
    return ImageBatches(
        crops=context.crops(),
        labels=context.sets.train.labels(),
        cameras=context.sets.train.cameras(),
        stages=step.stages,
        batches=step.batches,
        augmentation=step.augmentation,
        seed=context.recipe.seed,
        workers=context.recipe.engine.workers,
        distributed=context.distributed,
    )


def place(parts: nn.ModuleDict, backbone: Backbone, context: RunContext) -> Forward:
    """Moves parts to their device, with batch statistics over all processes.

    Returns the pooled forward pass of ``backbone``, one of the parts, compiled if wanted.
    """
    distributed = context.distributed
    backbone.trunk = distributed.sync_batchnorm(backbone.trunk)
    parts.to(distributed.device)
    backbone.to(memory_format=torch.channels_last)
    forward = Pooled(backbone)
    return torch.compile(forward) if context.recipe.engine.compile else forward


def gathered(
    backbone: Backbone,
    forward: Forward,
    images: Tensor,
    labels: Tensor,
    distributed: Distributed,
    precision: Precision,
) -> tuple[Tensor, Tensor]:
    """Returns features (W n, D) and labels (W n,) of the images (n, H, W, 3) of all processes."""
    with precision.autocast():
        pooled = forward(images)
    feature: Tensor = backbone.neck(distributed.gather(pooled.float()))
    return feature, distributed.gather(labels)


@torch.no_grad()
def features_of(network: Backbone, images: Tensor) -> Tensor:
    """Images (n, H, W, 3) at their size -> features (n, D), in chunks."""
    chunks = range(0, len(images), _CHUNK)
    return torch.cat([network(images[start : start + _CHUNK]) for start in chunks])
