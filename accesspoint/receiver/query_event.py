"""Event of an answered block, for the dashboard."""

from __future__ import annotations

from typing import Any

from accesspoint.receiver.metrics import code_name
from accesspoint.receiver.requests import Request
from accesspoint.receiver.responses import Response
from airreid import decisions
from airreid.subject_ids import ID_MAX

_IDENTITIES_MAX = 10
"""Most ranked identities in an event."""


def query_event(
    request: Request, response: Response, now: float, bandwidth: int | None = None
) -> dict[str, Any]:
    """Describes what became of a block, as plain values for JSON; ``now`` in s since 1970.

    ``snr_db`` and ``model`` are None on a direct link, ``threshold`` without a calibration,
    ``truth`` where nobody knows it. Of a block in pieces, ``uses`` are the channel uses that were
    heard and ``bandwidth`` those of its scheme; None of any other.
    """
    channel = response.channel if response.HasField("channel") else None
    decision = response.decision
    kind = decisions.from_wire(decision.kind)
    return {
        "type": "query",
        "time": now,
        "edge_id": request.id.edge_id[:ID_MAX],
        "track_id": request.track_id[:ID_MAX],
        "sequence": request.id.sequence,
        "scheme": request.scheme_id[:ID_MAX],
        "link": response.link,
        "code": code_name(response.status.code),
        "snr_db": channel.snr_db if channel else None,
        "model": channel.model[:ID_MAX] if channel else None,
        "outage": response.outage,
        "uses": response.uses_heard or None,
        "bandwidth": bandwidth,
        "decision": kind,
        "subject": decision.subject,
        "threshold": decision.threshold if kind != "unspecified" else None,
        "fused_frames": max(1, response.fused_frames),
        "identities": [
            {
                "subject": identity.subject,
                "score": round(identity.score, 6),
                "entry_id": identity.entry_id,
                "camera": identity.camera,
            }
            for identity in response.identities[:_IDENTITIES_MAX]
        ],
        "queue_ms": round(response.timings.queue_ms, 3),
        "decode_ms": round(response.timings.decode_ms, 3),
        "search_ms": round(response.timings.search_ms, 3),
        "truth": request.truth[:ID_MAX] or None,
    }
