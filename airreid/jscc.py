"""Joint source-channel code of a bundle at work."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.inference import Signature, bundle_network
from airreid.payload import Analog, Heard, Link, Payload
from airreid.scheme import BlockCost, Received, check_link
from airreid.scheme_info import JsccInfo

Array = NDArray[np.float32]


class JsccScheme:
    """JSCC scheme: the encoder, the decoder and the gallery map."""

    def __init__(self, bundle: Bundle, info: JsccInfo, threads: int, decode: bool = True) -> None:
        """``decode`` False leaves the decoder unloaded: all that an edge needs.

        Raises :class:`airreid.errors.BundleError` for graphs that are not what the manifest says.
        """
        self.info = info
        features = (bundle.backbone_of(info.space_id).feature_dim,)
        encoder = Signature(f"encoder of {info.id}", features, "float32", info.bandwidth)
        self._encoder = bundle_network(bundle, info.encoder, threads, encoder)
        self._decoder: Callable[[Array], Array] | None = None
        if decode and info.decoder:
            symbols, name = (info.bandwidth,), f"decoder of {info.id}"
            decoder = Signature(name, symbols, "float32", info.embedding_dim)
            self._decoder = bundle_network(bundle, info.decoder, threads, decoder)

    def encode(self, features: Array) -> Array:
        """Encodes float32 (N, feature_dim) -> symbols (N, bandwidth), each row of mean power 1."""
        return self._encoder(features)

    def decode(self, received: Array) -> Array:
        """Decodes float32 (N, bandwidth) -> embeddings (N, embedding_dim)."""
        return received if self._decoder is None else self._decoder(received)

    def decoding_by(self, decoder: Callable[[Array], Array]) -> Self:
        """Returns the scheme with another decoder, (N, bandwidth) -> (N, any dimension)."""
        other = copy.copy(self)
        other._decoder = decoder
        return other

    def gallery(self, features: Array) -> Array:
        symbols = self.encode(features)
        return symbols if self.info.gallery == "encoder" else self.decode(symbols)

    def pack(self, features: Array, link: Link) -> list[Payload]:
        check_link(self.info, link)
        return [Analog(row) for row in self.encode(features)]

    def unpack(self, payloads: Sequence[Heard], snrs_db: Sequence[float]) -> Received:
        symbols = [payload.symbols for payload in payloads if isinstance(payload, Analog)]
        if len(symbols) != len(payloads) or any(
            payload.piece for payload in payloads if isinstance(payload, Analog)
        ):
            raise InputError(f"{self.info.id}: a payload that is not a whole analog block")
        embeddings = self.decode(np.stack(symbols))
        return Received(embeddings, np.zeros(len(payloads), bool))

    def cost(self, payload: Payload) -> BlockCost:
        return BlockCost(self.info.bandwidth, 0, 0, 0)
