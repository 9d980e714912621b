"""Fusion of several frames of one person into one embedding.

A camera that follows somebody sends several blocks with one track id. Their embeddings,
each of length 1, are averaged with weights ``sqrt(s / (1 + s))``, s the linear SNR: the
share of a received vector's length that is signal. Of the rules compared in
docs/matching.md this one is best or near it both at equal and at mixed SNRs.

An average is less noisy than its frames, so strangers' scores rise as well, and a
threshold made for one frame's SNR would let them in. The fused embedding therefore comes
with the SNR that it is worth, the sum of its frames' (maximal-ratio combining, which no
weighting exceeds), and a decision must look its threshold up there.

Frames of a nested code may end after any piece. They are joined piece by piece, and are worth the
SNR at which a single frame would have as large a share of signal.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from airreid.signal import SNR_DB_MAX, SNR_DB_MIN, unit_rows
from airreid.validation import FiniteModel


class TrackSettings(FiniteModel):
    """Bounds of what is remembered. Memory: max_tracks x max_frames embeddings."""

    max_frames: Annotated[int, Field(ge=1, le=64)] = 8
    """Frames of a track that make an answer, the newest."""
    max_age_s: Annotated[float, Field(gt=0.0, le=3600.0)] = 5.0
    """Age, against the newest frame of the track, from which on a frame is dropped."""
    max_tracks: Annotated[int, Field(ge=1, le=100_000)] = 512
    """Tracks at once; the one heard of least recently is forgotten for a new one."""


@dataclass(frozen=True)
class FusedTrack:
    """Embedding of a track's frames together."""

    embedding: NDArray[np.float32]
    """(D,), length 1, or zeros where the frames cancel out."""
    frames: int
    """Number of frames in it."""
    snr_db: float
    """SNR to look the threshold up at."""


@dataclass(frozen=True)
class _Frame:
    time: float
    unit: NDArray[np.float32]
    snr: float
    """Linear."""
    length: float
    """Length of the embedding as decoded."""


@dataclass
class _Track:
    scheme_id: str
    frames: list[_Frame] = field(default_factory=list)
    """Frames by rising time."""


