"""The second stage: network and nested code together, through noise, on the site's images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from training.engine.batches import ImageBatches
from training.engine.fit import BatchLoss, Task, Validation
from training.engine.precision import Precision
from training.engine.retrieval import rank1, retrieval_loss
from training.engine.schedule import ParamGroup
from training.models.channel import Channel
from training.models.codec import normalise_power
from training.models.nested import NestedHead
from training.onnx_network.module import OnnxModule
from training.onnx_network.operators import UntrainableError
from training.recipes.base import Stage, snr_bounds
from training.recipes.site_steps import SiteStep
from training.site.context import SiteContext, radio_of
from training.site.rows import joint_rows
from training.site.timing import Loss
from training.steps.backbone import new_classifier

_CHUNK = 32


@dataclass(frozen=True)
class Joint:
    """Network and head as the joint training has left them."""

    network: OnnxModule
    head: NestedHead
    epochs: int
    seconds: float


class SiteLoss(nn.Module):
    """Loss of a batch: identities and search, by the feature and by noisy symbols.

    Cross-entropy with label smoothing of the feature and of the received symbols of the largest
    bandwidth; supervised contrastive (Khosla et al., 2020) of the features, and of received
    against noiseless symbols of every bandwidth.
    """

    rivals: Tensor | None

    def __init__(
        self,
        step: SiteStep,
        features: int,
        head: NestedHead,
        classes: int,
        rivals: NDArray[np.bool_] | None = None,
    ) -> None:
        """``rivals``: bool (classes, classes), which are told apart from which; None for all."""
        super().__init__()
        self._step = step
        self._channel = Channel(step.channel, snr_bounds(step.snr_db))
        self.by_feature = new_classifier(features, classes)
        self.by_symbols = new_classifier(head.bandwidths[-1], classes)
        told_apart = None if rivals is None else torch.from_numpy(rivals)
        self.register_buffer("rivals", told_apart, persistent=False)

    def forward(
        self, feature: Tensor, head: NestedHead, labels: Tensor, draws: torch.Generator
    ) -> BatchLoss:
        """feature (N, D), labels (N,)."""
        temperature, smoothing = self._step.temperature, self._step.label_smoothing
        sent = head.send(feature, self._channel, draws)
        last = sent[-1].received
        allowed = None if self.rivals is None else self.rivals[labels]
        left_out = None if allowed is None else ~allowed[:, labels]
        loss = identity_loss(self.by_feature(normalise_power(feature)), labels, smoothing, allowed)
        loss = loss + identity_loss(self.by_symbols(last), labels, smoothing, allowed)
        loss = loss + retrieval_loss(feature, feature, labels, temperature, left_out)
        for piece in sent:
            loss = loss + retrieval_loss(piece.received, piece.clean, labels, temperature, left_out)
        return BatchLoss(loss, rank1(last.detach(), sent[-1].clean.detach(), labels))


def identity_loss(
    logits: Tensor, labels: Tensor, smoothing: float, allowed: Tensor | None
) -> Tensor:
    """Cross-entropy with label smoothing over the classes that are ``allowed``, all for None.

    logits (N, K), labels (N,), allowed bool (N, K). Scalar.
    """
    if allowed is None:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)
    log_probability = logits.masked_fill(~allowed, float("-inf")).log_softmax(1)
    right = log_probability.gather(1, labels[:, None])[:, 0]
    even = log_probability.masked_fill(~allowed, 0.0).sum(1) / allowed.sum(1)
    return -((1 - smoothing) * right + smoothing * even).mean()


def joint_loss(parts: nn.ModuleDict) -> Loss:
    """Makes the loss of images from ``network``, ``head`` and ``loss`` (a :class:`SiteLoss`)."""
    network, head, loss = parts["network"], parts["head"], parts["loss"]

    def batch_loss(
        images: Tensor, identity: Tensor, draws: torch.Generator, precision: Precision
    ) -> BatchLoss:
        with precision.autocast():
            feature = network(images)
        result: BatchLoss = loss(feature.float(), head, identity, draws)
        return result

    return batch_loss


def train_joint(
    step: SiteStep,
    network: OnnxModule,
    head: NestedHead,
    size: tuple[int, int],
    rivals: NDArray[np.bool_] | None,
    epochs: int,
    context: SiteContext,
) -> Joint:
    """Trains network and head together; they are left as the best epoch on held-out people.

    ``size``: height and width of the crops; ``rivals``: see :class:`SiteLoss`.
    """
    torch.manual_seed(context.recipe.seed)
    crops = context.crops(size)
    rows = joint_rows(step.batches, context)
    features = head.matrix.shape[0]
    loss = SiteLoss(step, features, head, rows.classes, rivals)
    parts = nn.ModuleDict({"network": network, "head": head, "loss": loss})
    parts.to(context.distributed.device)
    batches = ImageBatches(
        crops=crops,
        labels=rows.labels,
        rows=rows.rows,
        stages=(Stage(height=size[0], width=size[1], epochs=1),),
        batches=rows.batches,
        augmentation=step.augmentation,
        seed=context.recipe.seed,
        workers=context.recipe.engine.workers,
        distributed=context.distributed,
        cameras=rows.cameras,
    )
    steps, _ = batches(0, 0)
    decay = step.learning.weight_decay
    task = Task(
        name=step.name,
        setting=f"{step.name}.learning",
        architecture={
            "features": features,
            "bandwidths": list(head.bandwidths),
            "identities": rows.classes,
            "epochs": epochs,
        },
        parts=parts,
        groups=(
            ParamGroup(loss, step.classifier_lr, decay),
            ParamGroup(head, step.learning.lr, decay),
            ParamGroup(network, step.learning.lr, decay),
        ),
        learning=step.learning.model_copy(
            update={"warmup_epochs": min(step.warmup_steps / steps, 0.5 * epochs)}
        ),
        epochs=epochs,
        batches=batches,
        loss=joint_loss(parts),
        seed=context.recipe.seed,
        validate=_validator(step, network, head, crops, context),
        keep="last" if context.watcher is None else "best",
    )
    seconds = context.fit(task)
    return Joint(network, head, epochs, seconds)


def features_of(network: OnnxModule, crops: NDArray[np.uint8]) -> Tensor:
    """uint8 crops (n, H, W, 3) -> features (n, D), in evaluation mode, in chunks."""
    network.eval()
    device = next(network.parameters()).device
    with torch.no_grad():
        chunks = [
            network(
                torch.from_numpy(np.ascontiguousarray(crops[start : start + _CHUNK])).to(device)
            )
            for start in range(0, len(crops), _CHUNK)
        ]
    return torch.cat(chunks)


def check_size(size: tuple[int, int]) -> None:
    """Raises :class:`UntrainableError` for a height and width that images cannot be varied at."""
    try:
        Stage(height=size[0], width=size[1], epochs=1)
    except ValidationError:
        raise UntrainableError(
            f"crops of {size[0]}x{size[1]}: training takes sides that are multiples of 8, "
            "32x16 to 512x512"
        ) from None


def _validator(
    step: SiteStep,
    network: OnnxModule,
    head: NestedHead,
    crops: NDArray[np.uint8],
    context: SiteContext,
) -> Callable[[], Validation] | None:
    watcher = context.watcher
    if watcher is None:
        return None
    radio = radio_of(step)
    return lambda: watcher(head, features_of(network, crops[watcher.rows]), radio)
