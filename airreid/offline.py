"""The experiment without processes or FAISS: what crosses the wire, computed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airreid.channels.models import apply, draw_pieces, fade
from airreid.channels.outcome import packet_outcome
from airreid.channels.settings import LinkSettings, link_settings
from airreid.nested.pieces import Block
from airreid.noise import NoiseStream
from airreid.payload import Analog, Coded, Ideal, Link, Payload
from airreid.retrieval import cosine, rank
from airreid.scheme import Received, Scheme

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
    return send(payloads, link_settings(snr_db=snr_db), stream, first_block).payloads


class Arrived(NamedTuple):
    """Blocks as a receiver gets them."""

    payloads: list[Payload]
    snr_db: list[float]
    """SNR that the receiver is told of each, in dB."""


def send(
    payloads: Sequence[Payload], settings: LinkSettings, stream: NoiseStream, first_block: int
) -> Arrived:
    """Sends payloads over a link of any channel model, from block ``first_block`` on.

    The noise is that of ``stream``, whatever the seed of ``settings``.
    """
    numbered = list(enumerate(payloads, first_block))
    if any(isinstance(payload, Ideal) for payload in payloads):
        outcomes = [_packet(payload, settings, stream, block) for block, payload in numbered]
        return Arrived([payload for payload, _ in outcomes], [snr_db for _, snr_db in outcomes])
    if any(not isinstance(payload, Ideal) and payload.piece for payload in payloads):
        pieces = [
            (payload, *_pieces(payload, settings, stream, block))
            for block, payload in numbered
            if not isinstance(payload, Ideal)
        ]
        return Arrived(
            [replace(payload, symbols=received) for payload, received, _ in pieces],
            [snr_db for _, _, snr_db in pieces],
        )
    symbols = [payload.symbols for payload in payloads if not isinstance(payload, Ideal)]
    blocks = np.asarray([block for block, _ in numbered], np.uint64)
    received, met = apply(settings, np.stack(symbols), stream, blocks)
    arrived = [
        replace(payload, symbols=row)
        for payload, row in zip(payloads, received, strict=True)
        if not isinstance(payload, Ideal)
    ]
    return Arrived([*arrived], met.report_db.tolist())


def transmit_pieces(payload: Block, snr_db: float, stream: NoiseStream, block: int) -> Block:
    """Sends pieces of block number ``block``; the noise of each depends on its own number too."""
    received, _ = _pieces(payload, link_settings(snr_db=snr_db), stream, block)
    return replace(payload, symbols=received)


def _packet(
    payload: Payload, settings: LinkSettings, stream: NoiseStream, block: int
) -> tuple[Payload, float]:
    if not isinstance(payload, Ideal):
        return payload, settings.snr_db
    outcome = packet_outcome(settings, stream, block, len(payload.bits), payload.uses)
    lost = replace(payload, bits=payload.bits[:0], lost=True)
    return payload if outcome.arrives else lost, outcome.report_db


def _pieces(
    payload: Analog | Coded, settings: LinkSettings, stream: NoiseStream, block: int
) -> tuple[NDArray[np.float32], float]:
    """Returns the symbols of whole pieces as they arrive, and their SNR in dB."""
    rows = payload.symbols.reshape(-1, payload.piece)
    met = draw_pieces(settings, stream, block, payload.first_piece, len(rows), payload.piece)
    received = fade(rows, met.residual_gain, met.erased) + met.noise
    return received.reshape(-1), float(met.report_db[0])


def receive(
    scheme: Scheme,
    payloads: Sequence[Payload],
    snr_db: float,
    stream: NoiseStream,
    first: int,
    channel: str = "awgn",
) -> Received:
    """Sends payloads through a channel model and unpacks what arrives."""
    settings = link_settings(model=channel, snr_db=snr_db)
    return scheme.unpack(*send(payloads, settings, stream, first))


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
