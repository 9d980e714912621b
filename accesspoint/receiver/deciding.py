"""Inputs of a decision: the policy in force, and the frames of a track joined."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accesspoint.gallery.searchable import SearchableGallery
from accesspoint.matching.policy import SETTING, MatchPolicy, load_policy
from accesspoint.matching.tracks import TrackFusion
from accesspoint.receiver.requests import Request
from airreid import log
from airreid.errors import InputError


class PolicyReader:
    """Reader of the operator's policy, which parses it only when it has changed."""

    def __init__(self, gallery: SearchableGallery) -> None:
        self._gallery = gallery
        self._text: str | None = None
        self._policy = MatchPolicy()

    def current(self) -> MatchPolicy:
        """Returns the policy in force; one that cannot be read decides nothing and is logged."""
        text = self._gallery.setting(SETTING)
        if text != self._text:
            try:
                policy = load_policy(text)
            except InputError as error:
                log.warning("match_policy_unusable", error=str(error))
                policy = MatchPolicy()
            self._text, self._policy = text, policy
        return self._policy


@dataclass(frozen=True)
class FusedBatch:
    """Embeddings to search for, and what each row rests on."""

    embeddings: NDArray[np.float32]
    """(n, dim)."""
    frames: list[int]
    """Number of frames in each row."""
    snrs_db: list[float]
    """SNR that each row is worth."""


def fuse_tracks(
    tracks: TrackFusion | None,
    requests: Sequence[Request],
    embeddings: NDArray[np.float32],
    snrs_db: list[float],
    piece: int | None = None,
) -> FusedBatch:
    """Joins each block that names a track with the earlier frames of that track.

    embeddings: (n, dim), of the requests in order. ``tracks`` None joins nothing. piece: values of
    a piece where the scheme is nested.
    """
    frames, fused_snrs_db = [1] * len(requests), list(snrs_db)
    if tracks is None:
        return FusedBatch(embeddings, frames, fused_snrs_db)
    fused_embeddings = embeddings.copy()
    for row, request in enumerate(requests):
        if not request.track_id:
            continue
        fused = tracks.add(
            request.id.edge_id,
            request.track_id,
            request.scheme_id,
            captured_at(request),
            embeddings[row],
            snrs_db[row],
            piece,
        )
        fused_embeddings[row] = fused.embedding
        frames[row], fused_snrs_db[row] = fused.frames, fused.snr_db
    return FusedBatch(fused_embeddings, frames, fused_snrs_db)


def captured_at(request: Request) -> float:
    """Returns seconds since 1970; now, if the block does not say."""
    if not request.HasField("captured_at"):
        return time.time()
    return request.captured_at.seconds + request.captured_at.nanos / 1e9
