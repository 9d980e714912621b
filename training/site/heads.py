"""The first stage: a nested code through noise, on features of a network that stays as it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from airreid.codecs.linear import LinearCode
from airreid.codecs.selection import TrainedCode, Wanted, select
from airreid.codecs.statistics import TooFewDirectionsError
from training.engine.batches import FeatureBatches, epoch_rows
from training.engine.fit import BatchLoss, Task, Validation
from training.engine.precision import Precision
from training.engine.retrieval import rank1
from training.engine.schedule import ParamGroup
from training.models.channel import Channel
from training.models.nested import NestedHead, search_loss
from training.recipes.base import snr_bounds
from training.recipes.site_steps import NestedStep
from training.runs import atomic_file
from training.site.context import SiteContext, radio_of
from training.site.people import class_numbers, training_rows

Features = NDArray[np.float32]
_LATE = 0.75
"""Share of the epochs after which the best one must lie for the training to be done again on
everybody: without people to watch nothing says when to stop before the end."""


def closed_form(
    step: NestedStep, features: Features, largest: int, context: SiteContext
) -> LinearCode:
    """Returns the code in closed form that training starts from, of at most ``largest`` uses.

    features: (N, D) of ``context.images.fit``. It is fitted without the held-out people, and has
    fewer uses where the features of the others carry fewer directions.
    """
    rows = training_rows(context.labels, context.split)
    wish = Wanted(largest)
    labels, radio = context.labels.take(rows), radio_of(step)
    try:
        choices, _ = select(features[rows], labels, [wish], radio=radio)
    except TooFewDirectionsError as error:  # without the held-out people they are fewer
        wish = Wanted(error.directions)
        choices, _ = select(features[rows], labels, [wish], radio=radio)
    return choices[wish].code


@dataclass(frozen=True)
class NestedHeads:
    """The nested head of a network that stays as it is."""

    watched: NestedHead
    """Best epoch on the held-out people, who were not trained on."""
    everybody: NestedHead
    """The same training with the held-out people among the others."""

    @property
    def code(self) -> TrainedCode:
        """The head as a candidate beside the closed forms."""
        return TrainedCode(self.watched.code(), self.everybody.code())


def train_nested(
    step: NestedStep,
    start: LinearCode,
    bandwidths: tuple[int, ...],
    features: Features,
    context: SiteContext,
    again: bool,
) -> NestedHeads:
    """Trains a nested head on features (N, D) of ``context.images.fit``.

    The start competes, so that the mean over bandwidths ends no worse on held-out people than it
    began. Without held-out people there is nothing to tell by whether training helps, and the
    start is returned. ``again``: train a second time, on everybody, where the last quarter of the
    epochs was the best, as a closed form is fitted again on everybody.
    """
    watched = _new(start, bandwidths, features, context)
    if context.watcher is None:
        return NestedHeads(watched, watched)
    task = _task(step, watched, features, training_rows(context.labels, context.split), context)
    context.fit(replace(task, validate=_validator(step, watched, features, context), keep="best"))
    best: int = atomic_file.load(context.out / f"{task.name}.best.pt")["epoch"]
    if not again or best < _LATE * task.epochs:
        return NestedHeads(watched, watched)
    everybody = _new(start, bandwidths, features, context)
    rows = np.arange(len(context.labels))
    whole = _task(step, everybody, features, rows, context)
    context.fit(replace(whole, name=f"{task.name}-everybody", epochs=best))
    return NestedHeads(watched, everybody)


def _new(
    start: LinearCode, bandwidths: tuple[int, ...], features: Features, context: SiteContext
) -> NestedHead:
    torch.manual_seed(context.recipe.seed)
    head = NestedHead(features.shape[1], bandwidths)
    head.start_from(start)
    return head.to(context.distributed.device).eval()


def _validator(
    step: NestedStep, head: NestedHead, features: Features, context: SiteContext
) -> Callable[[], Validation]:
    watcher = context.watcher
    assert watcher is not None
    watched = torch.from_numpy(features[watcher.rows]).to(context.distributed.device)
    radio = radio_of(step)
    return lambda: watcher(head, watched, radio)


def _task(
    step: NestedStep,
    head: NestedHead,
    features: Features,
    rows: NDArray[np.int64],
    context: SiteContext,
) -> Task:
    device, seed = context.distributed.device, context.recipe.seed
    labels, cameras = class_numbers(context.labels.identity[rows]), context.labels.camera[rows]
    people = min(step.batches.identities, int(labels.max()) + 1)
    batches = step.batches.model_copy(update={"identities": people})
    channel = Channel(step.channel, snr_bounds(step.snr_db))

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
        candidates_from=0,
    )
