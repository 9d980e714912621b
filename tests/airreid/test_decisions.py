"""Kinds of decision on the wire."""

from __future__ import annotations

from typing import cast, get_args

from airreid.decisions import DecisionKind, from_wire, plain, to_wire, words
from airreid.v1 import common_pb2


def test_every_kind_has_one_value_and_every_value_one_kind() -> None:
    kinds = get_args(DecisionKind)
    assert {to_wire(kind) for kind in kinds} == set(common_pb2.DecisionKind.values())
    assert [from_wire(to_wire(kind)) for kind in kinds] == list(kinds)


def test_names_are_those_of_the_messages() -> None:
    for kind in get_args(DecisionKind):
        assert common_pb2.DecisionKind.Name(to_wire(kind)) == f"DECISION_{kind.upper()}"


def test_a_kind_of_a_later_version_says_nothing() -> None:
    assert from_wire(cast(common_pb2.DecisionKind.ValueType, 99)) == "unspecified"


def test_a_decision_names_nobody_whom_it_does_not_mean() -> None:
    decided = common_pb2.Decision(kind=common_pb2.DECISION_MATCH, subject="alice", threshold=0.25)
    assert words(plain(decided)) == "match alice"
    decided.kind = common_pb2.DECISION_AMBIGUOUS
    assert words(plain(decided)) == "ambiguous: alice?"
    stranger = common_pb2.Decision(kind=common_pb2.DECISION_UNKNOWN, threshold=0.25)
    assert words(plain(stranger)) == "unknown"
    assert plain(stranger)["subject"] is None
    assert plain(stranger)["threshold"] == 0.25
    assert words(plain(common_pb2.Decision())) == "no decision"
    assert plain(common_pb2.Decision())["threshold"] is None
