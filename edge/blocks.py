"""Blocks as they leave a camera."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from airreid.errors import InputError
from airreid.payload import Ideal, Payload, put
from airreid.v1 import common_pb2, uplink_pb2


def new_spool_id() -> str:
    """Draws a name for one life of an edge's outgoing queue."""
    return secrets.token_hex(4)


def unnumbered(
    payload: Payload,
    bundle_id: str,
    scheme_id: str,
    top_k: int = 0,
    top_entries: int = 0,
    track_id: str = "",
) -> uplink_pb2.QueryRequest:
    """Makes a block that has everything but its number."""
    request = uplink_pb2.QueryRequest(
        bundle_id=bundle_id,
        scheme_id=scheme_id,
        top_k=top_k,
        top_entries=top_entries,
        track_id=track_id,
    )
    put(payload, request)
    request.captured_at.GetCurrentTime()
    return request


def check_sendable(payload: Payload, name: str) -> None:
    """Refuses symbols that say nothing, without energy or not finite: :class:`InputError`.

    An encoder makes them only of a feature that is itself zero or not finite; the receiver
    would rank the noise.
    """
    if isinstance(payload, Ideal):
        return
    energy = float(np.square(payload.symbols, dtype=np.float64).sum())
    if not np.isfinite(energy):
        raise InputError(f"{name}: the encoder gave symbols that are not finite; not sent")
    if energy == 0.0:
        raise InputError(f"{name}: the encoder gave a block without energy; not sent")


@dataclass
class BlockMaker:
    """Numbers the blocks of one edge and wraps its payloads."""

    edge_id: str
    bundle_id: str
    spool_id: str = field(default_factory=new_spool_id)
    next_sequence: int = 0

    def block(
        self, payload: Payload, scheme_id: str, top_k: int = 0, top_entries: int = 0
    ) -> uplink_pb2.QueryRequest:
        """Wraps a payload under the next sequence number."""
        request = unnumbered(payload, self.bundle_id, scheme_id, top_k, top_entries)
        request.id.CopyFrom(
            common_pb2.BlockId(
                edge_id=self.edge_id, spool_id=self.spool_id, sequence=self.next_sequence
            )
        )
        self.next_sequence += 1
        return request

    def blocks(
        self,
        payloads: Iterable[Payload],
        scheme_id: str,
        top_k: int = 0,
        top_entries: int = 0,
    ) -> Iterator[uplink_pb2.QueryRequest]:
        """Yields a block for each payload."""
        for payload in payloads:
            yield self.block(payload, scheme_id, top_k, top_entries)
