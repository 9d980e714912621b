"""Joint source-channel codecs: features to channel symbols and back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from airreid.codecs.pca import fit_pca
from airreid.signal import EPSILON, POWER
from training.models.channel import Channel
from training.models.scheme_network import SchemeNetwork, Transmitted


def normalise_power(u: Tensor) -> Tensor:
    """Returns ``sqrt(B P) u / max(|u|, eps)`` per block: (N, B) -> (N, B), mean power P each.

    The torch twin of :func:`airreid.signal.normalise_power`.
    """
    norm = u.norm(dim=-1, keepdim=True).clamp_min(EPSILON)
    scale: Tensor = (u.shape[-1] * POWER) ** 0.5 / norm
    return u * scale


class ResidualMLP(nn.Module):
    """A linear path, and beside it an FC-BN-LeakyReLU-FC path that starts at zero.

    The paper draws FC layers and does not print them; the stages are our choice, and
    so is the linear path, which lets the codec start as PCA and never fall behind it.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.residual: nn.Module | None = None
        if hidden:
            last = nn.Linear(hidden, outputs)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.residual = nn.Sequential(
                nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.LeakyReLU(), last
            )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x)
        return out if self.residual is None else out + self.residual(x)


class MLP(nn.Module):
    """FC layers with BN and LeakyReLU between them: (N, inputs) -> (N, outputs).

    The wide side has one layer: an encoder's first layer reduces the dimension, as the
    paper's Fig. 3 says, and a decoder mirrors it. Widths between, and BN-LeakyReLU, are
    our choice; the paper draws them and does not print them.
    """

    def __init__(self, inputs: int, outputs: int, layers: int) -> None:
        super().__init__()
        inner = min(inputs, outputs)
        widths = [inputs, *[inner] * (layers - 1), outputs]
        modules: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(widths)):
            if i:
                modules += [nn.BatchNorm1d(before), nn.LeakyReLU()]
            modules.append(nn.Linear(before, after))
        self.layers = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class Encoder(nn.Module):
    """features (N, D) -> symbols (N, B) of mean power 1."""

    def __init__(self, features: int, bandwidth: int, hidden: int, layers: int = 0) -> None:
        super().__init__()
        self.map = _map(features, bandwidth, hidden, layers)

    def forward(self, features: Tensor) -> Tensor:
        return normalise_power(self.map(features))


class Codec(SchemeNetwork):
    """An encoder, and for the autoencoder a decoder (N, B) -> (N, D)."""

    def __init__(
        self,
        kind: str,
        features: int,
        bandwidth: int,
        hidden: int,
        layers: int = 0,
    ) -> None:
        """``kind``: ``jscc-ae`` has a decoder, ``jscc-fc`` searches among received vectors.

        ``layers`` 0: a linear map with, if ``hidden``, a curved path beside it
        (:class:`ResidualMLP`); else so many FC layers (:class:`MLP`). Raises
        ``ValueError`` for another kind.
        """
        if kind not in ("jscc-ae", "jscc-fc"):
            raise ValueError(f"no codec of kind {kind!r}")
        super().__init__()
        self.kind = kind
        self.bandwidth = bandwidth
        self.settings: dict[str, Any] = {
            "kind": kind,
            "features": features,
            "bandwidth": bandwidth,
            "hidden": hidden,
            "layers": layers,
        }
        self.encoder = Encoder(features, bandwidth, hidden, layers)
        self.decoder = _map(bandwidth, features, hidden, layers) if kind == "jscc-ae" else None
        self.embedding_dim = bandwidth if self.decoder is None else features

    def decode(self, received: Tensor) -> Tensor:
        """Returns what is compared with the gallery: (N, B) -> (N, D), or ``received``."""
        if self.decoder is None:
            return received
        decoded: Tensor = self.decoder(received)
        return decoded

    def transmit(
        self, features: Tensor, channel: Channel, draws: torch.Generator, gallery: bool = True
    ) -> Transmitted:
        """Sends features (N, D) through the channel and decodes them."""
        symbols = self.encoder(features)
        queries = self.decode(channel(symbols, draws)[0])
        return Transmitted(queries, self.decode(symbols) if gallery else queries)

    def init_from_pca(self, features: NDArray[np.float32], spread: float = 1.0) -> None:
        """Makes the encoder the PCA of features (N, D) and the decoder its isometry."""
        pca = fit_pca(features, self.bandwidth)
        mean = torch.from_numpy(pca.mean)
        self.init_encoder_from_pca(mean, torch.from_numpy(pca.components))
        if self.decoder is not None:
            self.init_decoder_as_isometry(torch.from_numpy(features), mean)

    def init_encoder_from_pca(self, mean: Tensor, components: Tensor) -> None:
        """Makes the encoder's linear path a principal component analysis.

        mean (D,), components (B, D) with orthonormal rows.
        """
        if not isinstance(self.encoder.map, ResidualMLP):
            raise TypeError("this encoder has no linear path")
        with torch.no_grad():
            self.encoder.map.linear.weight.copy_(components)
            self.encoder.map.linear.bias.copy_(-components @ mean)

    def init_decoder_as_isometry(self, features: Tensor, mean: Tensor) -> None:
        """Makes the decoder the isometry that best maps symbols back to features (N, D).

        It keeps all inner products, so that the codec ranks exactly as a search among
        the received vectors does. The solution of the orthogonal Procrustes problem
        (Schönemann, 1966) for the encoder as it stands.
        """
        if not isinstance(self.decoder, ResidualMLP):
            raise TypeError("this codec has no linear decoder")
        with torch.no_grad():
            correlation = (features - mean).T @ self.encoder(features)
            left, _, right = torch.linalg.svd(correlation, full_matrices=False)
            self.decoder.linear.weight.copy_(left @ right)
            self.decoder.linear.bias.zero_()


def _map(inputs: int, outputs: int, hidden: int, layers: int) -> ResidualMLP | MLP:
    return MLP(inputs, outputs, layers) if layers else ResidualMLP(inputs, outputs, hidden)
