"""When enough of a block was heard: the odds of the best identity, and what they must be.

A gallery entry x of the right person and the received symbols y differ by the channel's noise, of
variance s² per use, and by what changes between two images of a person, of variance w per use. As
all x of one prefix have the same length, the log likelihood of an entry is ``y x / (s² + w)`` but
for a constant, and the odds that the best identity is right follow from the best few. A block
is answered once they pass a threshold, which depends on the SNR and on the loss in top-1 that is
accepted against sending everything. All of it is fitted on held-out people
(:mod:`airreid.nested.calibration`).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from airreid.flags import Flag, Settings
from airreid.noise import PIECES_MAX
from airreid.signal import noise_variance
from airreid.validation import FiniteModel

CANDIDATES = 10
"""Best identities whose scores the odds are made of."""
ACCEPTED_LOSS = 0.005
"""Loss in top-1 that is accepted against sending everything unless something else is asked for."""
MISMATCH = 1.0
"""Variance per use between two images of a person where nothing was fitted."""
FEEDBACK_BITS = 16
"""Bits that a word on more pieces takes on the downlink: which of a camera's last 256 blocks, and
how many pieces of 256. What gRPC adds for want of a radio is not counted."""
Row = tuple[float, ...]
Uses = Annotated[int, Field(ge=1, le=1 << 24)]
_UNHEARD = -1.5
"""Log odds of the best identity before anything was heard, as the rise is reckoned from."""
_LEAST_RISE = 0.3
"""Rise of the log odds by a piece that is reckoned with at least."""
_CAUTION = 0.5
"""Share of the pieces that seem to be needed which is asked for at once."""
_MOST_PIECES = 64
_SURE = 50.0
"""Log odds of the model at most."""


class StoppingRule(FiniteModel):
    """Rule by which a receiver says that it has heard enough of a block."""

    mismatch: Annotated[float, Field(gt=0)]
    """Variance per use, in units of the signal's power, between two images of a person."""
    intercept: float
    """With ``slope``: log odds as they turned out on held-out people, from those of the model."""
    slope: Annotated[float, Field(gt=0)]
    snrs_db: Annotated[Row, Field(min_length=1)]
    """SNRs of the rows below, rising."""
    accepted_losses: Annotated[Row, Field(min_length=1)]
    """Losses in top-1 against sending everything, of the columns below, rising."""
    stop: Annotated[tuple[Row, ...], Field(min_length=1)]
    """Log odds from which on a block is answered, where nothing is repeated."""
    repeat: Annotated[tuple[Row, ...], Field(min_length=1)]
    """The same where pieces are repeated after the last, against ``most_uses``."""
    most_uses: Annotated[tuple[Uses, ...], Field(min_length=1)]
    """Uses beyond which repeating finds hardly anybody more."""
    first_uses: Annotated[tuple[Uses, ...], Field(min_length=1)]
    """Uses that nine in ten blocks need at least."""
    fixed_uses: Annotated[tuple[Uses, ...], Field(min_length=1)]
    """Least uses that find as many as all do, within the default loss."""
    people: Annotated[int, Field(ge=0)] = 0
    """Held-out people that the rule was fitted on."""

    @model_validator(mode="after")
    def _fits_together(self) -> StoppingRule:
        rows, columns = len(self.snrs_db), len(self.accepted_losses)
        for name, table in (("stop", self.stop), ("repeat", self.repeat)):
            if len(table) != rows or any(len(row) != columns for row in table):
                raise ValueError(f"{name}: a row for each SNR, a column for each accepted loss")
        if {len(self.first_uses), len(self.fixed_uses), len(self.most_uses)} != {rows}:
            raise ValueError("first_uses, fixed_uses, most_uses: one for each SNR")
        for name, values in (("snrs_db", self.snrs_db), ("accepted_losses", self.accepted_losses)):
            if list(values) != sorted(set(values)):
                raise ValueError(f"{name}: give rising values")
        return self

    def log_odds(self, products: NDArray[np.floating], snr_db: float) -> NDArray[np.float64]:
        """Returns the log odds that the best identity is right.

        products: (..., n) inner products of the received symbols with the best entry of each of
        the best identities, in any order; the more of them, the better, up to some ten.
        """
        raw = raw_log_odds(products, snr_db, self.mismatch)
        return np.asarray(self.intercept + self.slope * raw)

    def log_odds_of_block(self, products: Iterable[float], snr_db: float) -> float:
        """Returns :meth:`log_odds` of one block, in a fifth of the time: every message asks."""
        scale = 1.0 / (10.0 ** (-snr_db / 10.0) + self.mismatch)
        ranked = sorted((float(product) * scale for product in products), reverse=True)
        raw = _SURE
        if len(ranked) > 1:
            others = sum(math.exp(likelihood - ranked[1]) for likelihood in ranked[1:])
            raw = min(_SURE, ranked[0] - ranked[1] - math.log(others))
        return self.intercept + self.slope * raw

    def threshold(self, snr_db: float, accepted_loss: float, repeated: bool) -> float:
        """Returns the log odds from which on a block is answered.

        ``repeated``: pieces are repeated after the last one. Between the rows and columns it is
        interpolated; a loss of 0 answers no block early.
        """
        if accepted_loss <= 0:
            return math.inf
        table = self.repeat if repeated else self.stop
        row, share = _between(snr_db, self.snrs_db)
        column, part = _between(accepted_loss, self.accepted_losses)
        low, high = (
            (1 - part) * values[column] + part * values[min(column + 1, len(values) - 1)]
            for values in (table[row], table[min(row + 1, len(table) - 1)])
        )
        return (1 - share) * low + share * high

    def first(self, snr_db: float) -> int:
        """Returns the uses that a block should begin with, by the SNR next below."""
        return self.first_uses[self._row(snr_db)]

    def fixed(self, snr_db: float) -> int:
        """Returns the uses of a block that is sent at once, by the SNR next below."""
        return self.fixed_uses[self._row(snr_db)]

    def most(self, snr_db: float) -> int:
        """Returns the uses beyond which repeating is not worth it, by the SNR next below."""
        return self.most_uses[self._row(snr_db)]

    def _row(self, snr_db: float) -> int:
        """The row of the highest SNR that is not above the one given; the first below all."""
        return max(0, bisect.bisect_right(self.snrs_db, snr_db + 1e-9) - 1)


