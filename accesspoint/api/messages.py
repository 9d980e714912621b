"""Protobuf messages from and to the access point's own values."""

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
from airreid.subject_ids import ID_MAX
from airreid.v1 import common_pb2, gallery_pb2


def timestamp(seconds: float | None) -> Timestamp | None:
    """Makes a Timestamp of seconds since 1970; None stays None."""
    if seconds is None:
        return None
    whole, micros = divmod(math.floor(seconds * 1e6), 10**6)
    return Timestamp(seconds=whole, nanos=1000 * micros)


def seconds(message: Any, field: str) -> float | None:
    """Reads a Timestamp field as seconds since 1970; None where it is absent.

    Raises :class:`InputError` for one that is out of range.
    """
    if not message.HasField(field):
        return None
    value: Timestamp = getattr(message, field)
    if not 0 <= value.nanos < 10**9 or value.seconds < 0:
        raise InputError(f"{field}: not a time since 1970")
    return value.seconds + value.nanos / 1e9


def source(message: Any, what: str) -> Source:
    """Reads the ``source`` of a message, an image or a feature. Raises :class:`InputError`."""
    chosen = message.WhichOneof("source")
    if chosen == "feature":
        data = message.feature.values
        if len(data) % 4:
            raise InputError(f"feature of {what}: {len(data)} bytes are not float32 values")
        values = wire.from_bytes(data, len(data) // 4, f"feature of {what}")
        return source_of(None, values, message.feature.space_id, what)
    return source_of(message.image if chosen == "image" else None, None, "", what)


def candidate(item: gallery_pb2.EnrollItem) -> Candidate | InputError:
    """Reads an item to enrol; returns what is wrong with one that cannot be read."""
    try:
        return Candidate(
            subject=item.subject,
            camera=item.camera,
            source=source(item, f"{item.subject[:ID_MAX]!r}"),
            key=item.key,
            captured_at=seconds(item, "captured_at"),
            expires_at=seconds(item, "expires_at"),
        )
    except InputError as error:
        return error


def enrolled(verdict: Verdict) -> gallery_pb2.EnrollResult:
    """Makes the result of one item of an enrolment."""
    if isinstance(verdict, Enrolled):
        return gallery_pb2.EnrollResult(
            status=wire_status(None),
            entry_id=verdict.entry_id,
            quality=verdict.quality or 0.0,
            warnings=verdict.warnings,
            already_enrolled=verdict.already_enrolled,
            subject_created=verdict.subject_created,
        )
    return gallery_pb2.EnrollResult(status=wire_status(verdict))


def described(state: State) -> gallery_pb2.DescribeResponse:
    """Makes the description of what is served."""
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


def subject(stored: Subject) -> gallery_pb2.Subject:
    """Makes the message of a subject."""
    return gallery_pb2.Subject(
        id=stored.id,
        entries=stored.entries,
        display_name=stored.display_name,
        note=stored.note,
        created_at=timestamp(stored.created_at),
        updated_at=timestamp(stored.updated_at),
        expires_at=timestamp(stored.expires_at),
    )


def entry(stored: Entry) -> gallery_pb2.Entry:
    """Makes the message of an entry."""
    return gallery_pb2.Entry(
        id=stored.id,
        subject=stored.subject,
        camera=stored.camera,
        created_at=timestamp(stored.created_at),
        captured_at=timestamp(stored.captured_at),
        expires_at=timestamp(stored.expires_at),
        space_id=stored.space_id,
        quality=stored.quality or 0.0,
        key=stored.key,
        has_thumbnail=stored.has_thumbnail,
    )


def decision(outcome: Decision) -> common_pb2.Decision:
    """Makes the message of a decision."""
    return common_pb2.Decision(
        kind=decisions.to_wire(outcome.kind),
        subject=outcome.subject,
        threshold=outcome.threshold,
        margin=outcome.margin,
        false_match_rate=outcome.false_match_rate,
    )


def search_response(answer: Answer) -> gallery_pb2.SearchResponse:
    """Makes the response to a search."""
    response = gallery_pb2.SearchResponse(
        decision=decision(answer.decision), scheme_id=answer.scheme
    )
    for match in answer.result.matches:
        response.subjects.add(
            subject=match.subject, score=match.score, entry_id=match.entry_id, camera=match.camera
        )
    for hit, score in zip(answer.entries, answer.result.scores.tolist(), strict=True):
        response.entries.add(subject=hit.subject, score=score, entry_id=hit.id, camera=hit.camera)
    return response


def verified(verification: Verification) -> gallery_pb2.VerifyResponse:
    """Makes the response to a verification."""
    return gallery_pb2.VerifyResponse(
        score=verification.score,
        threshold=verification.decision.threshold,
        kind=decisions.to_wire(verification.decision.kind),
        entry_id=verification.entry_id,
        scheme_id=verification.scheme,
    )


def policy(search_service: SearchService) -> gallery_pb2.Policy:
    """Makes the message of the documents in force."""
    match_policy, quality_gate = search_service.policy()
    return gallery_pb2.Policy(
        match_policy=match_policy,
        quality_gate=quality_gate,
        previous_match_policy=search_service.previous_policy(),
    )


def job(record: Job) -> gallery_pb2.Job:
    """Makes the message of a job."""
    return gallery_pb2.Job(
        id=record.id,
        kind=record.kind,
        state=record.state,
        done=record.done,
        total=record.total,
        result=record.result,
        created_at=timestamp(record.created_at),
        finished_at=timestamp(record.finished_at),
    )