class TrackFusion:
    """Memory of the latest frames of the latest tracks; safe in any thread."""

    def __init__(self, settings: TrackSettings) -> None:
        self._settings = settings
        self._tracks: OrderedDict[tuple[str, str], _Track] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of tracks that are remembered."""
        return len(self._tracks)

    def add(
        self,
        edge_id: str,
        track_id: str,
        scheme_id: str,
        time: float,
        embedding: NDArray[np.float32],
        snr_db: float,
        piece: int | None = None,
    ) -> FusedTrack:
        """Adds a frame and returns what its track is worth now.

        time: seconds on any clock, the same for all frames of a track; frames may come
        out of order, and one that is too old for its track is answered alone and not
        kept. The same frame again, with the same time and embedding, counts once.
        embedding: float32 (D,) as decoded; lost blocks have none and must not be added.
        piece: values of a piece of a nested code; pieces that were not heard are zeros.
        A track that changes its scheme, or D, begins anew. Raises ``ValueError`` for a
        time that is not finite and for anything but one vector.
        """
        if not math.isfinite(time) or embedding.ndim != 1:
            raise ValueError("a frame needs a finite time and one embedding")
        clamped = min(max(snr_db, SNR_DB_MIN), SNR_DB_MAX) if snr_db == snr_db else SNR_DB_MIN
        unit, length = unit_rows(embedding[None])[0], float(np.linalg.norm(embedding))
        frame = _Frame(time, unit, 10.0 ** (clamped / 10.0), length)
        with self._lock:
            frames = self._keep(edge_id, track_id, scheme_id, frame)
        return fuse_frames([past.unit for past in frames], [past.snr for past in frames], piece)

    def earlier(
        self, edge_id: str, track_id: str, scheme_id: str, time: float
    ) -> list[tuple[NDArray[np.float32], float]]:
        """Returns the embeddings as decoded, and SNRs in dB, of what is remembered of a track.

        time: of the frame that they are to help, which is not among them. Empty for a track that
        is not known, has changed its scheme, or is too old.
        """
        with self._lock:
            track = self._tracks.get((edge_id, track_id))
            if track is None or track.scheme_id != scheme_id:
                return []
            age = self._settings.max_age_s
            frames = [frame for frame in track.frames if 0 < abs(time - frame.time) <= age]
        return [(frame.unit * frame.length, 10.0 * math.log10(frame.snr)) for frame in frames]

    def _keep(self, edge_id: str, track_id: str, scheme_id: str, frame: _Frame) -> list[_Frame]:
        """Adds a frame to its track; returns the frames to fuse, this one among them."""
        key = (edge_id, track_id)
        track = self._tracks.get(key)
        if track is None or track.scheme_id != scheme_id or _other_length(track, frame):
            track = self._tracks[key] = _Track(scheme_id)
        self._tracks.move_to_end(key)
        while len(self._tracks) > self._settings.max_tracks:
            self._tracks.popitem(last=False)
        copy = next((past for past in track.frames if _same(past, frame)), None)
        frame = copy or frame
        merged = track.frames if copy else sorted([*track.frames, frame], key=_time_of)
        since = merged[-1].time - self._settings.max_age_s
        recent = [past for past in merged if past.time >= since]
        track.frames = recent[-self._settings.max_frames :]
        return track.frames if any(past is frame for past in track.frames) else [frame]

    def forget(self) -> None:
        """Drops all tracks: what was decoded before no longer fits the gallery."""
        with self._lock:
            self._tracks.clear()


def _time_of(frame: _Frame) -> float:
    return frame.time


def _same(frame: _Frame, other: _Frame) -> bool:
    return frame.time == other.time and np.array_equal(frame.unit, other.unit)


def _other_length(track: _Track, frame: _Frame) -> bool:
    return bool(track.frames) and track.frames[0].unit.shape != frame.unit.shape


def fuse_frames(
    units: list[NDArray[np.float32]], snrs: list[float], piece: int | None = None
) -> FusedTrack:
    """Fuses frames of length 1, (D,) each, weighted by their linear SNRs.

    piece: values of a piece of a nested code; those of pieces that were not heard are zeros.
    """
    snr = np.asarray(snrs, dtype=np.float64)
    if piece is not None:
        pieces = np.stack(units).reshape(len(units), -1, piece)
        heard = np.asarray(pieces.any(axis=2))
        if (heard != heard[0]).any():
            return _fuse_pieces(pieces, heard, snr)
    weights = np.sqrt(snr / (1.0 + snr)).astype(np.float32)
    embedding = unit_rows((weights @ np.stack(units))[None])[0]
    snr_db = min(10.0 * math.log10(float(snr.sum())), SNR_DB_MAX)
    return FusedTrack(embedding, len(units), snr_db)


def _fuse_pieces(
    pieces: NDArray[np.float32], heard: NDArray[np.bool_], snr: NDArray[np.float64]
) -> FusedTrack:
    """Fuses frames (n, pieces, values) that were heard to different pieces.

    Each piece is the linear estimate of least mean square error by all frames that have it
    (Wiener): a piece of power 1 and of SNR p in all is worth a share of signal p / (1 + p).
    """
    received = pieces * np.sqrt(heard.sum(axis=1) * (1.0 + 1.0 / snr))[:, None, None]
    together = snr @ heard
    estimate = np.einsum("f,fpv->pv", snr, received) / (1.0 + together)[:, None]
    share = together[together > 0] / (1.0 + together[together > 0])
    signal = min(float(share.mean()), 1.0 - 1e-9)
    snr_db = min(10.0 * math.log10(signal / (1.0 - signal)), SNR_DB_MAX)
    return FusedTrack(unit_rows(estimate.reshape(1, -1).astype(np.float32))[0], len(snr), snr_db)
