"""An answered block as an event for whoever looks on."""

from __future__ import annotations

from typing import Any

from accesspoint.receiver.metrics import code_name
from airreid import decisions
from airreid.v1 import uplink_pb2

_SHOWN = 10
"""Ranked identities in an event, at most."""
_TEXT_MAX = 128
"""Characters of a name in an event; a refused block may have longer ones."""


def query_event(
    request: uplink_pb2.QueryRequest, response: uplink_pb2.QueryResponse, now: float
) -> dict[str, Any]:
    """What became of a block, as plain values for JSON; ``now`` in seconds since 1970.

    ``snr_db`` and ``model`` are None on a direct link, ``threshold`` without a calibration,
    ``truth`` where nobody knows it, ``age_ms`` where the block does not say when it was
    captured.
    """
    channel = response.channel if response.HasField("channel") else None
    decision = response.decision
    kind = decisions.from_wire(decision.kind)
    return {
        "type": "query",
        "time": now,
        "edge_id": request.id.edge_id[:_TEXT_MAX],
        "track_id": request.track_id[:_TEXT_MAX],
        "sequence": request.id.sequence,
        "scheme": request.scheme_id[:_TEXT_MAX],
        "link": response.link,
        "code": code_name(response.status.code),
        "snr_db": channel.snr_db if channel else None,
        "model": channel.model[:_TEXT_MAX] if channel else None,
        "outage": response.outage,
        "decision": kind,
        "subject": decision.subject,
        "threshold": decision.threshold if kind != "unspecified" else None,
        "fused_frames": max(1, response.fused_frames),
        "identities": [
            {
                "subject": one.subject,
                "score": round(one.score, 6),
                "entry_id": one.entry_id,
                "camera": one.camera,
            }
            for one in response.identities[:_SHOWN]
        ],
        "queue_ms": round(response.timings.queue_ms, 3),
        "decode_ms": round(response.timings.decode_ms, 3),
        "search_ms": round(response.timings.search_ms, 3),
        "truth": request.truth[:_TEXT_MAX] or None,
    }
