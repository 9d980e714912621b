"""Requests as they arrive: parsing, checks of their names, their age and their fingerprint."""

from __future__ import annotations

import time

from google.protobuf.message import DecodeError

from airreid.errors import InputError
from airreid.subject_ids import ID_MAX
from airreid.v1 import uplink_pb2
from airreid.wire import BLOCK_BYTES_MAX

Request = uplink_pb2.QueryRequest
MODEL_MAX = 64
"""Longest name of a channel model, in characters."""
BESIDE_PAYLOAD_MAX = 8 * 1024
"""Bytes of a message beside its payload, at most: its texts take less."""
_YEAR_10000 = 253_402_300_800


def parse(data: bytes) -> Request:
    """Parses a message. Raises :class:`InputError` for one that is too long or no request."""
    if len(data) > BLOCK_BYTES_MAX:
        raise InputError(f"a message of {len(data)} bytes; a block takes at most {BLOCK_BYTES_MAX}")
    try:
        request = Request.FromString(data)
    except DecodeError:
        raise InputError("not a QueryRequest message") from None
    if len(data) > BESIDE_PAYLOAD_MAX:
        payload = len(request.analog.symbols) or len(request.coded.symbols)
        beside = len(data) - (payload or len(request.ideal.bits))
        if beside > BESIDE_PAYLOAD_MAX:
            raise InputError(
                f"a message of {beside} bytes beside its payload; a block needs at most "
                f"{BESIDE_PAYLOAD_MAX}"
            )
    return request


def wrong_id(request: Request) -> str:
    """Returns what is wrong with a block's name; empty if nothing is."""
    for field, name in (("edge_id", request.id.edge_id), ("spool_id", request.id.spool_id)):
        if len(name) > ID_MAX:
            return f"{field}: longer than {ID_MAX} characters"
    return ""


def wrong_field(request: Request) -> str:
    """Returns what is wrong with a block's other texts and its time; empty if nothing is.

    Bundle and scheme are compared with those that there are, and the SNR with its range when
    the payload is read.
    """
    if len(request.track_id) > ID_MAX:
        return f"track_id: longer than {ID_MAX} characters"
    if len(request.truth) > ID_MAX:
        return f"truth: longer than {ID_MAX} characters"
    if request.HasField("channel") and len(request.channel.model) > MODEL_MAX:
        return f"channel model: longer than {MODEL_MAX} characters"
    if request.HasField("captured_at"):
        captured = request.captured_at
        if not (0 <= captured.seconds < _YEAR_10000 and 0 <= captured.nanos < 10**9):
            return "captured_at: not a time since 1970"
    return ""


def cost(request: Request) -> int:
    """Returns what a block's search costs in blocks of the usual kind: 1 for most."""
    return 1 + request.top_k // 200 + request.top_entries // 1000


def age_ms_of(request: Request) -> float | None:
    """Returns the milliseconds since the capture, by the two machines' clocks.

    None if the block does not say when it was captured.
    """
    if not request.HasField("captured_at"):
        return None
    captured_at = request.captured_at
    return (time.time() - captured_at.seconds) * 1e3 - captured_at.nanos / 1e6


def fingerprint(request: Request) -> int:
    """Returns a digest of what all copies of a block share and two different blocks do not.

    It is good within this process. It leaves out what the radio does to the symbols, and what
    does not change the answer.
    """
    # a digest, since thousands are kept: its 64 bits need only tell apart blocks of one name
    shared = (
        request.bundle_id,
        request.scheme_id,
        request.WhichOneof("payload"),
        request.top_k,
        request.top_entries,
        request.track_id,
        request.captured_at.seconds,
        request.captured_at.nanos,
    )
    return hash(shared)
