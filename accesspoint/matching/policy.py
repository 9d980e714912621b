"""Match policy: when a query's best subject is a match, as one JSON document."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import AliasChoices, ConfigDict, Field, model_validator

from airreid.errors import InputError
from airreid.nested.stopping import StoppingRule
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN
from airreid.validation import FiniteModel, loaded

FEATURES = "features"
"""Scheme id of raw backbone features that no radio carried; the SNR means nothing to it."""
SETTING = "match_policy"
"""Name of the document among the gallery's settings."""

PREVIOUS = "match_policy_previous"
"""Name of the document that was in force before."""
Cosine = Annotated[float, Field(ge=-1.0, le=1.01)]
"""Score to compare with; a little above 1 is out of everybody's reach."""
Rate = Annotated[float, Field(gt=0.0, lt=1.0)]


Model = TypeVar("Model", bound=FiniteModel)


class Point(FiniteModel):
    """Thresholds at one SNR. In JSON ``review_threshold`` is ``lower``."""

    model_config = ConfigDict(serialize_by_alias=True)

    snr_db: Annotated[float, Field(ge=SNR_DB_MIN, le=SNR_DB_MAX)]
    threshold: Cosine
    """Score that a match needs."""
    review_threshold: Cosine = Field(
        validation_alias=AliasChoices("lower", "review_threshold"), serialization_alias="lower"
    )
    """Score below which the query is nobody's; between the two a person must look."""

    @model_validator(mode="after")
    def _ordered(self) -> Point:
        if self.review_threshold > self.threshold:
            raise ValueError("lower must not be above threshold")
        return self


class Table(FiniteModel):
    """Thresholds of one scheme by SNR."""

    points: Annotated[tuple[Point, ...], Field(min_length=1, max_length=1000)]
    """Points by rising SNR."""

    @model_validator(mode="after")
    def _rising(self) -> Table:
        snrs = [point.snr_db for point in self.points]
        if any(b <= a for a, b in itertools.pairwise(snrs)):
            raise ValueError("points must come by rising snr_db, each once")
        return self

    def at(self, snr_db: float) -> Point:
        """Returns the thresholds at any SNR.

        They are linear between two points; above the last one its own; below the first one,
        and for NaN, the strictest of the table, since nothing was measured there.
        """
        first, last = self.points[0], self.points[-1]
        if snr_db >= last.snr_db:
            return last
        if math.isnan(snr_db) or snr_db < first.snr_db:
            return Point(
                snr_db=first.snr_db,
                threshold=max(point.threshold for point in self.points),
                review_threshold=max(point.review_threshold for point in self.points),
            )
        snrs = [point.snr_db for point in self.points]
        reviews = [point.review_threshold for point in self.points]
        review = float(np.interp(snr_db, snrs, reviews))
        threshold = float(np.interp(snr_db, snrs, [point.threshold for point in self.points]))
        return Point(snr_db=snr_db, threshold=max(threshold, review), review_threshold=review)


class MatchPolicy(FiniteModel):
    """Rates and thresholds by scheme. The default decides nothing.

    A ``calibrate`` job makes one from the enrolled entries; one may also be
    written by hand.
    """

    version: Literal[1] = 1
    false_match_rate: Rate = 0.01
    """Share of impostors' queries that may match somebody."""
    review_rate: Rate = 0.1
    """Share of impostors' queries that may reach ``review_threshold``, for a person to look at."""
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    """Confidence with which the rates were shown to hold when they were calibrated."""
    margin: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    """Lead that the best subject must have over the second."""
    min_subjects: Annotated[int, Field(ge=1, le=2**53)] = 10
    """Fewest subjects that can be calibrated with."""
    subjects: Annotated[int, Field(ge=0, le=2**53)] = 0
    """Subjects enrolled when the policy was calibrated; the rate grows with the gallery."""
    near_duplicate: Cosine | None = None
    """Cosine from which on raw features of two subjects are likely one person's."""
    schemes: dict[str, Table] = Field(default_factory=dict)
    stopping: dict[str, StoppingRule] = Field(default_factory=dict)
    """Rules by which enough of a nested scheme's block was heard, in place of the bundle's."""

    @model_validator(mode="after")
    def _rates(self) -> MatchPolicy:
        if self.review_rate < self.false_match_rate:
            raise ValueError("review_rate must not be below false_match_rate")
        return self

    def rate_with(self, subjects: int) -> float:
        """Returns what the false-match rate becomes when the gallery holds ``subjects``.

        ``1 - (1 - rate)^(subjects / calibrated)``: each subject is one more chance to be
        taken for somebody (ISO/IEC 19795-1 on identification; independent chances).
        NaN for a policy that was not calibrated.
        """
        if not self.subjects:
            return math.nan
        return -math.expm1(math.log1p(-self.false_match_rate) * subjects / self.subjects)


def load_policy(text: str | None) -> MatchPolicy:
    """Reads a policy from its JSON; the default one for None or an empty text.

    Raises :class:`InputError` naming the first field that is wrong.
    """
    return load_document(MatchPolicy, text, "match policy")


def load_document(kind: type[Model], text: str | None, what: str) -> Model:
    """Reads a settings document from its JSON; the default one for None or an empty text.

    Raises :class:`InputError` with ``what`` and the first field that is wrong.
    """
    if not text:
        return kind()
    return loaded(kind, text, what, error=InputError)
