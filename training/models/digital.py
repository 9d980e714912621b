"""Networks of a digital scheme: features to a latent, and how likely each latent is."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from airreid.codecs.pca import fit_pca
from training.engine.schedule import ParamGroup
from training.models.channel import Channel
from training.models.scheme_network import SchemeNetwork, Transmitted
from training.recipes.base import OptimizerConfig

FILTERS = (1, 3, 3, 3, 1)
"""Widths of a dimension's CDF network, as in the source."""
_STD_OF_LOGISTIC = 1.8138
"""pi / sqrt(3): the standard deviation of the logistic distribution of scale 1."""
_NARROWEST = 0.2
"""Least standard deviation that a CDF network starts with, in integers."""
_LEAST_STEP = 1e-7
"""Least rise of the logits over one integer that a probability is computed from."""
_NATS_TO_BITS = 1.0 / float(torch.log(torch.tensor(2.0, dtype=torch.float64)))


class DigitalHead(nn.Module):
    """One FC layer: features (N, D) -> latent (N, d), float32, to be rounded to integers."""

    def __init__(self, features: int, dimensions: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, dimensions)

    def forward(self, features: Tensor) -> Tensor:
        latent: Tensor = self.linear(features)
        return latent

    def init_from_pca(self, mean: Tensor, components: Tensor, scale: float) -> None:
        """Makes the layer a principal component analysis times ``scale``.

        mean (D,), components (d, D) with orthonormal rows; ``scale`` in integers per
        unit of the feature: the inverse of the quantisation step.
        """
        with torch.no_grad():
            self.linear.weight.copy_(scale * components)
            self.linear.bias.copy_(-scale * (components @ mean))


class EntropyBottleneck(nn.Module):
    """A learned density for each dimension of the latent, all dimensions independent.

    The cumulative distribution c of a dimension is a small network from a number to a
    number that can only rise: matrices made positive by a softplus, and between them
    ``x + tanh(a) tanh(x)``. Source: Ballé, Minnen, Singh, Hwang, Johnston, *Variational
    image compression with a scale hyperprior*, ICLR 2018, appendix 6.1. CompressAI's class
    of this name is the same density.
    """

    def __init__(self, dimensions: int, spread: Tensor | None = None) -> None:
        """``spread``: standard deviations (d,) to start with, in integers; 1 if left out."""
        super().__init__()
        self.dimensions = dimensions
        self.matrices = nn.ParameterList()
        self.biases = nn.ParameterList()
        self.gates = nn.ParameterList()
        for inputs, outputs in pairwise(FILTERS):
            self.matrices.append(torch.zeros(dimensions, outputs, inputs))
            offset = torch.rand(dimensions, outputs, 1) - 0.5 if outputs > 1 else torch.zeros(1)
            self.biases.append(offset.expand(dimensions, outputs, 1).clone())
        for outputs in FILTERS[1:-1]:
            self.gates.append(torch.zeros(dimensions, outputs, 1))
        self.init_spread(torch.ones(dimensions) if spread is None else spread)

    def init_spread(self, spread: Tensor) -> None:
        """Makes the densities as wide as standard deviations (d,), in integers."""
        layers = len(FILTERS) - 1
        widths = spread.detach().float().clamp_min(_NARROWEST)
        gain = (_STD_OF_LOGISTIC / widths) ** (1.0 / layers)
        with torch.no_grad():
            for matrix in self.matrices:
                weight = torch.log(torch.expm1(gain / matrix.shape[2]))
                matrix.copy_(weight[:, None, None].expand_as(matrix))

    def logits(self, x: Tensor) -> Tensor:
        """Returns ln c / (1 - c) at x: (N, d) -> (N, d)."""
        hidden = x.T[:, None, :]
        for i, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            hidden = F.softplus(matrix) @ hidden + bias
            if i < len(self.gates):
                hidden = hidden + torch.tanh(self.gates[i]) * torch.tanh(hidden)
        return hidden[:, 0, :].T

    def cumulative(self, x: Tensor) -> Tensor:
        """Returns c at x, in 0..1: (N, d) -> (N, d)."""
        return torch.sigmoid(self.logits(x))

    def bits(self, latent: Tensor) -> Tensor:
        """Returns ``-log2(c(x + 1/2) - c(x - 1/2))`` of each element: (N, d) -> (N, d).

        At an integer: the length of that symbol's code. With u and l the logits at the
        two ends, ``c(u) - c(l) = s(u) s(-l) (1 - exp(l - u))``, s the sigmoid, whose
        logarithm keeps its digits and its gradient however improbable x is.
        """
        upper, lower = self.logits(torch.cat([latent + 0.5, latent - 0.5])).chunk(2)
        step = (upper - lower).clamp_min(_LEAST_STEP)
        nats = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-step))
        return -_NATS_TO_BITS * nats


class DigitalCodec(SchemeNetwork):
    """A head and the prior of its latents: what one digital scheme learns."""

    def __init__(self, features: int, dimensions: int, spread: Tensor | None = None) -> None:
        """``spread``: see :class:`EntropyBottleneck`."""
        super().__init__()
        self.settings: dict[str, Any] = {"features": features, "dimensions": dimensions}
        self.embedding_dim = dimensions
        self.head = DigitalHead(features, dimensions)
        self.prior = EntropyBottleneck(dimensions, spread)

    def transmit(
        self, features: Tensor, channel: Channel, draws: torch.Generator, gallery: bool = True
    ) -> Transmitted:
        """Quantises latents of features (N, D); no channel changes what arrives.

        In training noise U(-1/2, 1/2) on every latent stands in for rounding; in evaluation
        latents are rounded. Queries and gallery are the same vectors.
        """
        latent = self.head(features)
        if self.training:
            noise = torch.rand(latent.shape, generator=draws, device=draws.device) - 0.5
            quantised = latent + noise.to(latent.device)
        else:
            quantised = latent.round()
        return Transmitted(quantised, quantised, self.prior.bits(quantised).sum(1).mean())

    def init_from_pca(self, features: NDArray[np.float32], spread: float) -> None:
        """Makes the head PCA of features (N, D), scaled, and the prior as wide as its latents.

        ``spread``: standard deviation of the first component, in integers.
        """
        pca = fit_pca(features, self.prior.dimensions)
        components = (features - pca.mean) @ pca.components.T
        scale = spread / max(float(components[:, 0].std()), 1e-12)
        mean, directions = torch.from_numpy(pca.mean), torch.from_numpy(pca.components)
        self.head.init_from_pca(mean, directions, scale)
        self.prior.init_spread(torch.from_numpy(scale * components.std(axis=0)))

    def param_groups(self, learning: OptimizerConfig) -> tuple[ParamGroup, ...]:
        """Lets the head decay by itself; the prior, a density, does not decay."""
        decay = learning.head_weight_decay
        head_lr = learning.head_lr or learning.lr
        return (
            ParamGroup(self.head, head_lr, learning.weight_decay if decay is None else decay),
            ParamGroup(self.prior, learning.prior_lr or head_lr, 0.0),
        )
