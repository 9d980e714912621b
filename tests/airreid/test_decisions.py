"""Kinds of decision on the wire."""

from __future__ import annotations

from typing import cast, get_args

from airreid.decisions import DecisionKind, from_wire, to_wire
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
