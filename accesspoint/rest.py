"""REST under /v1: the gallery for people with curl; the same functions as gRPC."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import FastAPI, File, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from accesspoint.enrolment import Candidate, Enrolment
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.paging import PAGE_MAX, entry_page, subject_page
from airreid import __version__
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.images import MAX_BYTES

PageSize = Annotated[int, Query(ge=0, le=PAGE_MAX)]


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str


class NotFoundError(Exception):
    """Something that the path names does not exist."""


class SubjectView(BaseModel):
    id: str
    entries: int


class SubjectPage(BaseModel):
    subjects: list[SubjectView]
    next_page_token: str


class EntryView(BaseModel):
    id: int
    subject: str
    camera: str
    created_at: float
    """Seconds since 1970, UTC."""


class EntryPage(BaseModel):
    entries: list[EntryView]
    next_page_token: str


class EnrolledView(BaseModel):
    id: int


class FeatureBody(BaseModel):
    space_id: str
    values: Annotated[list[float], Field(max_length=65536)]


class DeletedView(BaseModel):
    entries: int


class StateView(BaseModel):
    bundle_id: str
    bundle_name: str
    space_id: str
    schemes: list[str]
    subjects: int
    entries: int


def _problem(status: int, title: str, detail: str, code: str) -> JSONResponse:
    problem = Problem(title=title, status=status, detail=detail, code=code)
    return JSONResponse(
        problem.model_dump(), status_code=status, media_type="application/problem+json"
    )


def build_app(bundle: Bundle, gallery: Gallery, enrolment: Enrolment) -> FastAPI:
    """The application; its handlers run in worker threads and share the gallery."""
    app = FastAPI(
        title="AirReID access point",
        version=__version__,
        docs_url=None,  # these pages fetch scripts from other hosts
        redoc_url=None,
    )

    @app.exception_handler(InputError)
    def _input_error(_: Request, error: InputError) -> JSONResponse:
        return _problem(400, "Bad input", str(error), "invalid")

    @app.exception_handler(NotFoundError)
    def _not_found(_: Request, error: NotFoundError) -> JSONResponse:
        return _problem(404, "Not found", str(error), "not_found")

    @app.exception_handler(RequestValidationError)
    def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return _problem(422, "Bad request", f"{where}: {first['msg']}", "invalid")

    @app.get("/v2/health/live")
    def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/v2/health/ready")
    def ready() -> JSONResponse:
        there = gallery.ready
        return JSONResponse({"ready": there}, status_code=200 if there else 503)

    @app.get("/v1/state")
    def state() -> StateView:
        subjects, entries = gallery.counts()
        return StateView(
            bundle_id=bundle.bundle_id,
            bundle_name=bundle.manifest.name,
            space_id=gallery.space_id,
            schemes=bundle.scheme_ids,
            subjects=subjects,
            entries=entries,
        )

    @app.get("/v1/subjects")
    def list_subjects(page_size: PageSize = 0, page_token: str = "") -> SubjectPage:
        page, token = subject_page(gallery, page_size, page_token)
        return SubjectPage(
            subjects=[SubjectView(id=one.id, entries=one.entries) for one in page],
            next_page_token=token,
        )

    def _subject(subject: str) -> SubjectView:
        found = gallery.subject(subject)
        if found is None:
            raise NotFoundError(f"no subject {subject!r}")
        return SubjectView(id=found.id, entries=found.entries)

    @app.put("/v1/subjects/{subject}")
    def put_subject(subject: str) -> SubjectView:
        gallery.put_subject(subject)
        return _subject(subject)

    @app.get("/v1/subjects/{subject}")
    def get_subject(subject: str) -> SubjectView:
        return _subject(subject)

    @app.delete("/v1/subjects/{subject}")
    def delete_subject(subject: str) -> DeletedView:
        count = gallery.delete_subject(subject)
        if count is None:
            raise NotFoundError(f"no subject {subject!r}")
        return DeletedView(entries=count)

    @app.get("/v1/entries")
    def list_entries(subject: str = "", page_size: PageSize = 0, page_token: str = "") -> EntryPage:
        page, token = entry_page(gallery, page_size, page_token, subject)
        return EntryPage(
            entries=[EntryView.model_validate(vars(entry)) for entry in page], next_page_token=token
        )

    def _enrol(candidate: Candidate) -> EnrolledView:
        outcome = enrolment.enrol([candidate])[0]
        if isinstance(outcome, InputError):
            raise outcome
        return EnrolledView(id=outcome)

    @app.post("/v1/entries", status_code=201)
    def post_entry(
        subject: str, camera: str, image: Annotated[UploadFile, File(description="Person crop")]
    ) -> EnrolledView:
        """Enrols an image file of one person crop."""
        data = image.file.read(MAX_BYTES + 1)
        return _enrol(Candidate(subject, camera, image=data))

    @app.post("/v1/entries/feature", status_code=201)
    def post_feature(subject: str, camera: str, feature: FeatureBody) -> EnrolledView:
        """Enrols a feature of the backbone that is served."""
        values = np.asarray(feature.values, dtype=np.float32)
        return _enrol(Candidate(subject, camera, feature=values, space_id=feature.space_id))

    @app.delete("/v1/entries/{entry_id}", status_code=204)
    def delete_entry(entry_id: int) -> None:
        if not 0 < entry_id < 2**63 or not gallery.delete_entry(entry_id):
            raise NotFoundError(f"no entry {entry_id}")

    return app
