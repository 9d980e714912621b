"""Protobuf messages as plain values for JSON, with numbers as numbers."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

_TIME = Timestamp.DESCRIPTOR.full_name
_WIDE = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)


def plain(message: Message) -> dict[str, Any]:
    """Returns all fields by their names in the .proto file.

    Numbers of 64 bits are numbers, and times are seconds since 1970 or None, as in the REST API;
    protobuf's own JSON makes both of them texts, and leaves a time out that is not there.
    """
    values: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    _mend(message, values)
    return values


def _mend(message: Message, values: dict[str, Any]) -> None:
    for field in message.DESCRIPTOR.fields:
        value = values.get(field.name)
        if value is None:
            if field.message_type is not None and field.message_type.full_name == _TIME:
                values[field.name] = None
            continue
        if field.cpp_type in _WIDE:
            many = isinstance(value, list)
            values[field.name] = [int(number) for number in value] if many else int(value)
        elif isinstance(value, str) and isinstance(getattr(message, field.name), Timestamp):
            values[field.name] = getattr(message, field.name).ToNanoseconds() / 1e9
        elif isinstance(value, dict) and isinstance(getattr(message, field.name), Message):
            _mend(getattr(message, field.name), value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for part, inner in zip(getattr(message, field.name), value, strict=True):
                _mend(part, inner)
