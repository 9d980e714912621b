"""Messages of the code before are understood, and ours by it: same bytes, same numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import descriptor_pool, json_format
from google.protobuf.message_factory import GetMessageClass

from airreid.v1 import channel_pb2, common_pb2, edge_pb2, gallery_pb2, uplink_pb2

from .support import FILES, assert_as_recorded

POOL = descriptor_pool.Default()
MODULES = (channel_pb2, common_pb2, edge_pb2, gallery_pb2, uplink_pb2)
WIRE: dict[str, Any] = json.loads((FILES / "wire.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", WIRE["messages"])
def test_a_message_is_read_and_written_as_before(name: str) -> None:
    """Every field is filled; after a slash, the member of a oneof that is."""
    data = bytes.fromhex(WIRE["messages"][name]["bytes"])
    message = GetMessageClass(POOL.FindMessageTypeByName(name.partition("/")[0]))()
    message.ParseFromString(data)
    message.DiscardUnknownFields()
    assert message.SerializeToString(deterministic=True) == data
    plain = json_format.MessageToDict(message, preserving_proto_field_name=True)
    assert_as_recorded(plain, WIRE["messages"][name]["json"], name)


def test_services_are_called_as_before() -> None:
    for name, methods in WIRE["services"].items():
        service = POOL.FindServiceByName(name)
        actual = {
            method.name: [
                method.input_type.full_name,
                method.output_type.full_name,
                method.client_streaming,
                method.server_streaming,
            ]
            for method in service.methods
        }
        assert_as_recorded(actual, methods, name)
    assert len(WIRE["services"]) == 5


def test_codes_keep_their_numbers() -> None:
    for name, values in WIRE["enums"].items():
        actual = {value.name: value.number for value in POOL.FindEnumTypeByName(name).values}
        assert_as_recorded(actual, values, name)
