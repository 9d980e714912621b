"""A linear code in training whose first uses are codes of their own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airreid.codecs.linear import LinearCode
from airreid.errors import InputError
from airreid.signal import EPSILON
from training.engine.retrieval import retrieval_loss
from training.models.channel import Channel
from training.models.codec import normalise_power


class Sent(NamedTuple):
    """Symbols of a batch at one bandwidth, (N, B) each."""

    bandwidth: int
    clean: Tensor
    received: Tensor


class NestedHead(nn.Module):
    """The torch twin of :class:`airreid.codecs.linear.LinearCode`, cut at several bandwidths.

    Features (N, D) -> ``u = (f / |f| - mean) W``. The first B columns, brought to mean power 1,
    are the symbols of bandwidth B.
    """

    def __init__(self, features: int, bandwidths: tuple[int, ...]) -> None:
        """``bandwidths``: rising. Raises ``ValueError`` where they are not."""
        super().__init__()
        if not bandwidths or list(bandwidths) != sorted(set(bandwidths)):
            raise ValueError(f"bandwidths {bandwidths}: give rising ones")
        self.bandwidths = bandwidths
        self.mean = nn.Parameter(torch.zeros(features))
        self.matrix = nn.Parameter(torch.zeros(features, bandwidths[-1]))

    def start_from(self, code: LinearCode) -> None:
        """Takes a code's mean and matrix, scaled so that a column has length 1 in the mean.

        The scale changes no symbol. A code of fewer columns than the largest bandwidth is filled
        with small random ones. Raises :class:`InputError` for features of another size.
        """
        rows, columns = self.matrix.shape
        if code.matrix.shape[0] != rows:
            raise InputError(f"a code of {code.matrix.shape[0]} dimensions for features of {rows}")
        matrix = torch.from_numpy(code.matrix[:, :columns].astype(np.float32))
        matrix = matrix / matrix.square().sum(0).mean().sqrt().clamp_min(EPSILON)
        missing = columns - matrix.shape[1]
        if missing:
            matrix = torch.cat([matrix, 0.01 * torch.randn(rows, missing)], dim=1)
        with torch.no_grad():
            self.mean.copy_(torch.from_numpy(code.mean.astype(np.float32)))
            self.matrix.copy_(matrix)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, D) -> u (N, largest B), before the power is normalised."""
        return (F.normalize(features, dim=1, eps=EPSILON) - self.mean) @ self.matrix

    def send(self, features: Tensor, channel: Channel, draws: torch.Generator) -> list[Sent]:
        """Sends features (N, D) at every bandwidth, with noise of their own each."""
        projected = self(features)
        sent = []
        for bandwidth in self.bandwidths:
            clean = normalise_power(projected[:, :bandwidth])
            sent.append(Sent(bandwidth, clean, channel(clean, draws)[0]))
        return sent

    def code(self) -> LinearCode:
        """Returns the code as it stands, of the largest bandwidth."""
        with torch.no_grad():
            return LinearCode(
                self.mean.detach().cpu().numpy().copy(), self.matrix.detach().cpu().numpy().copy()
            )


def search_loss(sent: list[Sent], labels: Tensor, temperature: float) -> Tensor:
    """Retrieval loss of noisy against noiseless symbols and back, a mean over the bandwidths."""
    losses = [
        retrieval_loss(queries, gallery, labels, temperature)
        for piece in sent
        for queries, gallery in ((piece.received, piece.clean), (piece.clean, piece.received))
    ]
    return torch.stack(losses).mean()
