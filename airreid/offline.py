"""The experiment without processes or FAISS: what crosses the wire, computed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from airreid.digital.bounds import ideal_arrives
from airreid.noise import PIECES_MAX, NoiseStream
from airreid.payload import Analog, Ideal, Link, Payload
from airreid.retrieval import cosine, rank
from airreid.scheme import Received, Scheme
from airreid.signal import awgn

LINK_NAME = "offline"
"""Name of the link that evaluations draw noise from."""


@dataclass(frozen=True)
class Replayed:
    """Rankings of Q queries against N gallery items."""

    order: NDArray[np.int64]
    """(Q, N): gallery positions, best first; a row of -1 where the block was lost."""
    scores: NDArray[np.float64]
    """(Q, N): cosine of each query with each gallery item."""


def transmit(
    payloads: Sequence[Payload], snr_db: float, stream: NoiseStream, first_block: int
) -> list[Payload]:
    """Sends payloads of one link over the AWGN channel, from block ``first_block`` on."""
    if any(isinstance(payload, Ideal) for payload in payloads):
        return [
            payload
            if not isinstance(payload, Ideal)
            or ideal_arrives(len(payload.bits), payload.uses, snr_db)
            else replace(payload, bits=payload.bits[:0], lost=True)
            for payload in payloads
        ]
    if any(isinstance(payload, Analog) and payload.piece for payload in payloads):
        return [
            transmit_pieces(payload, snr_db, stream, first_block + i)
            for i, payload in enumerate(payloads)
            if isinstance(payload, Analog)
        ]
    sent = [payload.symbols for payload in payloads if not isinstance(payload, Ideal)]
    noise = stream.blocks(first_block, len(sent), sent[0].shape[-1])
    received = awgn(np.stack(sent), noise, snr_db)
    return [
        replace(payload, symbols=row)
        for payload, row in zip(payloads, received, strict=True)
        if not isinstance(payload, Ideal)
    ]


def transmit_pieces(payload: Analog, snr_db: float, stream: NoiseStream, block: int) -> Analog:
    """Sends pieces of block number ``block``; the noise of each depends on its own number too."""
    rows = payload.symbols.reshape(-1, payload.piece)
    first = PIECES_MAX * block + payload.first_piece
    noise = stream.pieces().blocks(first, len(rows), payload.piece)
    return replace(payload, symbols=awgn(rows, noise, snr_db).reshape(-1))


def receive(
    scheme: Scheme, payloads: Sequence[Payload], snr_db: float, stream: NoiseStream, first: int
) -> Received:
    """Sends payloads over the channel and unpacks what arrives."""
    arrived = transmit(payloads, snr_db, stream, first)
    return scheme.unpack(arrived, [snr_db] * len(arrived))


def replay(
    scheme: Scheme,
    link: Link,
    gallery: NDArray[np.float32],
    queries: NDArray[np.float32],
    snr_db: float,
    stream: NoiseStream,
    first_block: int,
) -> Replayed:
    """Ranks query features (Q, D) against gallery features (N, D).

    Query i is block ``first_block + i`` of the link whose noise ``stream`` is.
    """
    payloads = pack_each(scheme, link, queries)
    return replay_payloads(scheme, payloads, scheme.gallery(gallery), snr_db, stream, first_block)


def pack_each(scheme: Scheme, link: Link, queries: NDArray[np.float32]) -> list[Payload]:
    """Makes payloads of query features (Q, D), packed one query at a time, as an edge does."""
    return [payload for row in queries for payload in scheme.pack(row[None], link)]


def replay_payloads(
    scheme: Scheme,
    payloads: Sequence[Payload],
    gallery: NDArray[np.float32],
    snr_db: float,
    stream: NoiseStream,
    first_block: int,
) -> Replayed:
    """Ranks payloads that are packed, as :func:`replay` does, against gallery embeddings (N, E).

    Neither depends on the SNR, so a sweep makes them once.
    """
    received = receive(scheme, payloads, snr_db, stream, first_block)
    scores = cosine(received.embeddings, gallery)
    order = rank(scores)
    order[received.lost] = -1
    return Replayed(order, scores)


def same_ranking(
    order: NDArray[np.int64], other: NDArray[np.int64], scores: NDArray[np.float64], tie: float
) -> NDArray[np.bool_]:
    """Says per query whether two rankings (Q, N) agree, but for items closer than ``tie`` in score?

    A lost query, a row of -1, agrees with a lost one alone.
    """
    ours = np.take_along_axis(scores, np.maximum(order, 0), 1)
    theirs = np.take_along_axis(scores, np.maximum(other, 0), 1)
    close = (np.abs(ours - theirs) <= tie) & (order >= 0) & (other >= 0)
    return np.asarray(((order == other) | close).all(axis=1))
