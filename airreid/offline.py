"""The experiment without processes or FAISS: what crosses the wire, computed again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airreid.inference import SchemeRunner
from airreid.metrics import cosine, rank
from airreid.noise import NoiseStream
from airreid.signal import awgn


def replay(
    runner: SchemeRunner,
    gallery: NDArray[np.float32],
    queries: NDArray[np.float32],
    snr_db: float,
    stream: NoiseStream,
    first_block: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rankings (Q, N) and scores (Q, N) of query features against gallery features.

    Query i is block ``first_block + i`` of the link whose noise ``stream`` is. The
    symbols are encoded one query at a time, as an edge does.
    """
    symbols = np.concatenate([runner.encode(feature[None]) for feature in queries])
    noise = stream.blocks(first_block, len(symbols), runner.info.bandwidth)
    embeddings = runner.decode(awgn(symbols, noise, snr_db))
    scores = cosine(embeddings, runner.gallery(gallery))
    return rank(scores), scores


def same_ranking(
    order: NDArray[np.int64], other: NDArray[np.int64], scores: NDArray[np.float64], tie: float
) -> NDArray[np.bool_]:
    """Per query: do two rankings (Q, N) agree, but for items closer than ``tie`` in score?"""
    ours = np.take_along_axis(scores, order, 1)
    theirs = np.take_along_axis(scores, other, 1)
    agree = (order == other) | (np.abs(ours - theirs) <= tie)
    return np.asarray(agree.all(axis=1))
