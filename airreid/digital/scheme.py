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
from airreid.digital.link import CodedLink, Decoded
from airreid.digital.message import Message, message, padded, smallest_size
from airreid.digital.piece_link import PieceLink
from airreid.digital.prior import LARGEST
from airreid.errors import BundleError, InputError
from airreid.inference import Signature, bundle_network
from airreid.nested.stopping import StoppingSettings
from airreid.payload import Coded, Heard, HeardCoded, Ideal, Link, Payload
from airreid.scheme import BlockCost, Received, check_link, piece_of
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

    @cached_property
    def _piece_links(self) -> list[PieceLink]:
        seed, piece = self.tables.prior.digest[:4], piece_of(self.info)
        return [PieceLink(code, piece, seed) for code in self.tables.codes]

    def piece_link(self, size: int) -> PieceLink:
        """Returns the link in pieces of payload size number ``size``.

        Raises :class:`InputError` for a size that there is not.
        """
        if size >= len(self.tables.codes):
            raise InputError(f"{self.info.id}: no payload size {size}")
        return self._piece_links[size]

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

    def pack_pieces(self, features: Array) -> list[Coded]:
        """Packs float32 (N, feature_dim) -> for each row all pieces of its block.

        Raises :class:`InputError` for a scheme whose bandwidth is not whole pieces.
        """
        piece = piece_of(self.info)
        if not piece:
            raise InputError(f"{self.info.id}: its {self.info.bandwidth} uses are no whole pieces")
        payloads = []
        for sent in self.messages(features):
            size = smallest_size(len(sent.bits), self.tables)
            payload = padded(sent.bits, self.tables.codes[size].payload_bits)
            payloads.append(Coded(self._piece_links[size].send(payload), size, piece=piece))
        return payloads

    def unpack(self, payloads: Sequence[Heard], snrs_db: Sequence[float]) -> Received:
        """Decodes payloads; blocks of one payload size together.

        A block in pieces may end after any of them; what was heard of it before counts as well. A
        message that passes its CRC and that no encoder makes is lost as well. Raises
        :class:`InputError` for a payload of another link or of a size that there is not,
        and for ideal bits that are no message.
        """
        embeddings = np.zeros((len(payloads), self.info.embedding_dim), np.float32)
        lost = np.zeros(len(payloads), bool)
        sizes: dict[int, list[int]] = defaultdict(list)
        in_pieces: dict[int, dict[int, HeardCoded]] = defaultdict(dict)
        for i, payload in enumerate(payloads):
            if isinstance(payload, Ideal):
                lost[i] = payload.lost
                if not payload.lost:
                    embeddings[i] = self._latent(payload.bits)
            elif (heard := self._heard(payload, snrs_db[i])) is not None:
                in_pieces[heard.size][i] = heard
            elif isinstance(payload, Coded) and payload.size < len(self.tables.codes):
                sizes[payload.size].append(i)
            else:
                raise InputError(f"{self.info.id}: no such payload (link {payload.link})")
        for size, rows in sizes.items():
            blocks = [payloads[i] for i in rows]
            symbols = np.stack([block.symbols for block in blocks if isinstance(block, Coded)])
            variance = noise_variance([snrs_db[i] for i in rows])
            self._write(rows, self._links[size].receive(symbols, variance), embeddings, lost)
        for size, waiting in in_pieces.items():
            decoded = self.piece_link(size).receive(list(waiting.values()))
            self._write(list(waiting), decoded, embeddings, lost)
        return Received(embeddings, lost)

    def next_uses(self, heard: HeardCoded, settings: StoppingSettings, snr_db: float) -> int:
        """Returns the uses to hear next of a block that is lost so far; 0: give it up."""
        return self.piece_link(heard.size).next_uses(heard, settings, snr_db)

    def _heard(self, payload: Heard, snr_db: float) -> HeardCoded | None:
        """Returns a block in pieces as what was heard of it; None for another."""
        if isinstance(payload, HeardCoded) or not isinstance(payload, Coded) or not payload.piece:
            return payload if isinstance(payload, HeardCoded) else None
        heard = HeardCoded(payload.size, piece_of(self.info))
        heard.add(payload, snr_db)
        return heard

    def _write(
        self, rows: Sequence[int], decoded: Decoded, embeddings: Array, lost: NDArray[np.bool_]
    ) -> None:
        """Writes what was decoded of some blocks into their rows."""
        for i, bits, passed in zip(rows, decoded.payload, decoded.passed, strict=True):
            lost[i] = not passed
            if passed:
                try:
                    embeddings[i] = self._latent(bits)
                except InputError:
                    lost[i] = True

    def _latent(self, bits: NDArray[np.uint8]) -> NDArray[np.int64]:
        try:
            return arithmetic.decode(bits, self.tables.prior)
        except CorruptMessageError as error:
            raise InputError(f"{self.info.id}: {error}") from None

    def cost(self, payload: Payload) -> BlockCost:
        """Counts a block: an ideal code must be told the length of its message, a coded one
        its size, once where it comes in pieces."""
        if isinstance(payload, Coded):
            code = self.tables.codes[payload.size]
            # pieces beyond the bandwidth are sent only where they are asked for
            uses = min(code.uses, len(payload.symbols))
            crc_bits = self.piece_link(payload.size).crc_bits if payload.piece else code.crc_bits
            return BlockCost(uses, code.payload_bits, crc_bits, self.tables.side_bits)
        bits = len(payload.bits) if isinstance(payload, Ideal) else 0
        return BlockCost(self.info.bandwidth, bits, 0, self.longest.bit_length())
