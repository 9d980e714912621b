"""A nested code as a network: one linear map, its symbols normalised piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from airreid.codecs.nested import NestedCode, nest
from airreid.codecs.statistics import moments
from airreid.nested.pieces import PIECE, check_prefix_weights
from airreid.nested.stopping import StoppingRule
from airreid.signal import EPSILON
from training.models.channel import Channel
from training.models.codec import normalise_power
from training.models.scheme_network import SchemeNetwork, Transmitted


class NestedNetwork(SchemeNetwork):
    """The torch twin of :class:`airreid.codecs.nested.NestedCode`."""

    def __init__(
        self,
        features: int,
        bandwidth: int,
        piece: int = PIECE,
        prefix_weights: Sequence[float] | None = None,
    ) -> None:
        """``prefix_weights``: of the loss with 1, 2, ... pieces in training; None: all alike.

        Raises ``ValueError`` for a bandwidth that is no multiple of ``piece``, and for weights of
        another number of pieces, below 0, or all 0.
        """
        super().__init__()
        if bandwidth % piece:
            raise ValueError(f"{bandwidth} uses are no whole pieces of {piece}")
        self.settings: dict[str, Any] = {
            "features": features,
            "bandwidth": bandwidth,
            "piece": piece,
        }
        weights = torch.ones(bandwidth // piece)
        if prefix_weights is not None:
            self.settings["prefix_weights"] = list(prefix_weights)
            check_prefix_weights(prefix_weights, bandwidth, piece)
            weights = torch.tensor(self.settings["prefix_weights"])
        self._prefix_weights = weights
        self.embedding_dim = bandwidth
        self.piece = piece
        self.mean = nn.Parameter(torch.zeros(features))
        self.matrix = nn.Parameter(torch.zeros(features, bandwidth))
        self.stopping: StoppingRule | None = None
        """Rule by which a receiver says that it has heard enough, where one was fitted."""

    def forward(self, features: Tensor) -> Tensor:
        """Encodes features (N, D) -> symbols (N, B), each piece of mean power 1."""
        projected = (F.normalize(features, dim=1, eps=EPSILON) - self.mean) @ self.matrix
        pieces = projected.view(len(features), -1, self.piece)
        return normalise_power(pieces).view(len(features), -1)

    def transmit(
        self, features: Tensor, channel: Channel, draws: torch.Generator, gallery: bool = True
    ) -> Transmitted:
        """Sends features (N, D); in training mode each block ends after any of its pieces.

        After which is drawn in proportion to the weights of the prefixes, so that the mean loss is
        the weighted one.
        """
        symbols = self(features)
        received, _ = channel(symbols, draws)
        if self.training:
            heard = self._pieces_heard(len(symbols), draws)
            uses = torch.arange(symbols.shape[1], device=symbols.device)
            received = received * (uses < heard.to(symbols.device) * self.piece)
        return Transmitted(received, symbols if gallery else received)

    def _pieces_heard(self, blocks: int, draws: torch.Generator) -> Tensor:
        """Draws after how many pieces each block ends: (blocks, 1)."""
        count = len(self._prefix_weights)
        if "prefix_weights" not in self.settings:
            return torch.randint(1, count + 1, (blocks, 1), generator=draws, device=draws.device)
        weights = self._prefix_weights.to(draws.device)
        return 1 + torch.multinomial(weights, blocks, replacement=True, generator=draws)[:, None]

    def init_from_pca(self, features: NDArray[np.float32], spread: float) -> None:
        statistics = moments(features)
        bandwidth = int(self.matrix.shape[1])
        columns = min(bandwidth, len(statistics.variances))
        self.take(nest(statistics.pca(columns), statistics, bandwidth, self.piece))

    def take(self, code: NestedCode) -> None:
        """Takes the weights of a code of the same size.

        Each piece is scaled to entries of mean square 1, which changes no symbol.
        """
        matrix = torch.from_numpy(code.matrix.astype(np.float32))
        pieces = matrix.view(len(matrix), -1, self.piece)
        scale = pieces.square().mean((0, 2), keepdim=True).sqrt().clamp_min(EPSILON)
        with torch.no_grad():
            self.mean.copy_(torch.from_numpy(code.mean.astype(np.float32)))
            self.matrix.copy_((pieces / scale).reshape(len(matrix), -1))

    def code(self) -> NestedCode:
        """Returns the code as it stands."""
        with torch.no_grad():
            mean, matrix = (x.detach().cpu().numpy().copy() for x in (self.mean, self.matrix))
        return NestedCode(mean, matrix, self.piece)
