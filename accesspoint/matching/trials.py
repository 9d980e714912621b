"""Scores of queries by enrolled people and by impostors, estimated from the enrolled entries.

Each chosen entry is sent as a query through its scheme and the channel, against the
gallery without noise. With its own subject left out it is an impostor's query (leave one
subject out); its own subject's entries of other cameras make it a genuine one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from airreid.errors import InputError
from airreid.nested.pieces import pieces_of
from airreid.noise import NoiseStream
from airreid.offline import receive
from airreid.payload import Analog, Link
from airreid.scheme import Received, Scheme
from airreid.signal import unit_rows

Array = NDArray[np.float32]
Ints = NDArray[np.int64]
_ROWS = 2048
"""Gallery entries that are compared at once; more only where one subject has more."""
_SENT_AT_ONCE = 256


@dataclass(frozen=True)
class Enrolled:
    """Entries to learn from: subject, camera and raw feature of each."""

    features: Array
    """float32 (n, D); may be memory-mapped."""
    subjects: Sequence[str]
    cameras: Sequence[str]

    def __post_init__(self) -> None:
        if not len(self.features) == len(self.subjects) == len(self.cameras):
            raise InputError("features, subjects and cameras must be as many")


class Sender(Protocol):
    """A way from a feature to an embedding, and what that is compared with."""

    def gallery(self, features: Array) -> Array:
        """Returns what features (n, D) are compared as: (n, dim)."""

    def receive(self, features: Array, snr_db: float, first: int) -> Received:
        """Sends features (n, D) at an SNR; ``first`` numbers the first block's noise."""


class Direct:
    """Raw features without a radio: search from an image, verification."""

    def gallery(self, features: Array) -> Array:
        return features

    def receive(self, features: Array, snr_db: float, first: int) -> Received:
        return Received(features, np.zeros(len(features), bool))


class OverTheAir:
    """A scheme over one of its links with white noise."""

    def __init__(self, scheme: Scheme, link: Link, seed: int) -> None:
        self.scheme = scheme
        self._link: Link = link
        self._stream = NoiseStream(seed, f"calibrate {scheme.info.id} {link}")

    def gallery(self, features: Array) -> Array:
        return self.scheme.gallery(features)

    def receive(self, features: Array, snr_db: float, first: int) -> Received:
        payloads = self.scheme.pack(features, self._link)
        return receive(self.scheme, payloads, snr_db, self._stream, first)


class PrefixOverTheAir(OverTheAir):
    """The first pieces of a nested scheme, which are compared in their own space."""

    def __init__(self, scheme: Scheme, uses: int, seed: int) -> None:
        super().__init__(scheme, "analog", seed)
        self._uses = uses

    def gallery(self, features: Array) -> Array:
        return super().gallery(features)[:, : self._uses]

    def receive(self, features: Array, snr_db: float, first: int) -> Received:
        whole = self.scheme.pack(features, self._link)
        payloads = [pieces_of(block, 0, self._uses) for block in whole if isinstance(block, Analog)]
        received = receive(self.scheme, payloads, snr_db, self._stream, first)
        return Received(received.embeddings[:, : self._uses], received.lost)


@dataclass(frozen=True)
class Trials:
    """Scores of Q queries at each of S SNRs; NaN where a block was lost."""

    snrs_db: tuple[float, ...]
    people: Ints
    """(Q,): number of the person who queries, from 0."""
    impostor: Array
    """(S, Q): best score over all other subjects."""
    second_impostor: Array
    """(S, Q): best score of yet another subject than that; -inf if there is none."""
    genuine: Array
    """(S, Q): best score of the own subject by another camera; -inf if there is none."""

    @property
    def lost(self) -> NDArray[np.bool_]:
        """(S, Q): blocks that did not arrive."""
        return np.isnan(self.impostor)


