"""What a search says in the end, and whether a track's earlier frames have a say in it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import Found
from accesspoint.matching.decision import decide
from accesspoint.matching.policy import SETTING, MatchPolicy, load_policy
from accesspoint.matching.tracks import TrackFusion
from airreid import decisions, log
from airreid.errors import InputError
from airreid.v1 import uplink_pb2


class Policies:
    """The operator's policy as the gallery has it; read anew when it changes."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._read: tuple[str | None, MatchPolicy] = None, MatchPolicy()

    def now(self) -> MatchPolicy:
        """The policy in force; one that cannot be read decides nothing."""
        text = self._gallery.setting(SETTING)
        if text != self._read[0]:
            try:
                self._read = text, load_policy(text)
            except InputError as error:
                log.warning("match_policy_unusable", error=str(error))
                self._read = text, MatchPolicy()
        return self._read[1]


@dataclass(frozen=True)
class Fused:
    """Embeddings to search for, (n, dim), and what each row rests on."""

    embeddings: NDArray[np.float32]
    frames: list[int]
    snrs_db: list[float]


def fuse(
    tracks: TrackFusion | None,
    requests: Sequence[uplink_pb2.QueryRequest],
    embeddings: NDArray[np.float32],
    snrs_db: list[float],
) -> Fused:
    """Joins each block that names a track with the earlier frames of that track."""
    frames, worth = [1] * len(requests), list(snrs_db)
    if tracks is None:
        return Fused(embeddings, frames, worth)
    out = embeddings.copy()
    for row, request in enumerate(requests):
        if not request.track_id:
            continue
        fused = tracks.add(
            request.id.edge_id,
            request.track_id,
            request.scheme_id,
            _captured(request),
            embeddings[row],
            snrs_db[row],
        )
        out[row], frames[row], worth[row] = fused.embedding, fused.frames, fused.snr_db
    return Fused(out, frames, worth)


def _captured(request: uplink_pb2.QueryRequest) -> float:
    if not request.HasField("captured_at"):
        return time.time()
    return request.captured_at.seconds + request.captured_at.nanos / 1e9


def fill(
    response: uplink_pb2.QueryResponse,
    found: Found,
    scheme_id: str,
    snr_db: float,
    policy: MatchPolicy,
) -> None:
    """Writes the decision, if the policy has thresholds for the scheme.

    ``found`` must hold the two best subjects, however many the response names.
    """
    ranked = [(match.subject, match.score) for match in found.matches]
    decision = decide(ranked, scheme_id, snr_db, policy)
    if decision.kind == "unspecified":
        return
    response.decision.kind = decisions.to_wire(decision.kind)
    response.decision.subject = decision.subject
    response.decision.threshold = decision.threshold
    response.decision.margin = decision.margin
    response.decision.false_match_rate = decision.false_match_rate
