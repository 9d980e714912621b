"""Blocks in pieces without processes: what an access point hears and asks for, computed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.nested.pieces import HeardPieces, pieces_of
from airreid.nested.stopping import CANDIDATES, MISMATCH, StoppingSettings, next_uses
from airreid.noise import NoiseStream
from airreid.offline import Replayed, transmit_pieces
from airreid.payload import Analog
from airreid.retrieval import cosine, rank
from airreid.scheme_info import NestedInfo


@dataclass(frozen=True)
class ReplayedPieces(Replayed):
    """Rankings of Q queries that were sent piece by piece against N gallery items."""

    uses: NDArray[np.int64]
    """(Q,): real channel uses heard of each."""
    words: NDArray[np.int64]
    """(Q,): times that more of it was asked for."""


class Identities:
    """Gallery items by identity, for the best score of each."""

    def __init__(self, identity: NDArray[np.int64]) -> None:
        self._order = np.argsort(identity, kind="stable")
        _, self._starts = np.unique(identity[self._order], return_index=True)

    def best(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the best :data:`CANDIDATES` scores of identities, from (n, N) of the items."""
        highest = np.maximum.reduceat(scores[:, self._order], self._starts, axis=1)
        count = min(CANDIDATES, highest.shape[1])
        return np.asarray(np.partition(highest, -count, axis=1)[:, -count:])


def replay_pieces(
    info: NestedInfo,
    settings: StoppingSettings,
    blocks: Sequence[Analog],
    gallery: NDArray[np.float32],
    identity: NDArray[np.int64],
    snr_db: float,
    stream: NoiseStream,
    first_block: int,
) -> ReplayedPieces:
    """Sends whole blocks piece by piece over AWGN until an access point would have heard enough.

    gallery: embeddings (N, bandwidth) with an identity each, (N,). Every block begins with one
    piece. Block i is number ``first_block + i`` of the link whose noise ``stream`` is.
    """
    mismatch = MISMATCH if info.stopping is None else info.stopping.mismatch
    heard = [HeardPieces(info.bandwidth, info.piece) for _ in blocks]
    embeddings = np.zeros((len(blocks), info.bandwidth), np.float32)
    wanted = np.full(len(blocks), info.piece)
    words = np.zeros(len(blocks), np.int64)
    by_identity = Identities(identity)
    while (active := np.flatnonzero(wanted)).size:
        combined_db = []
        for i in active.tolist():
            sent = pieces_of(blocks[i], heard[i].next_piece, int(wanted[i]))
            heard[i].add(transmit_pieces(sent, snr_db, stream, first_block + i), snr_db)
            combined = heard[i].combined(mismatch)
            embeddings[i, : len(combined.symbols)] = combined.symbols
            combined_db.append(combined.snr_db)
        products = embeddings[active].astype(np.float64) @ gallery.astype(np.float64).T
        for i, best, best_db in zip(
            active.tolist(), by_identity.best(products), combined_db, strict=True
        ):
            size = (info.bandwidth, info.piece)
            wanted[i] = next_uses(
                info.stopping, settings, size, heard[i].uses, best, (snr_db, best_db)
            )
            words[i] += int(wanted[i] > 0)
    scores = cosine(embeddings, gallery)
    uses = np.array([pieces.uses for pieces in heard], np.int64)
    return ReplayedPieces(rank(scores), scores, uses, words)
