"""Networks of schemes: what every kind of scheme offers to training, loss and export."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.engine.schedule import ParamGroup
from training.models.channel import Channel
from training.recipes.base import OptimizerConfig


class Transmitted(NamedTuple):
    """A batch of features as the access point holds them."""

    queries: Tensor
    """(N, E): embeddings of what has crossed the channel."""
    gallery: Tensor
    """(N, E): gallery vectors of the same features, without the channel's noise."""
    bits: Tensor | None = None
    """Scalar: mean bits per query, of a digital scheme."""

    def objective(self, loss: Tensor, rate_lambda: float | None) -> Tensor:
        """Returns ``loss``, or ``bits + rate_lambda loss`` where the scheme sends bits."""
        if self.bits is None:
            return loss
        return self.bits + (1.0 if rate_lambda is None else rate_lambda) * loss

    @property
    def metrics(self) -> dict[str, float]:
        """Curves beside the loss: ``bits`` of a digital scheme."""
        return {} if self.bits is None else {"bits": float(self.bits.detach())}


class SchemeNetwork(nn.Module, ABC):
    """Everything that one scheme learns: features (N, D) to searchable embeddings (N, E)."""

    settings: dict[str, Any]
    """Arguments of the constructor, from which another one like it is built."""
    embedding_dim: int
    """E, values of what is compared with the gallery."""

    @abstractmethod
    def transmit(
        self, features: Tensor, channel: Channel, draws: torch.Generator, gallery: bool = True
    ) -> Transmitted:
        """Sends features (N, D) through the channel.

        In training mode with what makes the pass differentiable, in evaluation mode as the
        scheme works in use. Without ``gallery`` the gallery vectors are the queries.
        """

    @abstractmethod
    def init_from_pca(self, features: NDArray[np.float32], spread: float) -> None:
        """Makes the scheme a principal component analysis of features (N, D).

        ``spread``: standard deviation of a digital scheme's first component, in integers.
        """

    def param_groups(self, learning: OptimizerConfig) -> tuple[ParamGroup, ...]:
        """Returns the weights with their learning rates and weight decays."""
        return (ParamGroup(self, learning.head_lr or learning.lr, learning.weight_decay),)
