"""Nested code of a bundle at work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.inference import Signature, bundle_network
from airreid.payload import Analog, Heard, Link, Payload
from airreid.scheme import BlockCost, Received, check_link
from airreid.scheme_info import NestedInfo

Array = NDArray[np.float32]


class NestedScheme:
    """Nested scheme: the encoder, and embeddings of any number of pieces."""

    def __init__(self, bundle: Bundle, info: NestedInfo, threads: int) -> None:
        """Raises :class:`airreid.errors.BundleError` for a graph that is not what the manifest
        says."""
        self.info = info
        features = (bundle.backbone_of(info.space_id).feature_dim,)
        encoder = Signature(f"encoder of {info.id}", features, "float32", info.bandwidth)
        self._encoder = bundle_network(bundle, info.encoder, threads, encoder)

    def encode(self, features: Array) -> Array:
        """Encodes float32 (N, feature_dim) -> symbols (N, bandwidth), each piece of power 1."""
        return self._encoder(features)

    def gallery(self, features: Array) -> Array:
        return self.encode(features)

    def pack(self, features: Array, link: Link) -> list[Payload]:
        check_link(self.info, link)
        return [Analog(row, piece=self.info.piece) for row in self.encode(features)]

    def unpack(self, payloads: Sequence[Heard], snrs_db: Sequence[float]) -> Received:
        """Unpacks blocks that begin with their first piece and end after any other.

        Embeddings (N, bandwidth) have zeros where a piece was not heard: their inner products
        with gallery embeddings rank as those of the pieces heard do.
        """
        embeddings = np.zeros((len(payloads), self.info.bandwidth), np.float32)
        for row, payload in zip(embeddings, payloads, strict=True):
            if not isinstance(payload, Analog) or payload.piece != self.info.piece:
                raise InputError(
                    f"{self.info.id}: a payload that is not in pieces of {self.info.piece} uses"
                )
            if payload.first_piece:
                raise InputError(f"{self.info.id}: a block that begins with a later piece")
            row[: len(payload.symbols)] = payload.symbols
        return Received(embeddings, np.zeros(len(payloads), bool))

    def cost(self, payload: Payload) -> BlockCost:
        symbols = payload.symbols if isinstance(payload, Analog) else ()
        return BlockCost(len(symbols), 0, 0, 0)
