"""Kinds of decision at the end of a search: their names, and their values on the wire."""

from __future__ import annotations

from typing import Literal

from airreid.v1 import common_pb2

DecisionKind = Literal["match", "unknown", "ambiguous", "unspecified"]
_WIRE: dict[DecisionKind, common_pb2.DecisionKind.ValueType] = {
    "match": common_pb2.DECISION_MATCH,
    "unknown": common_pb2.DECISION_UNKNOWN,
    "ambiguous": common_pb2.DECISION_AMBIGUOUS,
    "unspecified": common_pb2.DECISION_UNSPECIFIED,
}
_NAMES = {value: kind for kind, value in _WIRE.items()}


def to_wire(kind: DecisionKind) -> common_pb2.DecisionKind.ValueType:
    """Returns the protobuf value of a decision."""
    return _WIRE[kind]


def from_wire(value: common_pb2.DecisionKind.ValueType) -> DecisionKind:
    """Returns the decision of a protobuf value; ``unspecified`` for one that this version lacks."""
    return _NAMES.get(value, "unspecified")
