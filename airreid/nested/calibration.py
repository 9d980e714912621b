"""A stopping rule fitted on people whose blocks are sent, piece by piece, through noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from airreid.nested.stopping import (
    ACCEPTED_LOSS,
    CANDIDATES,
    StoppingRule,
    pieces_wanted,
    probability,
    raw_log_odds,
)
from airreid.noise import NoiseStream
from airreid.retrieval import Labels
from airreid.signal import awgn, noise_variance

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
SNRS_DB = (-10.0, -5.0, 0.0, 5.0, 10.0, 20.0)
"""SNRs at which a rule is fitted."""
LOSSES = (0.0025, 0.005, 0.01, 0.02, 0.05)
"""Accepted losses that a rule has thresholds for."""
MISMATCHES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Variances between two images of a person that are tried."""
REPEATS = 4
"""Times that a block is sent at most where it is repeated."""
_REPEATED_BELOW_DB = 3.0
"""SNR above which no repetition is worth its uses: noise is the lesser part of what differs."""
_SEEDS = 2
_REPEAT_GAIN = 0.01
"""Share of the queries that a further repetition must be able to find."""
_SCATTER = 0.01
"""Difference in top-1 that a few hundred people scatter by."""
_SURE = 50.0
_THRESHOLDS = 240


@dataclass(frozen=True)
class Trial:
    """Queries and a gallery in the symbols of one code, which was not fitted on their people."""

    queries: Array
    """float32 (Q, B), as sent."""
    gallery: Array
    """float32 (N, B)."""
    query_labels: Labels
    gallery_labels: Labels

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Gallery rows by identity, where each identity begins, and the identities."""
        order = np.argsort(self.gallery_labels.identity, kind="stable")
        names, starts = np.unique(self.gallery_labels.identity[order], return_index=True)
        return order, starts, names

    @cached_property
    def _dropped(self) -> Flags:
        """(Q, N), sorted: entries of the query's person and camera."""
        order, _, _ = self._sorted
        same = self.query_labels.identity[:, None] == self.gallery_labels.identity[order]
        camera = self.query_labels.camera[:, None] == self.gallery_labels.camera[order]
        return np.asarray(same & camera)

    def best(self, scores: NDArray[np.floating]) -> tuple[Floats, Flags]:
        """Returns the best scores of identities (Q, n), and whether the best is right (Q,).

        scores: (Q, N) of the gallery's rows in order.
        """
        order, starts, names = self._sorted
        identities = np.maximum.reduceat(
            np.where(self._dropped, -np.inf, scores[:, order]), starts, axis=1
        )
        right = names[identities.argmax(axis=1)] == self.query_labels.identity
        count = min(CANDIDATES, identities.shape[1])
        return np.partition(identities, -count, axis=1)[:, -count:], right

    @cached_property
    def counted(self) -> Flags:
        """(Q,): queries whose person another camera has seen."""
        order, _, _ = self._sorted
        same = self.query_labels.identity[:, None] == self.gallery_labels.identity[order]
        return np.asarray((same & ~self._dropped).any(axis=1))


@dataclass(frozen=True)
class Trajectories:
    """Blocks at one SNR as ever more of them is heard; K steps of a piece."""

    products: Floats
    """(Q, K, n): inner products with the best identities."""
    right: Flags
    """(Q, K): whether the best identity is right."""


def trajectories(
    trials: Sequence[Trial], piece: int, snr_db: float, repeats: int, mismatch: float
) -> Trajectories:
    """Sends every query of the trials, its block ``repeats`` times over, piece by piece."""
    products, rights = [], []
    for number, trial in enumerate(trials):
        for seed in range(_SEEDS):
            stream = NoiseStream(seed, f"stopping {number}").pieces()
            product, right = _heard(trial, piece, snr_db, repeats, mismatch, stream)
            products.append(product[trial.counted])
            rights.append(right[trial.counted])
    return Trajectories(np.concatenate(products), np.concatenate(rights))


