"""Digital blocks in pieces without processes: what an access point hears and asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.digital.scheme import DigitalScheme
from airreid.nested.pieces import pieces_of
from airreid.nested.replay import ReplayedPieces
from airreid.nested.stopping import StoppingSettings
from airreid.noise import NoiseStream
from airreid.offline import transmit_pieces
from airreid.payload import Coded, HeardCoded
from airreid.retrieval import cosine, rank
from airreid.scheme import Received


@dataclass(frozen=True)
class ReceivedPieces(Received):
    """Embeddings of Q blocks that were sent piece by piece, and which of them were lost."""

    uses: NDArray[np.int64]
    """(Q,): real channel uses heard of each."""
    words: NDArray[np.int64]
    """(Q,): times that more of it was asked for."""


def pack_pieces_each(scheme: DigitalScheme, queries: NDArray[np.float32]) -> list[Coded]:
    """Packs query features (Q, D) in pieces, one query at a time, as an edge does."""
    return [block for row in queries for block in scheme.pack_pieces(row[None])]


def receive_pieces(
    scheme: DigitalScheme,
    settings: StoppingSettings,
    blocks: Sequence[Coded],
    snr_db: float,
    stream: NoiseStream,
    first_block: int,
) -> ReceivedPieces:
    """Sends blocks piece by piece over AWGN until an access point would not ask for more.

    blocks: all pieces of each. Every block begins with one piece. Block i is number
    ``first_block + i`` of the link whose noise ``stream`` is.
    """
    heard = [HeardCoded(block.size, block.piece) for block in blocks]
    embeddings = np.zeros((len(blocks), scheme.info.embedding_dim), np.float32)
    lost = np.ones(len(blocks), bool)
    wanted = np.array([block.piece for block in blocks], np.int64)
    words = np.zeros(len(blocks), np.int64)
    while active := np.flatnonzero(wanted).tolist():
        for i in active:
            sent = pieces_of(blocks[i], heard[i].next_piece, int(wanted[i]))
            heard[i].add(transmit_pieces(sent, snr_db, stream, first_block + i), snr_db)
        received = scheme.unpack([heard[i] for i in active], [snr_db] * len(active))
        embeddings[active], lost[active] = received.embeddings, received.lost
        for i in active:
            wanted[i] = scheme.next_uses(heard[i], settings, snr_db) if lost[i] else 0
        words += wanted > 0
    uses = np.array([pieces.uses for pieces in heard], np.int64)
    return ReceivedPieces(embeddings, lost, uses, words)


def replay_coded_pieces(
    scheme: DigitalScheme,
    settings: StoppingSettings,
    blocks: Sequence[Coded],
    gallery: NDArray[np.float32],
    snr_db: float,
    stream: NoiseStream,
    first_block: int,
) -> ReplayedPieces:
    """Ranks blocks sent as :func:`receive_pieces` does against gallery embeddings (N, E)."""
    received = receive_pieces(scheme, settings, blocks, snr_db, stream, first_block)
    scores = cosine(received.embeddings, gallery)
    order = rank(scores)
    order[received.lost] = -1
    return ReplayedPieces(order, scores, received.uses, received.words)
