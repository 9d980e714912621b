"""Codecs of one architecture side by side: trained in one pass, each as if it were alone.

Small networks leave a processor idle between their steps. K of them in one set of tensors take
little longer than one: products become batched products, and the batch normalisations of K
networks with C channels are those of one with K C channels.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.models.channel import Channel, Draws
from training.models.codec import MLP, Codec, normalise_power


class StackedMLP(nn.Module):
    """K copies of :class:`training.models.codec.MLP`: (K, N, inputs) -> (K, N, outputs)."""

    def __init__(self, copies: Sequence[MLP]) -> None:
        """``copies``: of the same layers; their weights are copied."""
        super().__init__()
        linear = [
            [part for part in network.layers if isinstance(part, nn.Linear)] for network in copies
        ]
        norms = [[p for p in network.layers if isinstance(p, nn.BatchNorm1d)] for network in copies]
        self.weights = nn.ParameterList(
            torch.stack([part.weight.detach().T for part in layer]).contiguous()
            for layer in zip(*linear, strict=True)
        )
        self.biases = nn.ParameterList(
            torch.stack([part.bias.detach()[None] for part in layer])
            for layer in zip(*linear, strict=True)
        )
        self.norms = nn.ModuleList(_joined(layer) for layer in zip(*norms, strict=True))
        self.activation = nn.LeakyReLU()

    def forward(self, x: Tensor) -> Tensor:
        copies, rows = x.shape[:2]
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if i:
                channels = x.transpose(0, 1).reshape(rows, -1)
                channels = self.activation(self.norms[i - 1](channels))
                x = channels.view(rows, copies, -1).transpose(0, 1)
            x = torch.baddbmm(bias, x, weight)
        return x

    def write(self, place: int, to: MLP) -> None:
        """Writes the weights of one copy into a network of the same layers."""
        linear = [part for part in to.layers if isinstance(part, nn.Linear)]
        norms = [part for part in to.layers if isinstance(part, nn.BatchNorm1d)]
        with torch.no_grad():
            for part, weight, bias in zip(linear, self.weights, self.biases, strict=True):
                part.weight.copy_(weight[place].T)
                part.bias.copy_(bias[place, 0])
            for norm, joined in zip(norms, self.norms, strict=True):
                rows = slice(place * norm.num_features, (place + 1) * norm.num_features)
                for name, values in norm.state_dict().items():
                    whole = joined.state_dict()[name]
                    values.copy_(whole[rows] if values.ndim else whole)


def _joined(norms: Sequence[nn.BatchNorm1d]) -> nn.BatchNorm1d:
    joined = nn.BatchNorm1d(len(norms) * norms[0].num_features)
    with torch.no_grad():
        for name, values in joined.state_dict().items():
            if values.ndim:
                values.copy_(torch.cat([norm.state_dict()[name] for norm in norms]))
    return joined


class StackSent(NamedTuple):
    """A batch as K access points hold it."""

    queries: Tensor
    """(K, N, E): embeddings of what has crossed each channel."""
    gallery: Tensor
    """(K, N, E): gallery vectors of the same features."""


class CodecStack(nn.Module):
    """K codecs of one kind, bandwidth and depth, each with a training SNR of its own."""

    snr_low: Tensor
    snr_high: Tensor

    def __init__(self, codecs: Sequence[Codec], snr_db: Sequence[tuple[float, float]]) -> None:
        """``codecs`` of FC layers alone; ``snr_db``: bounds that each one's SNR is drawn between.

        Raises ``ValueError`` for codecs of different architectures.
        """
        super().__init__()
        if any(codec.settings != codecs[0].settings for codec in codecs):
            raise ValueError("the codecs of a stack have one architecture")
        self._settings = dict(codecs[0].settings)
        self.copies = len(codecs)
        self.embedding_dim = codecs[0].embedding_dim
        self.encoder = StackedMLP([_layers(codec.encoder.map) for codec in codecs])
        decoders = [codec.decoder for codec in codecs]
        self.decoder = (
            None if decoders[0] is None else StackedMLP([_layers(part) for part in decoders])
        )
        bounds = torch.tensor(snr_db, dtype=torch.float64)
        self.register_buffer("snr_low", bounds[:, 0].clone())
        self.register_buffer("snr_high", bounds[:, 1].clone())
        self._channel = Channel()

    def encode(self, features: Tensor) -> Tensor:
        """Features (K, N, D) -> symbols (K, N, B), each row of mean power 1."""
        return normalise_power(self.encoder(features))

    def decode(self, received: Tensor) -> Tensor:
        """Returns what is compared: (K, N, B) -> (K, N, E)."""
        if self.decoder is None:
            return received
        decoded: Tensor = self.decoder(received)
        return decoded

    def transmit(self, features: Tensor, draws: torch.Generator, gallery: bool = True) -> StackSent:
        """Sends features (K, N, D) through the AWGN channel, a block's SNR within its bounds.

        ``draws``: on the device of the features.
        """
        symbols = self.encode(features)
        queries = self.decode(self.send(symbols, draws))
        return StackSent(queries, self.decode(symbols) if gallery else queries)

    def transmit_prefixes(
        self, features: Tensor, bandwidths: Sequence[int], draws: torch.Generator
    ) -> list[StackSent]:
        """Sends the first B uses of features (K, N, D) as codes of their own, for each B."""
        projected = self.encoder(features)
        pieces = [normalise_power(projected[..., :bandwidth]) for bandwidth in bandwidths]
        return [StackSent(self.send(symbols, draws), symbols) for symbols in pieces]

    def send(self, symbols: Tensor, draws: torch.Generator) -> Tensor:
        """Adds noise to symbols (K, N, B): (K, N, B)."""
        copies, rows, bandwidth = symbols.shape
        share = torch.rand(
            (copies, rows), generator=draws, device=draws.device, dtype=torch.float64
        )
        snr_db = self.snr_low[:, None] + (self.snr_high - self.snr_low)[:, None] * share
        noise = torch.randn(
            (copies * rows, bandwidth), generator=draws, device=draws.device, dtype=symbols.dtype
        )
        conditions = Draws(snr_db.flatten(), noise)
        received, _ = self._channel.apply_draws(symbols.flatten(0, 1), conditions)
        return received.view_as(symbols)

    def prefix(self, bandwidth: int) -> CodecStack:
        """Returns the codecs whose symbols are the first ``bandwidth`` of these, without decoder.

        Raises ``ValueError`` for codecs with a decoder.
        """
        if self.decoder is not None:
            raise ValueError("a decoder reads all symbols")
        part = copy.deepcopy(self)
        part._settings["bandwidth"] = part.embedding_dim = bandwidth
        weights, biases = part.encoder.weights, part.encoder.biases
        weights[-1] = nn.Parameter(weights[-1].detach()[:, :, :bandwidth].contiguous())
        biases[-1] = nn.Parameter(biases[-1].detach()[:, :, :bandwidth].contiguous())
        return part

    def codec(self, place: int) -> Codec:
        """Returns one of the codecs as it stands, in evaluation mode."""
        codec = Codec(**self._settings)
        self.encoder.write(place, _layers(codec.encoder.map))
        if self.decoder is not None:
            self.decoder.write(place, _layers(codec.decoder))
        return codec.eval()


def _layers(part: nn.Module | None) -> MLP:
    if not isinstance(part, MLP):
        raise TypeError("only codecs of FC layers can be stacked: layers=1 or more")
    return part