def _heard(
    trial: Trial, piece: int, snr_db: float, repeats: int, mismatch: float, stream: NoiseStream
) -> tuple[Floats, Flags]:
    count = trial.queries.shape[1] // piece
    scores: list[NDArray[np.float32]] = []
    variance = np.full(count, float(noise_variance(snr_db)))
    steps: list[tuple[Floats, Flags]] = []
    for step in range(count * repeats):
        place, turn = step % count, step // count
        columns = slice(place * piece, (place + 1) * piece)
        noise = stream.blocks(step * len(trial.queries), len(trial.queries), piece)
        received = awgn(trial.queries[:, columns], noise, snr_db)
        product = received @ trial.gallery[:, columns].T
        if turn:
            scores[place] += (product - scores[place]) / np.float32(turn + 1)
            variance[place] = float(noise_variance(snr_db)) / (turn + 1)
        else:
            scores.append(product)
        weight = (variance.min() + mismatch) / (variance + mismatch)
        total = np.zeros_like(product)
        for share, part in zip(weight, scores, strict=False):
            total += np.float32(share) * part
        # l = product / (best variance + mismatch): told at the SNR of one piece
        scale = (variance.max() + mismatch) / (variance.min() + mismatch)
        best, right = trial.best(total)
        steps.append((best * scale, right))
    return np.stack([best for best, _ in steps], 1), np.stack([right for _, right in steps], 1)


@dataclass(frozen=True)
class Saving:
    """Channel uses and top-1 at one SNR, on the people that a rule was fitted on."""

    snr_db: float
    uses: float
    """Mean uses at the usual accepted loss."""
    top1: float
    whole_top1: float
    """Top-1 when every piece is heard."""


@dataclass(frozen=True)
class Reliability:
    """Blocks by what the rule says of them: ten bins of probability."""

    stated: tuple[float, ...]
    """Mean probability that the best identity is right."""
    observed: tuple[float, ...]
    """Share of the blocks whose best identity is right."""
    blocks: tuple[int, ...]
    people: tuple[int, ...]
    """People whose blocks they are."""
    savings: tuple[Saving, ...] = ()

    @property
    def error(self) -> float:
        """Mean difference between stated and observed, weighted by blocks."""
        stated, observed, blocks = (
            np.asarray(x) for x in (self.stated, self.observed, self.blocks)
        )
        return float(np.abs(stated - observed) @ blocks / max(1, blocks.sum()))


def reliability(log_odds: Floats, right: Flags, people: NDArray[np.int64]) -> Reliability:
    """Compares probabilities with what came true, over blocks (...) of numbered people."""
    stated, observed, people = probability(log_odds).ravel(), right.ravel(), people.ravel()
    place = np.minimum((stated * 10).astype(int), 9)
    rows = [place == number for number in range(10)]
    return Reliability(
        tuple(round(float(stated[row].mean()), 4) if row.any() else 0.0 for row in rows),
        tuple(round(float(observed[row].mean()), 4) if row.any() else 0.0 for row in rows),
        tuple(int(row.sum()) for row in rows),
        tuple(len(np.unique(people[row])) for row in rows),
    )


def fit_rule(trials: Sequence[Trial], piece: int) -> tuple[StoppingRule, Reliability]:
    """Fits a rule on trials of one code, and says how reliable its probabilities are.

    People who are in no other camera do not count. Raises ``ValueError`` without any that do.
    """
    if not any(trial.counted.any() for trial in trials):
        raise ValueError("nobody is seen by two cameras")
    count = trials[0].queries.shape[1] // piece
    heard = {snr_db: trajectories(trials, piece, snr_db, 1, 1.0) for snr_db in SNRS_DB}
    right = np.concatenate([heard[snr_db].right.ravel() for snr_db in SNRS_DB])

    def raw(mismatch: float) -> Floats:
        return np.concatenate(
            [raw_log_odds(heard[snr].products, snr, mismatch).ravel() for snr in SNRS_DB]
        )

    fits = {mismatch: _logistic(raw(mismatch), right) for mismatch in MISMATCHES}
    mismatch = min(fits, key=lambda value: fits[value][2])
    intercept, slope, _ = fits[mismatch]
    stop, repeat, first, fixed, most, savings = [], [], [], [], [], []
    for snr_db in SNRS_DB:
        odds = intercept + slope * raw_log_odds(heard[snr_db].products, snr_db, mismatch)
        stop.append(tuple(_least(odds, heard[snr_db].right, loss) for loss in LOSSES))
        step = stopped_at(odds, stop[-1][LOSSES.index(ACCEPTED_LOSS)])
        first.append(int(np.quantile(step + 1, 0.1)) * piece)
        top1 = heard[snr_db].right.mean(axis=0)
        stopped_right = heard[snr_db].right[np.arange(len(step)), step]
        savings.append(
            Saving(
                snr_db,
                round(float(step.mean() + 1) * piece, 1),
                round(float(stopped_right.mean()), 4),
                round(float(top1[-1]), 4),
            )
        )
        fixed.append((int(np.argmax(top1 >= _everything(top1) - ACCEPTED_LOSS)) + 1) * piece)
        if snr_db >= _REPEATED_BELOW_DB:
            repeat.append(stop[-1])
            most.append(count * piece)
            continue
        longer = trajectories(trials, piece, snr_db, REPEATS, mismatch)
        whole = longer.right.mean(axis=0)[count - 1 :: count]
        steps = (int(np.argmax(whole >= whole[-1] - _REPEAT_GAIN)) + 1) * count
        most.append(steps * piece)
        odds = intercept + slope * raw_log_odds(longer.products[:, :steps], snr_db, mismatch)
        repeat.append(tuple(_least(odds, longer.right[:, :steps], loss) for loss in LOSSES))
    rule = StoppingRule(
        mismatch=mismatch,
        intercept=round(intercept, 5),
        slope=round(slope, 5),
        snrs_db=SNRS_DB,
        accepted_losses=LOSSES,
        stop=tuple(stop),
        repeat=tuple(repeat),
        most_uses=tuple(most),
        first_uses=tuple(first),
        fixed_uses=tuple(fixed),
        people=sum(len(np.unique(trial.query_labels.identity)) for trial in trials),
    )
    people = np.repeat(_people(trials), count)
    reliable = reliability(intercept + slope * raw(mismatch), right, np.tile(people, len(SNRS_DB)))
    return rule, replace(reliable, savings=tuple(savings))