def run_trials(
    enrolled: Enrolled,
    sender: Sender,
    snrs_db: Sequence[float],
    max_queries: int,
    seed: int,
    tick: Callable[[int], None] = lambda _: None,
    new_cameras: bool = False,
) -> Trials:
    """Sends up to ``max_queries`` entries at each SNR and scores them.

    Takes as many entries of each subject as fit, and a random choice of subjects where
    there are more of them than ``max_queries``. Memory: S x Q embeddings and a chunk of
    the gallery's. ``tick`` gets how many steps of :func:`count_steps` were done since
    the last call. Deterministic in ``seed`` for entries in the same order. ``new_cameras``:
    impostors too are compared with entries of other cameras only.
    """
    subject, camera = numbered(enrolled.subjects), numbered(enrolled.cameras)
    rows = choose(subject, max_queries, np.random.default_rng(seed))
    people = subject[rows]
    received = [_send(enrolled, rows, sender, snr_db, i, tick) for i, snr_db in enumerate(snrs_db)]
    tops = [_Tops(len(rows)) for _ in snrs_db]
    for chunk in _by_subject(subject):
        items = unit_rows(sender.gallery(np.asarray(enrolled.features[chunk], np.float32)))
        starts = np.flatnonzero(np.diff(subject[chunk], prepend=-1))
        same = people[:, None] == subject[chunk][None]
        elsewhere = camera[rows][:, None] != camera[chunk][None]
        cross = same & elsewhere
        hidden = same | ~elsewhere if new_cameras else same
        for queries, top in zip(received, tops, strict=True):
            top.update(queries.embeddings @ items.T, hidden, cross, starts)
        tick(len(chunk))
    lost = np.stack([queries.lost for queries in received])
    stacked = [np.stack(parts) for parts in zip(*(top.values() for top in tops), strict=True)]
    for values in stacked:
        values[lost] = np.nan
    return Trials(tuple(snrs_db), people, *stacked)


def numbered(names: Sequence[str]) -> Ints:
    """Numbers names (n,) from 0 in their alphabetical order."""
    return np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)[1].astype(np.int64)


def choose(subject: Ints, max_rows: int, rng: np.random.Generator) -> Ints:
    """Chooses up to ``max_rows`` entries, as evenly over the subjects (n,) as can be."""
    shuffled = rng.permutation(len(subject))
    by_subject = shuffled[np.argsort(subject[shuffled], kind="stable")]
    owner = subject[by_subject]
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    turn = np.arange(len(owner)) - np.repeat(starts, np.diff(np.append(starts, len(owner))))
    lot = rng.permutation(int(subject.max()) + 1 if len(subject) else 0)[owner]
    return np.asarray(np.sort(by_subject[np.lexsort((lot, turn))[:max_rows]]), dtype=np.int64)


def count_steps(entries: int, snrs: int, max_queries: int) -> int:
    """Counts the steps of :func:`run_trials`: queries sent and gallery entries compared."""
    return entries + snrs * min(entries, max_queries)


def _send(
    enrolled: Enrolled,
    rows: Ints,
    sender: Sender,
    snr_db: float,
    snr_index: int,
    tick: Callable[[int], None],
) -> Received:
    """Sends rows as queries; embeddings of length 1. No two queries share their noise."""
    embeddings, lost = [], []
    for start in range(0, len(rows), _SENT_AT_ONCE):
        batch = np.asarray(enrolled.features[rows[start : start + _SENT_AT_ONCE]], np.float32)
        received = sender.receive(batch, snr_db, snr_index * len(rows) + start)
        embeddings.append(unit_rows(received.embeddings))
        lost.append(received.lost)
        tick(len(batch))
    return Received(np.concatenate(embeddings), np.concatenate(lost))


def _by_subject(subject: Ints) -> Iterator[Ints]:
    """Yields rows subject by subject, several whole subjects at a time."""
    order = np.argsort(subject, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(subject[order])) + 1, len(order))
    start = 0
    for i, end in enumerate(ends):
        if end - start >= _ROWS or i == len(ends) - 1:
            yield order[start:end]
            start = int(end)


class _Tops:
    """Best scores of two other subjects and of the own one, over the chunks so far."""

    def __init__(self, queries: int) -> None:
        self._others = np.full((queries, 2), -np.inf, np.float32)
        self._genuine = np.full(queries, -np.inf, np.float32)

    def update(
        self,
        scores: Array,
        hidden: NDArray[np.bool_],
        cross: NDArray[np.bool_],
        starts: NDArray[np.intp],
    ) -> None:
        """Adds scores (Q, n) of n entries, another subject's from each of ``starts`` on.

        ``hidden`` (Q, n) marks entries that are no impostor trial, the own subject's among them;
        ``cross`` the own subject's by another camera. Overwrites ``scores``.
        """
        genuine = np.max(scores, axis=1, where=cross, initial=-np.inf)
        self._genuine = np.maximum(self._genuine, genuine)
        scores[hidden] = -np.inf
        best = np.maximum.reduceat(scores, starts, axis=1)
        both = np.concatenate([self._others, best], axis=1)
        self._others = _best_two(both)

    def values(self) -> tuple[Array, Array, Array]:
        """Returns impostor, second_impostor, genuine: (Q,) each."""
        return self._others[:, 0].copy(), self._others[:, 1].copy(), self._genuine


def _best_two(values: Array) -> Array:
    top = np.partition(values, values.shape[1] - 2, axis=1)[:, -2:]
    return np.asarray(np.sort(top, axis=1)[:, ::-1], dtype=np.float32)
