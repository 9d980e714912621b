"""Protobuf messages from and to the gallery's own values."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from accesspoint.api.enrolment import Candidate, Enrolled, Source, Verdict, source_of
from accesspoint.api.jobs import Job
from accesspoint.api.problems import wire_status
from accesspoint.api.search_service import Answer, SearchService, Verification
from accesspoint.api.service import State
from accesspoint.gallery.records import Entry, Subject
from accesspoint.matching.decision import Decision
from airreid import decisions, wire
from airreid.errors import InputError
from airreid.v1 import common_pb2, gallery_pb2


def timestamp(seconds: float | None) -> Timestamp | None:
    """Seconds since 1970 as a message; None stays None."""
    if seconds is None:
        return None
    made = Timestamp()
    made.FromMicroseconds(math.floor(seconds * 1e6))
    return made


def seconds(message: Any, field: str) -> float | None:
    """A Timestamp field as seconds since 1970; None where it is absent.

    Raises :class:`InputError` for one that is out of range.
    """
    if not message.HasField(field):
        return None
    value: Timestamp = getattr(message, field)
    if not 0 <= value.nanos < 10**9 or value.seconds < 0:
        raise InputError(f"{field}: not a time since 1970")
    return value.seconds + value.nanos / 1e9


def source(message: Any, what: str) -> Source:
    """The ``source`` of a message: an image or a feature. Raises :class:`InputError`."""
    chosen = message.WhichOneof("source")
    if chosen == "feature":
        data = message.feature.values
        if len(data) % 4:
            raise InputError(f"feature of {what}: {len(data)} bytes are not float32 values")
        values = wire.from_bytes(data, len(data) // 4, f"feature of {what}")
        return source_of(None, values, message.feature.space_id, what)
    return source_of(message.image if chosen == "image" else None, None, "", what)


def candidate(item: gallery_pb2.EnrollItem) -> Candidate | InputError:
    """An item to enrol, or what is wrong with it."""
    try:
        return Candidate(
            subject=item.subject,
            camera=item.camera,
            source=source(item, f"{item.subject[:128]!r}"),
            key=item.key,
            captured_at=seconds(item, "captured_at"),
            expires_at=seconds(item, "expires_at"),
        )
    except InputError as error:
        return error


def enrolled(verdict: Verdict) -> gallery_pb2.EnrollResult:
    if isinstance(verdict, Enrolled):
        return gallery_pb2.EnrollResult(
            status=wire_status(None),
            entry_id=verdict.entry_id,
            quality=verdict.quality or 0.0,
            warnings=verdict.warnings,
        )
    return gallery_pb2.EnrollResult(status=wire_status(verdict))


def described(state: State) -> gallery_pb2.DescribeResponse:
    return gallery_pb2.DescribeResponse(
        bundle_id=state.bundle_id,
        bundle_name=state.bundle_name,
        space_id=state.space_id,
        scheme_ids=state.schemes,
        subjects=state.subjects,
        entries=state.entries,
        ready=state.ready,
        other_space_entries=state.other_space_entries,
        index=state.index,
        false_match_rate=state.false_match_rate or 0.0,
    )


def subject(one: Subject) -> gallery_pb2.Subject:
    return gallery_pb2.Subject(
        id=one.id,
        entries=one.entries,
        display_name=one.display_name,
        note=one.note,
        created_at=timestamp(one.created_at),
        updated_at=timestamp(one.updated_at),
        expires_at=timestamp(one.expires_at),
    )


def entry(one: Entry) -> gallery_pb2.Entry:
    return gallery_pb2.Entry(
        id=one.id,
        subject=one.subject,
        camera=one.camera,
        created_at=timestamp(one.created_at),
        captured_at=timestamp(one.captured_at),
        expires_at=timestamp(one.expires_at),
        space_id=one.space_id,
        quality=one.quality or 0.0,
        key=one.key,
        has_thumbnail=one.has_thumbnail,
    )


def decision(one: Decision) -> common_pb2.Decision:
    return common_pb2.Decision(
        kind=decisions.to_wire(one.kind),
        subject=one.subject,
        threshold=one.threshold,
        margin=one.margin,
        false_match_rate=one.false_match_rate,
    )


def found(answer: Answer) -> gallery_pb2.SearchResponse:
    response = gallery_pb2.SearchResponse(
        decision=decision(answer.decision), scheme_id=answer.scheme
    )
    for match in answer.found.matches:
        response.subjects.add(
            subject=match.subject, score=match.score, entry_id=match.entry_id, camera=match.camera
        )
    for one, score in zip(answer.entries, answer.found.scores.tolist(), strict=True):
        response.entries.add(subject=one.subject, score=score, entry_id=one.id, camera=one.camera)
    return response


def verified(one: Verification) -> gallery_pb2.VerifyResponse:
    return gallery_pb2.VerifyResponse(
        score=one.score,
        threshold=one.decision.threshold,
        kind=decisions.to_wire(one.decision.kind),
        entry_id=one.entry_id,
        scheme_id=one.scheme,
    )


def policy(search_service: SearchService) -> gallery_pb2.Policy:
    match_policy, quality_gate = search_service.policy()
    return gallery_pb2.Policy(match_policy=match_policy, quality_gate=quality_gate)


def job(one: Job) -> gallery_pb2.Job:
    return gallery_pb2.Job(
        id=one.id,
        kind=one.kind,
        state=one.state,
        done=one.done,
        total=one.total,
        result=one.result,
        created_at=timestamp(one.created_at),
        finished_at=timestamp(one.finished_at),
    )
