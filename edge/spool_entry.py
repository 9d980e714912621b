"""A frame that is accepted, and its row in the spool."""

from __future__ import annotations

from dataclasses import dataclass

from airreid.scheme import BlockCost
from airreid.v1 import uplink_pb2
from edge import clock
from edge.waiting_blocks import block_digest


@dataclass(frozen=True)
class Entry:
    """A frame that is encoded and to be accepted."""

    source: str
    name: str
    block: uplink_pb2.QueryRequest
    """The request, without its number."""
    cost: BlockCost
    encode_ms: float
    air_ms: float | None = None
    energy_uj: float | None = None
    file_key: str = ""


def row_of(entry: Entry, now: clock.Moment) -> dict[str, object]:
    """Returns the columns of a frame that is accepted now."""
    block, cost = entry.block, entry.cost
    data = block.SerializeToString()
    return {
        "source": entry.source,
        "name": entry.name,
        "track_id": block.track_id,
        "file_key": entry.file_key or None,
        "accepted_at": now.wall,
        "boot_id": now.boot_id,
        "uptime": now.uptime,
        "scheme_id": block.scheme_id,
        "link": block.WhichOneof("payload"),
        "uses": cost.uses,
        "payload_bits": cost.payload_bits,
        "crc_bits": cost.crc_bits,
        "side_bits": cost.side_bits,
        "air_ms": entry.air_ms,
        "energy_uj": entry.energy_uj,
        "encode_ms": entry.encode_ms,
        "block": data,
        "digest": block_digest(data),
    }
