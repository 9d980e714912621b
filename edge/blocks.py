"""Blocks as they leave a camera."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from airreid.payload import Payload, put
from airreid.v1 import common_pb2, uplink_pb2


@dataclass
class BlockMaker:
    """Numbers the blocks of one edge and wraps its payloads."""

    edge_id: str
    bundle_id: str
    spool_id: str = field(default_factory=lambda: secrets.token_hex(4))
    next_sequence: int = 0

    def block(
        self, payload: Payload, scheme_id: str, top_k: int = 0, top_entries: int = 0
    ) -> uplink_pb2.QueryRequest:
        """The next block: a payload under the next sequence number."""
        request = uplink_pb2.QueryRequest(
            id=common_pb2.BlockId(
                edge_id=self.edge_id, spool_id=self.spool_id, sequence=self.next_sequence
            ),
            bundle_id=self.bundle_id,
            scheme_id=scheme_id,
            top_k=top_k,
            top_entries=top_entries,
        )
        put(payload, request)
        request.captured_at.GetCurrentTime()
        self.next_sequence += 1
        return request

    def blocks(
        self,
        payloads: Iterable[Payload],
        scheme_id: str,
        top_k: int = 0,
        top_entries: int = 0,
    ) -> Iterator[uplink_pb2.QueryRequest]:
        """A block for each payload."""
        for payload in payloads:
            yield self.block(payload, scheme_id, top_k, top_entries)
