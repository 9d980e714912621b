"""Training a digital head and its prior on the features of a frozen backbone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from airreid.codecs.pca import fit_pca
from airreid.errors import InputError
from training.engine.losses import nearest_hit_rate, retrieval_loss
from training.engine.progress import TrainingError
from training.engine.sampling import identity_batches
from training.models.digital import Digital
from training.recipes.steps import DigitalSpec, DigitalStep
from training.steps.linear_codec import split

TRAILING = 0.25
"""Share of the epochs, the last ones, that the best epoch is chosen from."""


@dataclass(frozen=True)
class DigitalProgress:
    """After each epoch; all but the loss on held-out identities with rounded latents."""

    epoch: int
    epochs: int
    loss: float
    bits: float
    """Mean bits per query under the prior."""
    top1: float


def train_digital(
    scheme: DigitalSpec,
    recipe: DigitalStep,
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    cameras: NDArray[np.int64],
    seed: int,
    report: Callable[[DigitalProgress], None],
) -> Digital:
    """Trains one scheme on features (N, D) of identities and cameras (N,).

    Loss: ``bits per query + trade * l``. Noise U(-1/2, 1/2) on every latent stands in
    for rounding. The paper's l is cross-entropy over the training identities, learned
    with the backbone; on a frozen backbone l is here, by our choice, the loss of a
    search among the batch's noisy latents (:func:`training.engine.losses.retrieval_loss`),
    which asks for people apart, whoever they are.

    The rate falls while training goes on, so an early epoch with more bits would
    always look more accurate: the best epoch is that of the last quarter with the
    least loss, computed on rounded latents of held-out people. Deterministic in ``seed``
    and the scheme's id: two schemes of one setting draw other noise, so that their tables
    differ. Raises :class:`TrainingError` when the loss is not finite.
    """
    if scheme.dimensions > features.shape[1]:
        raise InputError(f"scheme {scheme.id}: dimensions above the feature's {features.shape[1]}")
    own = np.random.SeedSequence([seed, *scheme.id.encode("ascii")])
    rng = np.random.Generator(np.random.Philox(own))
    number = int(own.generate_state(1)[0])
    torch.manual_seed(number)
    generator = torch.Generator().manual_seed(number)
    training, held_out = split(labels, cameras)
    train_x, train_y = torch.from_numpy(features[training]), labels[training]
    val_x, val_y = torch.from_numpy(features[held_out]), torch.from_numpy(labels[held_out])
    model = init_from_pca(scheme.dimensions, recipe.start_spread, features[training])
    optimizer = torch.optim.AdamW(
        [
            {"params": model.head.parameters(), "peak": recipe.lr},
            {"params": model.prior.parameters(), "peak": recipe.prior_lr, "weight_decay": 0.0},
        ],
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
    )
    best, state = math.inf, _copy(model)
    for epoch in range(recipe.epochs):
        model.train()
        losses = []
        batches = identity_batches(
            train_y, recipe.identities_per_batch, recipe.images_per_identity, rng
        )
        for step, batch in enumerate(batches):
            at = (epoch + step / len(batches)) / recipe.epochs
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * 0.5 * (1 + math.cos(math.pi * at))
            latent = model.head(train_x[batch])
            noisy = latent + torch.rand(latent.shape, generator=generator) - 0.5
            identity = torch.from_numpy(train_y[batch])
            loss = model.prior.bits(noisy).sum(1).mean() + scheme.trade * retrieval_loss(
                noisy, noisy, identity, recipe.temperature
            )
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise TrainingError(
                    f"{scheme.id}: loss is {losses[-1]} in epoch {epoch + 1}: "
                    f"lower {recipe.name}.lr"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        objective, bits, top1 = _held_out(model, scheme, recipe, val_x, val_y)
        report(DigitalProgress(epoch, recipe.epochs, float(np.mean(losses)), bits, top1))
        if epoch + 1 > (1 - TRAILING) * recipe.epochs and objective < best:
            best, state = objective, _copy(model)
    model.load_state_dict(state)
    return model.eval()


def init_from_pca(dimensions: int, spread: float, features: NDArray[np.float32]) -> Digital:
    """PCA of the features (N, D), scaled, and a prior as wide as its latents."""
    pca = fit_pca(features, dimensions)
    centred = features - pca.mean
    first = float((centred @ pca.components[0]).std())
    scale = spread / max(first, 1e-12)
    deviations = scale * (centred @ pca.components.T).std(axis=0)
    model = Digital(features.shape[1], dimensions, torch.from_numpy(deviations))
    mean, components = torch.from_numpy(pca.mean), torch.from_numpy(pca.components)
    model.head.init_from_pca(mean, components, scale)
    return model


def _copy(model: nn.Module) -> dict[str, Any]:
    return {key: value.clone() for key, value in model.state_dict().items()}


@torch.no_grad()
def _held_out(
    model: Digital, scheme: DigitalSpec, recipe: DigitalStep, features: Tensor, labels: Tensor
) -> tuple[float, float, float]:
    """Loss, mean bits per query and leave-one-out top-1 with rounded latents."""
    model.eval()
    rounded = model.head(features).round()
    bits = float(model.prior.bits(rounded).sum(1).mean())
    search = float(retrieval_loss(rounded, rounded, labels, recipe.temperature))
    return bits + scheme.trade * search, bits, nearest_hit_rate(rounded, labels)
