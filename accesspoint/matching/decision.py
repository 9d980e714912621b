"""From ranked subjects to one word: match, unknown or ambiguous."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from accesspoint.matching.policy import MatchPolicy
from airreid.decisions import DecisionKind


@dataclass(frozen=True)
class Decision:
    """What a search says in the end."""

    kind: DecisionKind
    subject: str
    """Whom it matches; with ``ambiguous`` the best of those in question; else empty."""
    threshold: float
    """Score that a match needs at this scheme and SNR; 0 where nothing is calibrated."""
    margin: float
    """Of the best subject above the second; above -1, the lowest cosine, without a second."""
    false_match_rate: float
    """As the policy states it; 0 where nothing is calibrated."""


def decide(
    ranked: Sequence[tuple[str, float]], scheme_id: str, snr_db: float, policy: MatchPolicy
) -> Decision:
    """What to make of the subjects that a search found, (subject, cosine score) each.

    ``unspecified`` without thresholds for the scheme. Else with ``threshold`` and
    ``lower`` at this SNR (:meth:`Table.at`):

    - ``unknown``: nobody scores ``lower``, or nobody was found;
    - ``ambiguous``: the best scores ``lower`` and not ``threshold``, or it leads the
      second subject by less than the policy's margin, or by nothing;
    - ``match`` otherwise.

    Never raises: scores that are not finite are passed over, the order does not matter,
    a subject that comes twice counts with its better score, and of subjects with the
    same score the first in the alphabet is named.
    """
    best: dict[str, float] = {}
    for subject, score in ranked:
        if math.isfinite(score):
            best[subject] = max(score, best.get(subject, -math.inf))
    order = sorted(best.items(), key=lambda item: (-item[1], item[0]))[:2]
    lead = order[0][1] - (order[1][1] if len(order) > 1 else -1.0) if order else 0.0
    table = policy.schemes.get(scheme_id)
    if table is None:
        return Decision("unspecified", "", 0.0, lead, 0.0)
    point = table.at(snr_db)
    if not order or order[0][1] < point.lower:
        kind: DecisionKind = "unknown"
    elif order[0][1] < point.threshold or lead < policy.margin or (lead <= 0 and len(order) > 1):
        kind = "ambiguous"
    else:
        kind = "match"
    subject = "" if kind == "unknown" else order[0][0]
    return Decision(kind, subject, point.threshold, lead, policy.false_match_rate)
