"""Digital scheme of a bundle at work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import Bundle
from airreid.digital import arithmetic
from airreid.digital.arithmetic import CorruptMessageError
from airreid.digital.coding_tables import read_coding_tables
from airreid.digital.link import CodedLink
from airreid.digital.message import Message, message, padded, smallest_size
from airreid.digital.prior import LARGEST
from airreid.errors import BundleError, InputError
from airreid.inference import Signature, bundle_network
from airreid.payload import Coded, Ideal, Link, Payload
from airreid.scheme import BlockCost, Received, check_link
from airreid.scheme_info import DigitalInfo
from airreid.signal import noise_variance

Array = NDArray[np.float32]


class DigitalScheme:
    """Digital scheme: features to rounded latents, to messages, to payloads, and back."""

    def __init__(self, bundle: Bundle, info: DigitalInfo, threads: int) -> None:
        """Raises :class:`BundleError` for a graph or coding tables that do not fit the scheme."""
        self.info = info
        path = bundle.file(info.coding_tables)
        self.tables = read_coding_tables(bundle.read(info.coding_tables), path)
        prior = self.tables.prior
        if prior.dimensions != info.embedding_dim:
            raise BundleError(f"{path}: {prior.dimensions} tables for {info.embedding_dim} symbols")
        if self.tables.uses != info.bandwidth:
            raise BundleError(f"{path}: codes fill {self.tables.uses} uses, not {info.bandwidth}")
        if len(arithmetic.encode(prior.most_likely(), prior)) > self.longest:
            raise BundleError(f"{path}: the largest payload does not hold the shortest message")
        features = (bundle.backbone_of(info.space_id).feature_dim,)
        encoder = Signature(f"encoder of {info.id}", features, "float32", info.embedding_dim)
        self._encoder = bundle_network(bundle, info.encoder, threads, encoder)

    @property
    def longest(self) -> int:
        """Returns the bits of the largest payload."""
        return self.tables.codes[-1].payload_bits

    @cached_property
    def _links(self) -> list[CodedLink]:
        seed = self.tables.prior.digest[:4]
        return [CodedLink(code, seed) for code in self.tables.codes]

    def latents(self, features: Array) -> NDArray[np.int64]:
        """Encodes float32 (N, feature_dim) -> the integers (N, embedding_dim) that are sent."""
        rounded = np.rint(self._encoder(features).astype(np.float64))
        return np.clip(rounded, -LARGEST, LARGEST).astype(np.int64)

    def gallery(self, features: Array) -> Array:
        return self.latents(features).astype(np.float32)

    def messages(self, features: Array) -> list[Message]:
        """Returns the message of each row; both links send the same."""
        return [message(row, self.tables.prior, self.longest) for row in self.latents(features)]

    def pack(self, features: Array, link: Link) -> list[Payload]:
        check_link(self.info, link)
        sent = [message.bits for message in self.messages(features)]
        if link == "ideal":
            return [Ideal(bits, self.info.bandwidth) for bits in sent]
        payloads: list[Payload] = []
        for bits in sent:
            size = smallest_size(len(bits), self.tables)
            payload = padded(bits, self.tables.codes[size].payload_bits)
            payloads.append(Coded(self._links[size].send(payload), size))
        return payloads

    def unpack(self, payloads: Sequence[Payload], snrs_db: Sequence[float]) -> Received:
        """Decodes payloads; blocks of one payload size together.

        A message that passes its CRC and that no encoder makes is lost as well. Raises
        :class:`InputError` for a payload of another link or of a size that there is not,
        and for ideal bits that are no message.
        """
        embeddings = np.zeros((len(payloads), self.info.embedding_dim), np.float32)
        lost = np.zeros(len(payloads), bool)
        sizes: dict[int, list[int]] = defaultdict(list)
        for i, payload in enumerate(payloads):
            if isinstance(payload, Ideal):
                lost[i] = payload.lost
                if not payload.lost:
                    embeddings[i] = self._latent(payload.bits)
            elif isinstance(payload, Coded) and payload.size < len(self.tables.codes):
                sizes[payload.size].append(i)
            else:
                raise InputError(f"{self.info.id}: no such payload (link {payload.link})")
        for size, rows in sizes.items():
            blocks = [payloads[i] for i in rows]
            symbols = np.stack([block.symbols for block in blocks if isinstance(block, Coded)])
            variance = noise_variance([snrs_db[i] for i in rows])
            decoded = self._links[size].receive(symbols, variance)
            for i, bits, passed in zip(rows, decoded.payload, decoded.passed, strict=True):
                lost[i] = not passed
                if passed:
                    try:
                        embeddings[i] = self._latent(bits)
                    except InputError:
                        lost[i] = True
        return Received(embeddings, lost)

    def _latent(self, bits: NDArray[np.uint8]) -> NDArray[np.int64]:
        try:
            return arithmetic.decode(bits, self.tables.prior)
        except CorruptMessageError as error:
            raise InputError(f"{self.info.id}: {error}") from None

    def cost(self, payload: Payload) -> BlockCost:
        """Counts a block: an ideal code must be told the length of its message, a coded one
        its size."""
        if isinstance(payload, Coded):
            code = self.tables.codes[payload.size]
            return BlockCost(code.uses, code.payload_bits, code.crc_bits, self.tables.side_bits)
        bits = len(payload.bits) if isinstance(payload, Ideal) else 0
        return BlockCost(self.info.bandwidth, bits, 0, self.longest.bit_length())
