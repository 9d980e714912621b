"""Kinds of decision at the end of a search: their names, and their values on the wire."""

from __future__ import annotations

from typing import Literal, TypedDict

from airreid.subject_ids import name_and_id
from airreid.v1 import common_pb2

DecisionKind = Literal["match", "unknown", "ambiguous", "unspecified"]
_WIRE: dict[DecisionKind, common_pb2.DecisionKind.ValueType] = {
    "match": common_pb2.DECISION_MATCH,
    "unknown": common_pb2.DECISION_UNKNOWN,
    "ambiguous": common_pb2.DECISION_AMBIGUOUS,
    "unspecified": common_pb2.DECISION_UNSPECIFIED,
}
_NAMES = {value: kind for kind, value in _WIRE.items()}
UNDECIDED = "no decision"
"""Words for a search that nobody has calibrated."""


class PlainDecision(TypedDict):
    """A decision as plain values for JSON; None where the access point has not decided."""

    kind: DecisionKind
    subject: str | None
    """Subject that matches; with ``ambiguous`` the best of those in question."""
    threshold: float | None
    margin: float | None
    false_match_rate: float | None


def to_wire(kind: DecisionKind) -> common_pb2.DecisionKind.ValueType:
    """Returns the protobuf value of a decision."""
    return _WIRE[kind]


def from_wire(value: common_pb2.DecisionKind.ValueType) -> DecisionKind:
    """Returns the decision of a protobuf value; ``unspecified`` for one that this version lacks."""
    return _NAMES.get(value, "unspecified")


def plain(decision: common_pb2.Decision) -> PlainDecision:
    """Returns a decision as it goes into JSON."""
    kind = from_wire(decision.kind)
    decided = kind != "unspecified"
    return {
        "kind": kind,
        "subject": decision.subject or None,
        "threshold": round(decision.threshold, 6) if decided else None,
        "margin": round(decision.margin, 6) if decided else None,
        "false_match_rate": decision.false_match_rate if decided else None,
    }


def words(decision: PlainDecision) -> str:
    """Returns a decision in two words at most: ``match alice``, ``ambiguous: alice?``,
    ``unknown``, or :data:`UNDECIDED`."""
    match decision["kind"]:
        case "match":
            return f"match {name_and_id(decision['subject'] or '')}"
        case "ambiguous":
            return f"ambiguous: {name_and_id(decision['subject'] or '')}?"
        case "unknown":
            return "unknown"
    return UNDECIDED
