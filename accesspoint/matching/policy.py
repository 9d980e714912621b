"""What an operator decides about matches, as one JSON document."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import Field, model_validator

from airreid.errors import InputError
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN
from airreid.validation import FiniteModel, loaded

FEATURES = "features"
"""Scheme id of raw backbone features that no radio carried; the SNR means nothing to it."""
SETTING = "match_policy"
"""Name of the document among the gallery's settings."""

Cosine = Annotated[float, Field(ge=-1.0, le=1.01)]
"""Scores to compare with; a little above 1 is out of everybody's reach."""
Rate = Annotated[float, Field(gt=0.0, lt=1.0)]


Model = TypeVar("Model", bound=FiniteModel)


class Point(FiniteModel):
    """Thresholds at one SNR."""

    snr_db: Annotated[float, Field(ge=SNR_DB_MIN, le=SNR_DB_MAX)]
    threshold: Cosine
    """A match needs this score."""
    lower: Cosine
    """Below it the query is nobody's; between the two a person must look."""

    @model_validator(mode="after")
    def _ordered(self) -> Point:
        if self.lower > self.threshold:
            raise ValueError("lower must not be above threshold")
        return self


class Table(FiniteModel):
    """Thresholds of one scheme by SNR."""

    points: Annotated[tuple[Point, ...], Field(min_length=1, max_length=1000)]
    """By rising SNR."""

    @model_validator(mode="after")
    def _rising(self) -> Table:
        snrs = [point.snr_db for point in self.points]
        if any(b <= a for a, b in itertools.pairwise(snrs)):
            raise ValueError("points must come by rising snr_db, each once")
        return self

    def at(self, snr_db: float) -> Point:
        """Thresholds at any SNR: linear between two points; above the last one its own;
        below the first one, and for NaN, the strictest of the table, since nothing was
        measured there."""
        first, last = self.points[0], self.points[-1]
        if snr_db >= last.snr_db:
            return last
        if math.isnan(snr_db) or snr_db < first.snr_db:
            return Point(
                snr_db=first.snr_db,
                threshold=max(point.threshold for point in self.points),
                lower=max(point.lower for point in self.points),
            )
        snrs = [point.snr_db for point in self.points]
        lower = float(np.interp(snr_db, snrs, [point.lower for point in self.points]))
        threshold = float(np.interp(snr_db, snrs, [point.threshold for point in self.points]))
        return Point(snr_db=snr_db, threshold=max(threshold, lower), lower=lower)


class MatchPolicy(FiniteModel):
    """When a query's best subject is a match. The default decides nothing.

    A ``calibrate`` job makes one from the enrolled entries; one may also be
    written by hand.
    """

    version: Literal[1] = 1
    false_match_rate: Rate = 0.01
    """Share of queries by strangers that may match somebody."""
    review_rate: Rate = 0.1
    """Share of queries by strangers that may score above ``lower``, for a person to look at."""
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    """With which the rates were shown to hold when they were calibrated."""
    margin: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    """By how much the best subject must lead the second."""
    min_subjects: Annotated[int, Field(ge=1)] = 10
    """Below this many subjects nothing can be calibrated."""
    subjects: Annotated[int, Field(ge=0)] = 0
    """Enrolled when the policy was calibrated; the rate grows with the gallery."""
    near_duplicate: Cosine | None = None
    """Raw features of two subjects that are closer than this are likely one person's."""
    schemes: dict[str, Table] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _rates(self) -> MatchPolicy:
        if self.review_rate < self.false_match_rate:
            raise ValueError("review_rate must not be below false_match_rate")
        return self

    def rate_with(self, subjects: int) -> float:
        """What the false-match rate becomes when the gallery holds ``subjects``.

        ``1 - (1 - rate)^(subjects / calibrated)``: each subject is one more chance to be
        taken for somebody (ISO/IEC 19795-1 on identification; independent chances).
        NaN for a policy that was not calibrated.
        """
        if not self.subjects:
            return math.nan
        return -math.expm1(math.log1p(-self.false_match_rate) * subjects / self.subjects)


def load_policy(text: str | None) -> MatchPolicy:
    """A policy from its JSON; the default one for None or an empty text.

    Raises :class:`InputError` naming the first field that is wrong.
    """
    return load_document(MatchPolicy, text, "match policy")


def load_document(kind: type[Model], text: str | None, what: str) -> Model:
    """A settings document from its JSON, the default one for None or an empty text.

    Raises :class:`InputError` with ``what`` and the first field that is wrong.
    """
    if not text:
        return kind()
    return loaded(kind, text, what, error=InputError)