class StoppingSettings(Settings):
    """Wishes of an operator about blocks that come in pieces."""

    accepted_loss: Annotated[float, Field(ge=0, le=1), Flag()] = ACCEPTED_LOSS
    """Loss in top-1, against hearing every piece, that may save air; 0 hears every piece.

    Of blocks of nested schemes: 0.005 is half a point.
    """
    most_uses: Annotated[int, Field(ge=0, le=65536), Flag()] = 0
    """Channel uses of a block in pieces at most; after the last piece the first comes again. 0:
    the scheme's.
    """
    growth: Annotated[float, Field(ge=0, le=64), Flag("--more-growth")] = 0.0
    """Uses asked for next, as a multiple of those heard: 1 doubles them. 0: half of what the odds
    still seem to need.

    Fewer round trips for more air.
    """

    def limit(self, bandwidth: int, piece: int) -> int:
        """Returns the uses of a block at most, whole pieces, of a scheme of this bandwidth."""
        if not self.most_uses:
            return bandwidth
        return max(1, min(self.most_uses // piece, PIECES_MAX)) * piece


def next_uses(
    rule: StoppingRule | None,
    settings: StoppingSettings,
    block: tuple[int, int],
    heard: int,
    products: Iterable[float],
    snrs_db: tuple[float, float],
) -> int:
    """Returns the uses of a block to hear next; 0: enough was heard.

    block: the scheme's bandwidth and the uses of a piece. heard: uses so far. products: (n,) inner
    products of the received symbols with the best identities. snrs_db: of a single piece, and of
    the pieces combined. Without a rule every piece is asked for.
    """
    bandwidth, piece = block
    limit = settings.limit(bandwidth, piece)
    if rule is None:
        return max(0, min(bandwidth, limit) - heard)
    if limit > bandwidth:
        limit = max(bandwidth, min(limit, rule.most(snrs_db[0])))
    if heard >= limit:
        return 0
    odds = rule.log_odds_of_block(products, snrs_db[1])
    threshold = rule.threshold(snrs_db[0], settings.accepted_loss, limit > bandwidth)
    if odds >= threshold:
        return 0
    left = min(limit - heard, bandwidth)  # a message has every piece once at most
    if settings.growth:
        return more_uses(heard, piece, settings.growth, left)
    return min(left, piece * _pieces_of_block(odds, threshold, heard // piece))


def _between(value: float, points: Row) -> tuple[int, float]:
    """Returns the place of the rising point next below a value, and the share to the next one.

    Values outside of the points are as the first or the last.
    """
    place = min(max(0, bisect.bisect_right(points, value) - 1), len(points) - 1)
    if place + 1 == len(points) or value <= points[place]:
        return place, 0.0
    return place, (value - points[place]) / (points[place + 1] - points[place])


def raw_log_odds(
    products: NDArray[np.floating], snr_db: float, mismatch: float
) -> NDArray[np.float64]:
    """Returns the model's log odds of the best of (..., n) inner products against the others."""
    likelihood = np.asarray(products, np.float64) / (float(noise_variance(snr_db)) + mismatch)
    if likelihood.shape[-1] < 2:
        return np.full(likelihood.shape[:-1], _SURE)
    ranked = np.sort(likelihood, axis=-1)[..., ::-1]
    others = ranked[..., 1:] - ranked[..., 1:2]
    spread = np.log(np.exp(others).sum(axis=-1))
    return np.asarray(np.minimum(ranked[..., 0] - ranked[..., 1] - spread, _SURE))


def probability(log_odds: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the probability of log odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -_SURE, _SURE))))


def pieces_wanted(
    log_odds: NDArray[np.floating] | float, threshold: float, heard: NDArray[np.integer] | int
) -> NDArray[np.int64]:
    """Returns the pieces to ask for next, of blocks (...) whose odds are below the threshold.

    Half of those that it would take if every piece raised the odds as much as the mean of the
    pieces heard did; one at least.
    """
    rise = np.maximum((np.asarray(log_odds, np.float64) - _UNHEARD) / heard, _LEAST_RISE)
    pieces = np.floor(_CAUTION * (threshold - log_odds) / rise)
    return np.asarray(np.clip(pieces, 1, _MOST_PIECES), np.int64)


def _pieces_of_block(log_odds: float, threshold: float, heard: int) -> int:
    """Returns :func:`pieces_wanted` of one block."""
    rise = max((log_odds - _UNHEARD) / heard, _LEAST_RISE)
    return max(1, math.floor(min(_MOST_PIECES, _CAUTION * (threshold - log_odds) / rise)))


def more_uses(heard: int, piece: int, growth: float, left: int) -> int:
    """Returns the uses to ask for next: ``growth`` times what was heard, one piece at least.

    ``left``: uses that may still be asked for, whole pieces.
    """
    wish = max(piece, int(heard * growth) // piece * piece)
    return max(0, min(wish, left))
