"""What REST takes and gives, as JSON. Times are seconds since 1970, UTC."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from accesspoint.api.enrolment import ITEMS_MAX, Candidate, Enrolled, Source, Verdict, source_of
from accesspoint.api.finding import TOP_MAX, Answer, Verification
from accesspoint.api.jobs import Job
from accesspoint.api.problems import detail_of, kind_of
from accesspoint.gallery.records import TEXT_MAX
from accesspoint.matching.decision import Decision
from airreid import wire
from airreid.errors import AirReidError, InputError

Text = Annotated[str, Field(max_length=TEXT_MAX)]
Name = Annotated[str, Field(max_length=128)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""No text and no truth value."""
Time = Annotated[float, Field(strict=True, ge=0, lt=253_402_300_800, allow_inf_nan=False)]
Floats = Annotated[list[Number], Field(min_length=1, max_length=65_536)]
_IMAGE_TEXT = 45_000_000
"""Characters of an image in base64."""


class View(BaseModel):
    """What is given; made from values with the same fields."""

    model_config = ConfigDict(from_attributes=True)


class Body(BaseModel):
    """What is taken; a field that nobody knows is refused."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    """What programs look at: the same code as in the details of a gRPC status."""
    request_id: str
    """As in the header X-Request-Id and the access point's log."""


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
    """Empty on the last page."""


class PutSubjectBody(Body):
    """What is left out stays as it is."""

    display_name: Text | None = None
    note: Text | None = None
    expires_at: Time | None = None


class PatchSubjectBody(Body):
    """What is left out stays as it is; an ``expires_at`` of null takes the expiry away."""

    display_name: Text = ""
    note: Text = ""
    expires_at: Time | None = None


class MergeBody(Body):
    source: Name
    """Is gone afterwards."""
    into: Name


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


class FeatureBody(Body):
    """A feature of the backbone that is served."""

    space_id: Text
    values: Floats | None = None
    values_base64: Annotated[str, Field(max_length=400_000)] | None = None
    """Instead of ``values``: little-endian IEEE 754 binary32."""

    def source(self, what: str) -> Source:
        """Raises :class:`InputError`."""
        if (self.values is None) == (self.values_base64 is None):
            raise InputError(f"feature of {what}: give values or values_base64")
        if self.values is not None:
            with np.errstate(over="ignore"):  # infinite then, and refused by name later
                return Source(None, np.asarray(self.values, dtype=np.float32), self.space_id)
        data = _decoded(self.values_base64 or "", f"feature of {what}")
        if not data or len(data) % 4:
            raise InputError(f"feature of {what}: {len(data)} bytes are not float32 values")
        values = wire.from_bytes(data, len(data) // 4, f"feature of {what}")
        return Source(None, values, self.space_id)


class FeatureSearchBody(FeatureBody):
    top_k: Annotated[int, Field(strict=True, ge=0, le=TOP_MAX)] = 0
    """Subjects to answer with; 0 means 10."""
    top_entries: Annotated[int, Field(strict=True, ge=0, le=TOP_MAX)] = 0
    """Entries to answer with."""


class ItemBody(Body):
    """Somebody to enrol: an image or a feature."""

    subject: Name
    camera: Name
    image_base64: Annotated[str, Field(max_length=_IMAGE_TEXT)] | None = None
    """A JPEG, PNG, BMP or WebP file."""
    feature: FeatureBody | None = None
    key: Name = ""
    """The client's own name for the entry: a second one of the subject with it replaces
    the first."""
    captured_at: Time | None = None
    expires_at: Time | None = None

    def candidate(self) -> Candidate | InputError:
        """What is to be enrolled, or what is wrong with it."""
        what = f"{self.subject[:128]!r}"
        try:
            image = None
            if self.image_base64 is not None:
                image = _decoded(self.image_base64, f"image of {what}")
            if image is None and self.feature is not None:
                source = self.feature.source(what)
            elif self.feature is None:
                source = source_of(image, None, "", what)
            else:
                raise InputError(f"{what}: give an image or a feature")
        except InputError as error:
            return error
        return Candidate(
            self.subject, self.camera, source, self.key, self.captured_at, self.expires_at
        )


class BatchBody(Body):
    items: Annotated[list[ItemBody], Field(max_length=ITEMS_MAX)]


class BatchDeleteBody(Body):
    ids: Annotated[list[Annotated[int, Field(strict=True)]], Field(max_length=ITEMS_MAX)]


class StatusView(BaseModel):
    """Of one item of a batch."""

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
    """What the quality gate found."""

    @staticmethod
    def of(one: Enrolled) -> EnrolledView:
        return EnrolledView(id=one.entry_id, quality=one.quality, warnings=list(one.warnings))


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
    """In the order of the items."""


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
    kind: Literal["match", "unknown", "ambiguous", "unspecified"]
    subject: str
    threshold: float
    margin: float
    false_match_rate: float

    @staticmethod
    def of(one: Decision) -> DecisionView:
        return DecisionView.model_validate(one)


class SearchView(BaseModel):
    subjects: list[HitView]
    entries: list[HitView]
    decision: DecisionView

    @staticmethod
    def of(answer: Answer) -> SearchView:
        scores = answer.found.scores.tolist()
        return SearchView(
            subjects=[HitView.model_validate(match) for match in answer.found.matches],
            entries=[
                HitView(subject=one.subject, score=score, entry_id=one.id, camera=one.camera)
                for one, score in zip(answer.entries, scores, strict=True)
            ],
            decision=DecisionView.of(answer.decision),
        )


class VerifyView(BaseModel):
    score: float
    threshold: float
    kind: Literal["match", "unknown", "ambiguous", "unspecified"]
    entry_id: int

    @staticmethod
    def of(one: Verification) -> VerifyView:
        return VerifyView(
            score=one.score,
            threshold=one.decision.threshold,
            kind=one.decision.kind,
            entry_id=one.entry_id,
        )


class PolicyBody(Body):
    """Documents as docs/matching.md describes them; what is left out stays as it is."""

    match_policy: dict[str, JsonValue] | None = None
    quality_gate: dict[str, JsonValue] | None = None


class PolicyView(BaseModel):
    match_policy: dict[str, Any]
    quality_gate: dict[str, Any]


class JobBody(Body):
    kind: Annotated[str, Field(max_length=64)]
    """reindex, export, import, calibrate, backup or prove_deleted."""
    parameters: Annotated[
        dict[str, Annotated[str, Field(max_length=10_000)]], Field(max_length=16)
    ] = {}


class JobView(View):
    id: str
    kind: str
    parameters: dict[str, str]
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    done: int
    total: int
    """0 while nobody knows."""
    result: str
    """A JSON document; of a failed job, what went wrong."""
    created_at: float
    finished_at: float | None

    @staticmethod
    def of(job: Job) -> JobView:
        return JobView.model_validate(job)


class JobsView(BaseModel):
    jobs: list[JobView]
    """The newest first."""


class HealthView(BaseModel):
    live: bool
    ready: bool


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"{what}: not base64") from None
