"""Requests as they arrive: parsing, checks of their names, their age and their fingerprint."""

from __future__ import annotations

import time
from collections.abc import Hashable

from google.protobuf.message import DecodeError

from airreid.errors import InputError
from airreid.v1 import uplink_pb2
from airreid.wire import BLOCK_BYTES_MAX

Request = uplink_pb2.QueryRequest
ID_MAX = 128
"""Longest edge id and spool id, in characters."""


def parse(data: bytes) -> Request:
    """Parses a message. Raises :class:`InputError` for one that is too long or no request."""
    if len(data) > BLOCK_BYTES_MAX:
        raise InputError(f"a message of {len(data)} bytes; a block takes at most {BLOCK_BYTES_MAX}")
    try:
        return Request.FromString(data)
    except DecodeError:
        raise InputError("not a QueryRequest message") from None


def wrong_id(request: Request) -> str:
    """Returns what is wrong with a block's name; empty if nothing is."""
    for field, name in (("edge_id", request.id.edge_id), ("spool_id", request.id.spool_id)):
        if len(name) > ID_MAX:
            return f"{field}: longer than {ID_MAX} characters"
    return ""


def age_ms_of(request: Request) -> float | None:
    """Returns the milliseconds since the capture, by the two machines' clocks.

    None if the block does not say when it was captured.
    """
    if not request.HasField("captured_at"):
        return None
    captured_at = request.captured_at
    return (time.time() - captured_at.seconds) * 1e3 - captured_at.nanos / 1e6


def fingerprint(request: Request) -> Hashable:
    """Returns what all copies of a block share and two different blocks do not.

    It leaves out what the radio does to the symbols, and what does not change the answer.
    """
    return (
        request.bundle_id,
        request.scheme_id,
        request.WhichOneof("payload"),
        request.top_k,
        request.top_entries,
        request.track_id,
        request.captured_at.seconds,
        request.captured_at.nanos,
    )
