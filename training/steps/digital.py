"""Training of a digital head and its prior on features of a frozen backbone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from airreid.errors import InputError
from training.engine.batches import FeatureBatches
from training.engine.fit import BatchLoss, Task, Validation
from training.engine.precision import Precision
from training.engine.retrieval import rank1, retrieval_loss
from training.models.channel import Channel
from training.models.digital import DigitalCodec
from training.models.scheme_network import Transmitted
from training.recipes.steps import DigitalSpec, DigitalStep
from training.steps.context import HeadContext, HeadData, scheme_seed
from training.steps.held_out import split

TRAILING = 0.25
"""Share of the epochs, the last ones, that the best epoch is chosen from."""


def train_digital(
    scheme: DigitalSpec, step: DigitalStep, data: HeadData, context: HeadContext, name: str
) -> DigitalCodec:
    """Trains one scheme and returns its best epoch.

    Loss: ``bits per query + rate_lambda * l``. Noise U(-1/2, 1/2) on every latent stands in
    for rounding. The paper's l is cross-entropy over the training identities, learned
    with the backbone; on a frozen backbone l is here, by our choice, the loss of a
    search among the batch's noisy latents
    (:func:`training.engine.retrieval.retrieval_loss`), which asks for people apart,
    whoever they are.

    The rate falls while training goes on, so an early epoch with more bits would
    always look more accurate: the best epoch is that of the last quarter with the
    least loss, computed on rounded latents of held-out people. Deterministic in the
    recipe's seed and the scheme's id: two schemes of one setting draw other noise, so
    that their tables differ. ``name``: of its checkpoints and curves. Raises
    :class:`InputError` for more dimensions than the feature has and for too few people.
    """
    size = data.features.shape[1]
    if scheme.dimensions > size:
        raise InputError(f"scheme {scheme.id}: dimensions above the feature's {size}")
    seed, device = scheme_seed(context.seed, scheme.id), context.device
    training, held_out = split(data.labels, data.cameras, context.seed)
    people, strangers = data.rows(training, device), data.rows(held_out, device)
    torch.manual_seed(seed)
    model = DigitalCodec(size, scheme.dimensions)
    model.init_from_pca(data.features[training], step.init_spread)
    model.to(device)
    channel = Channel()  # transmit() asks for one, and no channel changes bits

    def objective(sent: Transmitted, identity: Tensor) -> Tensor:
        search = retrieval_loss(sent.queries, sent.gallery, identity, step.temperature)
        return sent.objective(search, scheme.rate_lambda)

    def loss(x: Tensor, identity: Tensor, draws: torch.Generator, _: Precision) -> BatchLoss:
        sent = model.transmit(x, channel, draws)
        top1 = rank1(sent.queries.detach(), sent.gallery.detach(), identity)
        return BatchLoss(objective(sent, identity), top1, sent.metrics)

    @torch.no_grad()
    def validate() -> Validation:
        sent = model.transmit(strangers.features, channel, torch.Generator())
        top1 = rank1(sent.queries, sent.gallery, strangers.labels, strangers.cameras)
        return Validation(top1, -float(objective(sent, strangers.labels)), sent.metrics)

    task = Task(
        name=name,
        setting=f"{step.name}.learning",
        architecture=model.settings,
        parts=model,
        groups=model.param_groups(step.learning),
        learning=step.learning,
        epochs=step.epochs,
        batches=FeatureBatches(people.features, people.labels, step.batches, seed),
        loss=loss,
        seed=seed,
        validate=validate,
        keep="best",
        candidates_from=math.floor((1 - TRAILING) * step.epochs) + 1,
    )
    context.fit_alone(task)
    return model
