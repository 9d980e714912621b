"""Interface of every scheme: features to payloads at one end, embeddings at the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from airreid.errors import InputError
from airreid.nested.pieces import PIECE
from airreid.payload import Analog, Coded, Heard, Link, Payload
from airreid.scheme_info import DigitalInfo, NestedInfo, SchemeInfo
from airreid.scheme_kinds import scheme_kind

Array = NDArray[np.float32]
DIGITAL_MOST_USES = 2048
"""Most real uses of a digital scheme whose blocks can be sent in pieces: the code in pieces is
designed where it is used, in up to three seconds for so many."""
DIRECT_SNR_DB = 40.0
"""SNR that a receiver assumes of a block without a channel report: of a direct link."""


@dataclass(frozen=True)
class Received:
    """Embeddings that a receiver decoded, and which blocks were lost.

    Example:
        >>> import airreid, numpy as np
        >>> received = airreid.Received(np.zeros((2, 8), np.float32), np.array([False, True]))
        >>> int(received.lost.sum())
        1
    """

    embeddings: Array
    """float32 (n, embedding_dim); zeros where a block is lost."""
    lost: NDArray[np.bool_]
    """(n,): the bits did not survive the channel, and the receiver knows it."""


class Scheme(Protocol):
    """Way to send a feature."""

    @property
    def info(self) -> SchemeInfo: ...

    def pack(self, features: Array, link: Link) -> list[Payload]:
        """Packs float32 (N, feature_dim) -> a payload for each row."""

    def unpack(self, payloads: Sequence[Heard], snrs_db: Sequence[float]) -> Received:
        """Unpacks payloads as received, of one link, with the channel's report for each."""

    def gallery(self, features: Array) -> Array:
        """Maps features -> (N, embedding_dim), noiseless: compared with decoded embeddings."""

    def cost(self, payload: Payload) -> BlockCost:
        """Counts what a block costs on the air."""


@dataclass(frozen=True)
class BlockCost:
    """Cost of one query on the air, side information included."""

    uses: int
    """Real channel uses of the block."""
    payload_bits: int
    """Bits that the uses carry, check bits left out; 0 where symbols are not bits."""
    crc_bits: int
    side_bits: int
    """Bits that the receiver must be told beside the symbols, without uses of their own here."""


def links_of(info: SchemeInfo) -> tuple[Link, ...]:
    """Returns the payloads that a scheme sends, the usual one first."""
    return scheme_kind(info.kind).links


def check_link(info: SchemeInfo, link: Link) -> None:
    """Raises :class:`InputError` for a link that the scheme has no blocks for."""
    links = links_of(info)
    if link not in links:
        raise InputError(f"scheme {info.id} has no {link} link; it has: {', '.join(links)}")


def check_piece(info: SchemeInfo, payload: Payload) -> None:
    """Raises :class:`InputError` for a payload in other pieces than the scheme's.

    Blocks of a nested scheme come in pieces, those of a digital one whole or in pieces.
    """
    piece = payload.piece if isinstance(payload, Analog | Coded) else 0
    wanted = piece_of(info)
    if piece == wanted or (not piece and not isinstance(info, NestedInfo)):
        return
    expected = f"pieces of {wanted} uses" if wanted else "whole blocks"
    raise InputError(f"scheme {info.id} sends {expected}; this block says pieces of {piece}")


def piece_of(info: SchemeInfo) -> int:
    """Returns the real channel uses of the pieces that a scheme's blocks can be sent in; 0 for a
    scheme of whole blocks.

    A digital scheme can where its bandwidth is whole pieces and no more than
    :data:`DIGITAL_MOST_USES`.
    """
    if isinstance(info, DigitalInfo):
        whole = info.bandwidth % PIECE == 0 and info.bandwidth <= DIGITAL_MOST_USES
        return PIECE if whole else 0
    return info.piece if isinstance(info, NestedInfo) else 0
