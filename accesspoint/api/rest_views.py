"""Bodies that REST answers with, as JSON. Times are seconds since 1970, UTC."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from accesspoint.api.enrolment import Enrolled, Verdict
from accesspoint.api.jobs import Job
from accesspoint.api.problems import detail_of, kind_of
from accesspoint.api.search_service import Answer, Verification
from accesspoint.matching.decision import Decision
from airreid.decisions import DecisionKind
from airreid.errors import AirReidError


class View(BaseModel):
    """Base of the answers; made from values with the same fields."""

    model_config = ConfigDict(from_attributes=True)


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    """Code for programs, the same as in the details of a gRPC status."""
    request_id: str
    """Id of the request, as in the header X-Request-Id and the access point's log."""


class StateView(View):
    bundle_id: str
    bundle_name: str
    space_id: str
    schemes: list[str]
    subjects: int
    entries: int
    ready: bool
    other_space_entries: int
    """Entries of another feature space, which are not searched: start a reindex job."""
    index: str
    """auto, flat, sq8 or milvus, as the operator chose."""
    image_bytes_max: int
    """Bytes of an image file that is searched for or enrolled, at most."""
    false_match_rate: float | None
    """Rate of the policy in force with as many subjects as there are now; null: not calibrated."""


class SubjectView(View):
    id: str
    display_name: str
    note: str
    created_at: float
    updated_at: float
    expires_at: float | None
    entries: int


class SubjectPage(BaseModel):
    subjects: list[SubjectView]
    next_page_token: str
    """Token of the next page; empty on the last one."""


class DeletedView(BaseModel):
    entries: int


class EntryView(View):
    id: int
    subject: str
    camera: str
    space_id: str
    created_at: float
    captured_at: float | None
    expires_at: float | None
    quality: float | None
    """0 to 1; null where nobody looked."""
    key: str
    has_thumbnail: bool


class EntryPage(BaseModel):
    entries: list[EntryView]
    next_page_token: str


class StatusView(BaseModel):
    """Status of one item of a batch."""

    code: str
    """``ok``, or the code that a problem document would carry."""
    message: str = ""

    @staticmethod
    def of(error: AirReidError | None) -> StatusView:
        if error is None:
            return StatusView(code="ok")
        return StatusView(code=kind_of(error).code, message=detail_of(error, ""))


class EnrolledView(BaseModel):
    id: int
    quality: float | None
    warnings: list[str]
    """Complaints of the quality gate."""
    already_enrolled: bool
    """The same image of the same camera was there: nothing was added."""
    subject_created: bool
    """The subject was not there: it was made with this entry."""

    @staticmethod
    def of(entry: Enrolled) -> EnrolledView:
        return EnrolledView(
            id=entry.entry_id,
            quality=entry.quality,
            warnings=list(entry.warnings),
            already_enrolled=entry.already_enrolled,
            subject_created=entry.subject_created,
        )


class ItemView(BaseModel):
    status: StatusView
    entry: EnrolledView | None = None

    @staticmethod
    def of(verdict: Verdict) -> ItemView:
        if isinstance(verdict, Enrolled):
            return ItemView(status=StatusView.of(None), entry=EnrolledView.of(verdict))
        return ItemView(status=StatusView.of(verdict))


class BatchView(BaseModel):
    results: list[ItemView]
    """Results in the order of the items."""


class DeletedItemView(BaseModel):
    id: int
    status: StatusView


class BatchDeletedView(BaseModel):
    results: list[DeletedItemView]


class HitView(View):
    subject: str
    score: float
    """Cosine similarity, -1 to 1."""
    entry_id: int
    camera: str


class DecisionView(View):
    kind: DecisionKind
    subject: str
    threshold: float
    margin: float
    false_match_rate: float

    @staticmethod
    def of(decision: Decision) -> DecisionView:
        return DecisionView.model_validate(decision)


class SearchView(BaseModel):
    subjects: list[HitView]
    entries: list[HitView]
    decision: DecisionView
    scheme: str
    """Scheme whose embeddings were compared."""

    @staticmethod
    def of(answer: Answer) -> SearchView:
        scores = answer.result.scores.tolist()
        return SearchView(
            subjects=[HitView.model_validate(match) for match in answer.result.matches],
            entries=[
                HitView(subject=entry.subject, score=score, entry_id=entry.id, camera=entry.camera)
                for entry, score in zip(answer.entries, scores, strict=True)
            ],
            decision=DecisionView.of(answer.decision),
            scheme=answer.scheme,
        )


class VerifyView(BaseModel):
    score: float
    threshold: float
    kind: DecisionKind
    entry_id: int
    scheme: str
    """Scheme whose embeddings were compared."""

    @staticmethod
    def of(verification: Verification) -> VerifyView:
        return VerifyView(
            score=verification.score,
            threshold=verification.decision.threshold,
            kind=verification.decision.kind,
            entry_id=verification.entry_id,
            scheme=verification.scheme,
        )


class PolicyView(BaseModel):
    match_policy: dict[str, Any]
    quality_gate: dict[str, Any]


class CalibrationView(View):
    """Outlook of a calibration before it is started."""

    refusal: str
    """Reason that it must fail, in the job's own words; empty where none is known."""
    caution: str
    """Gap that its report will have; empty where none is known."""
    subjects: int
    """Subjects with entries that are searched."""
    cameras: int
    """Cameras that such entries are of; 2 for two or more."""
    subjects_needed: int
    """Subjects that the rate takes at its confidence."""


class JobView(View):
    id: str
    kind: str
    parameters: dict[str, str]
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    done: int
    total: int
    """Steps in total; 0 while nobody knows."""
    result: str
    """Result as a JSON document; of a failed job, what went wrong."""
    created_at: float
    finished_at: float | None

    @staticmethod
    def of(job: Job) -> JobView:
        return JobView.model_validate(job)


class JobsView(BaseModel):
    jobs: list[JobView]
    """All jobs, the newest first."""


class HealthView(BaseModel):
    live: bool
    ready: bool
