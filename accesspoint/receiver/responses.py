"""Responses to blocks: how one begins, and all that is ever written into it by the receiver."""

from __future__ import annotations

import math
from collections.abc import Sequence

from accesspoint.gallery.records import SearchResult
from accesspoint.matching.decision import Decision
from accesspoint.receiver.recent_snrs import RecentSnr
from accesspoint.receiver.requests import Request
from airreid import decisions
from airreid.payload import link_of
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN
from airreid.v1 import common_pb2, uplink_pb2

Response = uplink_pb2.QueryResponse
TOP_K_DEFAULT = 10
"""Identities in a response to a request that names no number."""


def depth_of(requests: Sequence[Request]) -> int:
    """Returns how many identities a search for these requests must find.

    Two at least: the decision looks at the second too.
    """
    return max(2, *(request.top_k or TOP_K_DEFAULT for request in requests))


def response_to(request: Request) -> Response:
    """Makes a response that so far names its block, the block's link and the channel's report.

    A report is kept within the range of an SNR; one that is not a number is left out.
    """
    channel = request.channel if request.HasField("channel") else None
    response = Response(id=request.id, link=link_of(request) or "", channel=channel)
    if channel is not None and not SNR_DB_MIN <= channel.snr_db <= SNR_DB_MAX:
        if math.isnan(channel.snr_db):
            response.ClearField("channel")
        else:
            response.channel.snr_db = min(max(channel.snr_db, SNR_DB_MIN), SNR_DB_MAX)
    return response


def begin_again(response: Response, request: Request) -> None:
    """Makes a response what it was before anything was decided on; its time in the queue stays."""
    queue_ms = response.timings.queue_ms
    response.CopyFrom(response_to(request))
    response.timings.queue_ms = queue_ms


def refuse(response: Response, code: common_pb2.Code.ValueType, message: str) -> Response:
    """Writes why a block was not searched for, and returns the response: it asks for no more."""
    response.ClearField("more_wanted")
    response.status.code = code
    response.status.message = message
    return response


def write_more_wanted(response: Response, more_uses: int) -> None:
    """Writes that more of the block must be heard before it can be answered.

    What is advised of the next block is left to the answer: here it would be bits that nobody
    counts.
    """
    response.more_wanted = more_uses
    response.ClearField("first_uses")
    response.ClearField("fixed_uses")


def write_link_report(response: Response, recent: RecentSnr) -> None:
    """Writes how the camera's link was of late."""
    response.link_report.snr_db = recent.snr_db
    response.link_report.spread_db = recent.spread_db


def write_outage(response: Response, request: Request, snr_db: float) -> None:
    """Writes that the block's bits were lost on the air."""
    why = (
        "no code word of the list passes its CRC"
        if response.link == "coded"
        else "more bits than capacity carries"
    )
    measured = f" at {snr_db:+.3g} dB" if request.HasField("channel") else ""
    response.outage = True
    refuse(response, common_pb2.CODE_OUTAGE, f"{request.scheme_id}: block lost{measured}: {why}")


def write_answer(
    response: Response,
    request: Request,
    result: SearchResult,
    decision: Decision,
    fused_frames: int,
    undecided: str = "",
) -> None:
    """Writes the ranked identities and entries that the request asks for, and the decision.

    ``fused_frames`` is how many frames of a track the answer rests on. A decision that is
    ``unspecified`` and a single frame leave their fields unset; ``undecided`` says why there is
    none although the access point is calibrated.
    """
    response.status.code = common_pb2.CODE_OK
    for match in result.matches[: request.top_k or TOP_K_DEFAULT]:
        response.identities.add(
            subject=match.subject, score=match.score, entry_id=match.entry_id, camera=match.camera
        )
    response.entry_ids.extend(result.entry_ids[: request.top_entries].tolist())
    response.entry_scores.extend(result.scores[: request.top_entries].tolist())
    if fused_frames > 1:
        response.fused_frames = fused_frames
    if decision.kind == "unspecified":
        response.status.message = undecided
        return
    response.decision.kind = decisions.to_wire(decision.kind)
    response.decision.subject = decision.subject
    response.decision.threshold = decision.threshold
    response.decision.margin = decision.margin
    response.decision.false_match_rate = decision.false_match_rate
