"""Training a codec on the features of a frozen backbone, through noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from airreid.codecs.pca import fit_pca
from airreid.errors import InputError
from training.engine.losses import retrieval_loss
from training.engine.progress import TrainingError
from training.engine.sampling import identity_batches
from training.models.codec import Codec, awgn
from training.recipes.scheme_ids import parse_scheme
from training.recipes.steps import CodecStep

HELD_OUT = 6
"""Every sixth identity is held out to choose the best epoch on, and every sixth camera
with it where there are at least ``HELD_OUT`` cameras."""


@dataclass(frozen=True)
class CodecProgress:
    """After each epoch."""

    epoch: int
    epochs: int
    loss: float
    top1: float
    """On held-out identities, averaged over SNRs of the training range."""


def train_codec(
    scheme_id: str,
    recipe: CodecStep,
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    cameras: NDArray[np.int64],
    seed: int,
    report: Callable[[CodecProgress], None],
) -> Codec:
    """Trains one scheme on features (N, D) of identities and cameras (N,): its best epoch.

    Query features pass through power normalisation and AWGN with an SNR drawn for
    each block, gallery features pass without noise, and a query must find its
    identity among them. The encoder is trained first, starting as PCA and searching
    among received vectors; for JSCC AE a decoder is then put behind it, starting as
    an isometry, and both are trained on. Every start competes for the best epoch, so
    that no step ends worse on held-out people than it began. Deterministic in
    ``seed``.
    """
    kind, bandwidth = parse_scheme(scheme_id)
    if bandwidth > features.shape[1]:
        raise InputError(f"scheme {scheme_id}: bandwidth above the feature's {features.shape[1]}")
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, bandwidth])))
    training, held_out = split(labels, cameras)
    train_x, train_y = torch.from_numpy(features[training]), labels[training]
    val_x, val_y = torch.from_numpy(features[held_out]), labels[held_out]
    pca = fit_pca(features[training], bandwidth)
    mean = torch.from_numpy(pca.mean)
    codec = Codec("jscc-fc", features.shape[1], bandwidth, recipe.hidden)
    codec.init_encoder_from_pca(mean, torch.from_numpy(pca.components))
    total = recipe.epochs + (recipe.decoder_epochs if kind == "jscc-ae" else 0)

    def improve(codec: Codec, epochs: int, lr: float, first: int) -> None:
        """Trains for some epochs and leaves the codec at its best, start included."""
        optimizer = torch.optim.AdamW(codec.parameters(), lr=lr, weight_decay=recipe.weight_decay)
        best = _held_out_top1(codec, recipe, val_x, val_y, seed)
        state = {key: value.clone() for key, value in codec.state_dict().items()}
        for epoch in range(epochs):
            codec.train()
            batches = identity_batches(
                train_y, recipe.identities_per_batch, recipe.images_per_identity, rng
            )
            losses = []
            for step, batch in enumerate(batches):
                at = (epoch + step / len(batches)) / epochs
                for group in optimizer.param_groups:
                    group["lr"] = lr * 0.5 * (1 + math.cos(math.pi * at))
                loss = _loss(codec, recipe, train_x[batch], train_y[batch], mean, generator)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                losses.append(float(loss.detach()))
                if not math.isfinite(losses[-1]):
                    raise TrainingError(
                        f"{scheme_id}: loss is {losses[-1]} in epoch {first + epoch + 1}: lower "
                        f"{recipe.name}.lr or {recipe.name}.decoder_lr"
                    )
            top1 = _held_out_top1(codec, recipe, val_x, val_y, seed)
            report(CodecProgress(first + epoch, total, float(np.mean(losses)), top1))
            if top1 > best:
                best = top1
                state = {key: value.clone() for key, value in codec.state_dict().items()}
        codec.load_state_dict(state)
        codec.eval()

    improve(codec, recipe.epochs, recipe.lr, 0)
    if kind == "jscc-fc":
        return codec
    whole = Codec(kind, features.shape[1], bandwidth, recipe.hidden)
    whole.encoder.load_state_dict(codec.encoder.state_dict())
    whole.eval()
    whole.init_decoder_as_isometry(train_x, mean)
    improve(whole, recipe.decoder_epochs, recipe.decoder_lr, recipe.epochs)
    return whole


def split(
    labels: NDArray[np.int64], cameras: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks (N,) of what to train on and what to choose the best epoch on.

    They share no identity, and no camera where what is left without them is enough: the
    held-out people need pictures by two held-out cameras. Raises :class:`InputError`
    for too few identities.
    """
    identity = labels % HELD_OUT == 0
    camera = cameras % HELD_OUT == 0
    both = identity & camera
    if all(len(set(cameras[both & (labels == one)])) >= 2 for one in set(labels[identity])):
        training, held_out = ~identity & ~camera, both
    else:
        training, held_out = ~identity, identity
    counts = np.bincount(labels[held_out])
    if len(set(labels[training].tolist())) < 2 or counts.max(initial=0) < 2:
        raise InputError(
            "too few people or pictures to train a codec on: it needs three identities or "
            "more, with two pictures each"
        )
    return training, held_out


def _loss(
    codec: Codec,
    recipe: CodecStep,
    features: Tensor,
    labels: NDArray[np.int64],
    mean: Tensor,
    generator: torch.Generator,
) -> Tensor:
    symbols = codec.encoder(features)
    span = recipe.snr_db_max - recipe.snr_db_min
    snr_db = recipe.snr_db_min + span * torch.rand(len(symbols), generator=generator)
    queries = codec.decode(awgn(symbols, snr_db, generator))
    gallery = codec.decode(symbols)
    loss = retrieval_loss(queries, gallery, torch.from_numpy(labels), recipe.temperature)
    if recipe.keep_weight and codec.decoder is not None:
        loss = loss + recipe.keep_weight * (
            1 - F.cosine_similarity(queries, features - mean).mean()
        )
    return loss


@torch.no_grad()
def _held_out_top1(
    codec: Codec, recipe: CodecStep, features: Tensor, labels: NDArray[np.int64], seed: int
) -> float:
    """Leave-one-out top-1 of held-out features, averaged over four SNRs, fixed noise."""
    codec.eval()
    generator = torch.Generator().manual_seed(seed)
    symbols = codec.encoder(features)
    gallery = F.normalize(codec.decode(symbols), dim=1)
    identity = torch.from_numpy(labels)
    hits = []
    for snr_db in torch.linspace(recipe.snr_db_min, recipe.snr_db_max, 4):
        received = awgn(symbols, snr_db.expand(len(symbols)), generator)
        scores = F.normalize(codec.decode(received), dim=1) @ gallery.T
        best = scores.fill_diagonal_(float("-inf")).argmax(1)
        hits.append(float((identity[best] == identity).float().mean()))
    return float(np.mean(hits))
