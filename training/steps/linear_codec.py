"""Training of a JSCC head on features of a frozen backbone, by retrieval through noise."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from airreid.codecs.pca import fit_pca
from airreid.errors import InputError
from training.engine.batches import FeatureBatches
from training.engine.fit import BatchLoss, Task
from training.engine.precision import Precision
from training.engine.retrieval import rank1, retrieval_loss
from training.models.channel import Channel
from training.models.codec import Codec
from training.recipes.base import OptimizerConfig, snr_bounds
from training.recipes.scheme_ids import parse_scheme
from training.recipes.steps import CodecStep
from training.steps.context import HeadData, RunContext, scheme_seed
from training.steps.held_out import LabelledFeatures, split, validate


def train_codec(
    scheme_id: str, step: CodecStep, data: HeadData, context: RunContext, name: str
) -> Codec:
    """Trains one scheme and returns its best epoch.

    Query features pass through power normalisation and the step's channel with an SNR
    drawn for each block, gallery features pass without noise, and a query must find its
    identity among them. The encoder is trained first, starting as PCA and searching
    among received vectors; for JSCC AE a decoder is then put behind it, starting as
    an isometry, and both are trained on. Every start competes for the best epoch, so
    that no phase ends worse on held-out people than it began. Deterministic in the
    recipe's seed and the scheme's id. ``name``: of its checkpoints and curves, with
    ``.encoder`` behind it for the first of two phases. Raises :class:`InputError` for a
    bandwidth above the feature's size and for too few people.
    """
    kind, bandwidth = parse_scheme(scheme_id)
    size = data.features.shape[1]
    if bandwidth > size:
        raise InputError(f"scheme {scheme_id}: bandwidth above the feature's {size}")
    seed, device = scheme_seed(context.recipe.seed, scheme_id), context.distributed.device
    training, held_out = split(data.labels, data.cameras, context.recipe.seed)
    people, strangers = data.rows(training, device), data.rows(held_out, device)
    pca = fit_pca(data.features[training], bandwidth)
    mean = torch.from_numpy(pca.mean).to(device)
    phase = partial(_phase, step, context, people, strangers, mean, seed)

    torch.manual_seed(seed)
    encoder = Codec("jscc-fc", size, bandwidth, step.hidden)
    encoder.init_encoder_from_pca(torch.from_numpy(pca.mean), torch.from_numpy(pca.components))
    first = f"{name}.encoder" if kind == "jscc-ae" else name
    context.fit_alone(phase(first, encoder.to(device), step.epochs, step.learning, "learning"))
    if kind == "jscc-fc":
        return encoder
    codec = Codec(kind, size, bandwidth, step.hidden).to(device)
    codec.encoder.load_state_dict(encoder.encoder.state_dict())
    codec.eval()
    codec.init_decoder_as_isometry(people.features, mean)
    learning = step.decoder_learning
    context.fit_alone(phase(name, codec, step.decoder_epochs, learning, "decoder_learning"))
    return codec


def _phase(
    step: CodecStep,
    context: RunContext,
    people: LabelledFeatures,
    strangers: LabelledFeatures,
    mean: Tensor,
    seed: int,
    name: str,
    codec: Codec,
    epochs: int,
    learning: OptimizerConfig,
    setting: str,
) -> Task:
    """Describes the training of an encoder, or of an encoder and its decoder."""
    snr_db = snr_bounds(step.snr_db)
    channel = Channel(step.channel, snr_db)

    def loss(x: Tensor, identity: Tensor, draws: torch.Generator, _: Precision) -> BatchLoss:
        sent = codec.transmit(x, channel, draws)
        value = retrieval_loss(sent.queries, sent.gallery, identity, step.temperature)
        if step.feature_weight and codec.decoder is not None:
            distance = 1 - F.cosine_similarity(sent.queries, x - mean).mean()
            value = value + step.feature_weight * distance
        return BatchLoss(value, rank1(sent.queries.detach(), sent.gallery, identity))

    return Task(
        name=name,
        setting=f"{step.name}.{setting}",
        architecture=codec.settings,
        parts=codec,
        groups=codec.param_groups(learning),
        learning=learning,
        epochs=epochs,
        batches=FeatureBatches(people.features, people.labels, step.batches, seed),
        loss=loss,
        seed=seed,
        validate=lambda: validate(codec, step.channel, snr_db, strangers, seed),
        keep="best",
        candidates_from=0,
    )
