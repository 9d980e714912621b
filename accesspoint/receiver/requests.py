"""Requests as they arrive: parsed, dated, and told apart from others of the same name."""

from __future__ import annotations

import time
from collections.abc import Hashable

from google.protobuf.message import DecodeError

from airreid.v1 import uplink_pb2

Request = uplink_pb2.QueryRequest
BLOCK_BYTES_MAX = 256 * 1024
"""A longer message is not looked into; the longest block has an eighth of it."""


def parse(data: bytes) -> Request | str:
    """A request, or what is wrong with it."""
    if len(data) > BLOCK_BYTES_MAX:
        return f"a message of {len(data)} bytes; a block takes at most {BLOCK_BYTES_MAX}"
    try:
        return Request.FromString(data)
    except DecodeError:
        return "not a QueryRequest message"


def age_ms_of(request: Request) -> float | None:
    """Since the capture, by the two machines' clocks; None if the block does not say."""
    if not request.HasField("captured_at"):
        return None
    at = request.captured_at
    return (time.time() - at.seconds) * 1e3 - at.nanos / 1e6


def fingerprint(request: Request) -> Hashable:
    """What all copies of a block share: everything but what the radio does to its symbols,
    and what does not change the answer."""
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
