"""Training of the paper's autoencoder on features of a frozen backbone, by L1."""

from __future__ import annotations

import torch
from torch import Tensor

from airreid.errors import InputError
from training.engine.batches import FeatureBatches
from training.engine.fit import BatchLoss, Task
from training.engine.precision import Precision
from training.engine.retrieval import rank1
from training.models.channel import Channel
from training.models.codec import Codec
from training.recipes.base import snr_bounds
from training.recipes.scheme_ids import parse_scheme
from training.recipes.steps import AutoencoderStep
from training.steps.context import HeadData, RunContext


def train_autoencoder(
    scheme_id: str, step: AutoencoderStep, data: HeadData, context: RunContext, name: str
) -> Codec:
    """Trains one scheme: step 2 of the paper. Returns its last epoch.

    Features pass through encoder, channel and decoder, and the decoded ones must be near
    them. ``name``: of its checkpoints and curves. Raises :class:`InputError` for a scheme without
    a decoder.
    """
    kind, bandwidth = parse_scheme(scheme_id)
    if kind != "jscc-ae":
        raise InputError(f"step {step.name}: scheme {scheme_id} has no decoder to train")
    seed, device = context.recipe.seed, context.distributed.device
    torch.manual_seed(seed)
    features = torch.from_numpy(data.features).to(device)
    labels = torch.from_numpy(data.labels).to(device)
    codec = Codec(kind, features.shape[1], bandwidth, 0, step.layers).to(device)
    channel = Channel(step.channel, snr_bounds(step.snr_db))

    def loss(x: Tensor, identity: Tensor, draws: torch.Generator, _: Precision) -> BatchLoss:
        decoded = codec.transmit(x, channel, draws, gallery=False).queries
        return BatchLoss((decoded - x).abs().mean(), rank1(decoded.detach(), x, identity))

    task = Task(
        name=name,
        setting=f"{step.name}.learning",
        architecture=codec.settings,
        parts=codec,
        groups=codec.param_groups(step.learning),
        learning=step.learning,
        epochs=step.epochs,
        batches=FeatureBatches(features, labels, step.batches, seed),
        loss=loss,
        seed=seed,
    )
    context.fit_alone(task)
    return codec
