"""Decision on a search, from ranked subjects to one word: match, unknown or ambiguous."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from accesspoint.matching.policy import MatchPolicy, Point
from airreid.decisions import DecisionKind

NO_SECOND = -1.0
"""Lowest cosine: the score that the best subject leads where there is no second."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Decision:
    """Outcome of a search."""

    kind: DecisionKind
    subject: str
    """Subject that matches; with ``ambiguous`` the best of those in question; else empty."""
    threshold: float
    """Score that a match needs at this scheme and SNR; 0 where nothing is calibrated."""
    margin: float
    """Lead of the best subject over the second, or over ``NO_SECOND``."""
    false_match_rate: float
    """Rate that the policy states; 0 where nothing is calibrated."""


@overload
def matches(score: float, lead: float, point: Point, margin: float) -> bool: ...
@overload
def matches(score: Floats, lead: Floats, point: Point, margin: float) -> NDArray[np.bool_]: ...
def matches(
    score: float | Floats, lead: float | Floats, point: Point, margin: float
) -> bool | NDArray[np.bool_]:
    """Returns whether subjects match: the one rule, for decisions and for reports of them.

    score: of the subject in question. lead: its score less the best of any other subject,
    or less ``NO_SECOND``. Floats or arrays of one shape; the answer is a truth value or an
    array of them. A subject matches if it reaches the threshold and leads by ``margin`` at
    least; a tie is never a match.
    """
    return (score >= point.threshold) & (lead >= margin) & (lead > 0.0)


def decide(
    ranked: Sequence[tuple[str, float]], scheme_id: str, snr_db: float, policy: MatchPolicy
) -> Decision:
    """Decides on the subjects that a search found, (subject, cosine score) each.

    ``unspecified`` without thresholds for the scheme. Else with ``threshold`` and
    ``review_threshold`` at this SNR (:meth:`Table.at`):

    - ``unknown``: nobody reaches ``review_threshold``, or nobody was found;
    - ``match``: the best :func:`matches`;
    - ``ambiguous`` otherwise: it does not reach ``threshold``, or it leads the second
      subject by less than the policy's margin, or by nothing.

    Never raises: scores that are not finite are passed over, the order does not matter,
    a subject that comes twice counts with its better score, and of subjects with the
    same score the first in the alphabet is named.
    """
    scores: dict[str, float] = {}
    for subject, score in ranked:
        if math.isfinite(score):
            scores[subject] = max(score, scores.get(subject, -math.inf))
    order = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:2]
    second = order[1][1] if len(order) > 1 else NO_SECOND
    lead = order[0][1] - second if order else 0.0
    table = policy.schemes.get(scheme_id)
    if table is None:
        return Decision("unspecified", "", 0.0, lead, 0.0)
    point = table.at(snr_db)
    if not order or order[0][1] < point.review_threshold:
        return Decision("unknown", "", point.threshold, lead, policy.false_match_rate)
    subject, best = order[0]
    kind: DecisionKind = "match" if matches(best, lead, point, policy.margin) else "ambiguous"
    return Decision(kind, subject, point.threshold, lead, policy.false_match_rate)


def calibrated_for(policy: MatchPolicy, schemes: Collection[str], scheme_id: str) -> str:
    """Returns which of a bundle's schemes have thresholds, where ``scheme_id`` has none.

    Empty where nothing is calibrated: then there is nothing to name.
    """
    names = [name for name in policy.schemes if name in schemes]
    if not names:
        return ""
    return f"calibrated for {', '.join(names)}, this was {scheme_id}"