def _people(trials: Sequence[Trial]) -> NDArray[np.int64]:
    """Numbers of the people of :func:`trajectories`, in their order; no two trials share one."""
    numbers, first = [], 0
    for trial in trials:
        _, number = np.unique(trial.query_labels.identity[trial.counted], return_inverse=True)
        numbers += [number + first] * _SEEDS
        first += int(number.max(initial=-1)) + 1
    return np.concatenate(numbers)


def stopped_at(log_odds: Floats, threshold: float) -> NDArray[np.int64]:
    """Returns the step, from 0, at which each block (Q, K) is answered: the last if not before.

    Steps in between are those that a receiver asks for.
    """
    last = log_odds.shape[1] - 1
    step = np.zeros(len(log_odds), np.int64)
    open_rows = np.arange(len(log_odds))
    while len(open_rows):
        odds = log_odds[open_rows, step[open_rows]]
        going_on = (odds < threshold) & (step[open_rows] < last)
        open_rows, odds = open_rows[going_on], odds[going_on]
        wanted = pieces_wanted(odds, threshold, step[open_rows] + 1)
        step[open_rows] = np.minimum(step[open_rows] + wanted, last)
    return step


def _least(log_odds: Floats, right: Flags, loss: float) -> float:
    """Returns the lowest threshold from which on no more than ``loss`` of top-1 is lost.

    Where no threshold finds as many, the one that finds most.
    """
    rows = np.arange(len(right))
    wanted = _everything(right.mean(axis=0)) - loss
    threshold, most = _SURE, 0.0
    for candidate in np.quantile(log_odds[:, :-1], np.linspace(1, 0, _THRESHOLDS)):
        top1 = float(right[rows, stopped_at(log_odds, candidate)].mean())
        if top1 < wanted <= most:
            break
        if top1 > most or top1 >= wanted:
            threshold, most = float(candidate), max(most, top1)
    return round(threshold, 4)


def _everything(top1: Floats) -> float:
    """Returns what sending everything finds, of top-1 after each piece (K,).

    A code that finds clearly fewer with all of its pieces is held to what it finds with some.
    """
    return float(max(top1[-1], top1.max() - _SCATTER))


def _logistic(x: Floats, y: Flags) -> tuple[float, float, float]:
    """Fits the log odds of y as ``a + b x`` by Newton's method: (a, b, mean log loss)."""
    x, a, b = np.clip(x, -30, 30), 0.0, 0.5
    for _ in range(30):
        p = probability(a + b * x)
        weight = np.maximum(p * (1 - p), 1e-9)
        gradient = np.array([(p - y).sum(), ((p - y) * x).sum() + 1e-3 * b])
        cross = (weight * x).sum()
        hessian = np.array([[weight.sum(), cross], [cross, (weight * x * x).sum() + 1e-3]])
        step = np.linalg.solve(hessian, gradient)
        a, b = a - float(step[0]), max(b - float(step[1]), 1e-3)
        if np.abs(step).max() < 1e-8:
            break
    p = np.clip(probability(a + b * x), 1e-9, 1 - 1e-9)
    return a, b, float(-np.mean(np.where(y, np.log(p), np.log(1 - p))))
