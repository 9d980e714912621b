"""Blocks as they leave a camera."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from airreid import wire
from airreid.v1 import common_pb2, uplink_pb2


@dataclass
class BlockMaker:
    """Numbers the blocks of one edge and wraps its symbols."""

    edge_id: str
    bundle_id: str
    spool_id: str = field(default_factory=lambda: secrets.token_hex(4))
    next_sequence: int = 0

    def block(
        self, symbols: NDArray[np.float32], scheme_id: str, top_k: int = 0, top_entries: int = 0
    ) -> uplink_pb2.QueryRequest:
        """The next block: float32 (bandwidth,) under the next sequence number."""
        request = uplink_pb2.QueryRequest(
            id=common_pb2.BlockId(
                edge_id=self.edge_id, spool_id=self.spool_id, sequence=self.next_sequence
            ),
            bundle_id=self.bundle_id,
            scheme_id=scheme_id,
            analog=uplink_pb2.AnalogBlock(symbols=wire.to_bytes(symbols)),
            top_k=top_k,
            top_entries=top_entries,
        )
        request.captured_at.GetCurrentTime()
        self.next_sequence += 1
        return request

    def blocks(
        self,
        symbols: Iterable[NDArray[np.float32]],
        scheme_id: str,
        top_k: int = 0,
        top_entries: int = 0,
    ) -> Iterator[uplink_pb2.QueryRequest]:
        """A block for each row of (N, bandwidth)."""
        for row in symbols:
            yield self.block(row, scheme_id, top_k, top_entries)
