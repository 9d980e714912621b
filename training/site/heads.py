"""The first stage: a nested code through noise, on features of a network that stays as it is."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from airreid.codecs.linear import LinearCode
from airreid.codecs.selection import Wanted, select
from training.engine.batches import FeatureBatches, epoch_rows
from training.engine.fit import BatchLoss, Task
from training.engine.precision import Precision
from training.engine.retrieval import rank1
from training.engine.schedule import ParamGroup
from training.models.channel import Channel
from training.models.nested import NestedHead, search_loss
from training.recipes.base import snr_bounds
from training.recipes.site_steps import NestedStep
from training.site.context import SiteContext
from training.site.people import class_numbers, training_rows

Features = NDArray[np.float32]


def closed_form(features: Features, largest: int, context: SiteContext) -> LinearCode:
    """Returns the code in closed form that training starts from, of at most ``largest`` uses.

    features: (N, D) of ``context.images.fit``. It is fitted without the held-out people.
    """
    rows = training_rows(context.labels, context.split)
    wish = Wanted(largest)
    choices, _ = select(features[rows], context.labels.take(rows), [wish])
    return choices[wish].code


def train_nested(
    step: NestedStep,
    start: LinearCode,
    bandwidths: tuple[int, ...],
    features: Features,
    context: SiteContext,
) -> NestedHead:
    """Trains a nested head on features (N, D) of ``context.images.fit``; returns its best epoch.

    The start competes, so that no bandwidth's mean ends worse on held-out people than it began.
    Without held-out people there is nothing to tell by whether training helps, and the start is
    returned.
    """
    torch.manual_seed(context.recipe.seed)
    head = NestedHead(features.shape[1], bandwidths)
    head.start_from(start)
    head.to(context.distributed.device)
    if context.watcher is not None:
        context.fit(_task(step, head, features, context))
    return head.eval()


def _task(step: NestedStep, head: NestedHead, features: Features, context: SiteContext) -> Task:
    device, seed = context.distributed.device, context.recipe.seed
    rows = training_rows(context.labels, context.split)
    labels, cameras = class_numbers(context.labels.identity[rows]), context.labels.camera[rows]
    people = min(step.batches.identities, int(labels.max()) + 1)
    batches = step.batches.model_copy(update={"identities": people})
    channel = Channel(step.channel, snr_bounds(step.snr_db))
    watcher = context.watcher
    assert watcher is not None
    watched = torch.from_numpy(features[watcher.rows]).to(device)

    def loss(x: Tensor, identity: Tensor, draws: torch.Generator, _: Precision) -> BatchLoss:
        sent = head.send(x, channel, draws)
        value = search_loss(sent, identity, step.temperature)
        last = sent[-1]
        return BatchLoss(value, rank1(last.received.detach(), last.clean.detach(), identity))

    steps = len(epoch_rows(labels, batches, seed, 0, cameras=cameras))
    return Task(
        name=step.name,
        setting=f"{step.name}.learning",
        architecture={"features": features.shape[1], "bandwidths": list(head.bandwidths)},
        parts=head,
        groups=(ParamGroup(head, step.learning.lr, step.learning.weight_decay),),
        learning=step.learning,
        epochs=math.ceil(step.iterations / steps),
        batches=FeatureBatches(
            torch.from_numpy(features[rows]).to(device),
            torch.from_numpy(labels).to(device),
            batches,
            seed,
            cameras,
        ),
        loss=loss,
        seed=seed,
        validate=lambda: watcher(head, watched),
        keep="best",
        candidates_from=0,
    )
