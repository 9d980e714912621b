"""REST routes of state, subjects and entries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Body, Depends, File, Query, Request, Response, UploadFile
from fastapi.routing import APIRoute

from accesspoint.api import rest_bodies as bodies
from accesspoint.api import rest_views as views
from accesspoint.api.auth import LOCAL, Principal
from accesspoint.api.enrolment import Candidate, Enrolled, Source
from accesspoint.api.paging import PAGE_MAX
from accesspoint.api.patience import patiently
from accesspoint.api.service import Service
from accesspoint.gallery.records import UNSET
from airreid.errors import AirReidError
from airreid.images import MAX_BYTES
from airreid.subject_ids import ID_MAX

PageSize = Annotated[int, Query(ge=0, le=PAGE_MAX, description="0 means 100.")]
PageToken = Annotated[str, Query(max_length=1000)]
Filter = Annotated[str, Query(max_length=ID_MAX)]
Moment = Annotated[
    float | None, Query(ge=0, lt=253_402_300_800, description="Seconds since 1970, UTC.")
]
Image = Annotated[UploadFile, File(description="A JPEG, PNG, BMP or WebP file of one crop")]


def caller(request: Request) -> Principal:
    """Returns the principal that the guard let in."""
    who: Principal = request.scope.get("state", {}).get("principal", LOCAL)
    return who


Who = Annotated[Principal, Depends(caller)]


def image_of(upload: UploadFile) -> bytes:
    """Reads an uploaded file, up to one byte more than an image may have."""
    return upload.file.read(MAX_BYTES + 1)


def _page(name: str, page: Sequence[object], view: type[views.View], token: str) -> Response:
    """Makes the answer with a page, as JSON, row by row in the thread that calls this: the event
    loop would make it at once, and hold up all others."""
    rows = patiently(lambda row: view.model_validate(row).model_dump_json(), page)
    body = f'{{"{name}":[{",".join(rows)}],"next_page_token":{json.dumps(token)}}}'
    return Response(body, media_type="application/json")


def router(service: Service, route: type[APIRoute]) -> APIRouter:
    """Makes the routes of state, subjects and entries."""
    routes = APIRouter(prefix="/v1", route_class=route)
    _add_subjects(routes, service)
    _add_entries(routes, service)
    _add_batches(routes, service)
    return routes


def _add_subjects(routes: APIRouter, service: Service) -> None:
    @routes.get("/state", tags=["state"])
    def state() -> views.StateView:
        """Describes what is served: bundle, feature space, counts, readiness."""
        return views.StateView.model_validate(service.state())

    @routes.get("/subjects", tags=["subjects"], response_model=views.SubjectPage)
    def list_subjects(
        page_size: PageSize = 0, page_token: PageToken = "", prefix: Filter = ""
    ) -> Response:
        """Lists subjects by id, page by page."""
        page, token = service.subjects(prefix, page_size, page_token)
        return _page("subjects", page, views.SubjectView, token)

    @routes.put(
        "/subjects/{subject}", tags=["subjects"], responses={201: {"model": views.SubjectView}}
    )
    def put_subject(
        subject: str,
        who: Who,
        response: Response,
        fields: Annotated[bodies.PutSubjectBody | None, Body()] = None,
    ) -> views.SubjectView:
        """Makes a subject (201) or sets its fields."""
        given = fields or bodies.PutSubjectBody()
        stored, created = service.put_subject(
            who, subject, given.display_name, given.note, given.expires_at
        )
        response.status_code = 201 if created else 200
        return views.SubjectView.model_validate(stored)

    @routes.get("/subjects/{subject}", tags=["subjects"])
    def get_subject(subject: str) -> views.SubjectView:
        """Returns a subject."""
        return views.SubjectView.model_validate(service.subject(subject))

    @routes.patch("/subjects/{subject}", tags=["subjects"])
    def patch_subject(subject: str, who: Who, fields: bodies.PatchSubjectBody) -> views.SubjectView:
        """Sets the fields that are given."""
        given = fields.model_fields_set
        changed = service.patch_subject(
            who,
            subject,
            fields.display_name if "display_name" in given else UNSET,
            fields.note if "note" in given else UNSET,
            fields.expires_at if "expires_at" in given else UNSET,
        )
        return views.SubjectView.model_validate(changed)

    @routes.delete("/subjects/{subject}", tags=["subjects"])
    def delete_subject(subject: str, who: Who) -> views.DeletedView:
        """Deletes a subject and all its entries."""
        return views.DeletedView(entries=service.delete_subject(who, subject))

    @routes.post("/merge", tags=["subjects"])
    def merge(body: bodies.MergeBody, who: Who) -> views.SubjectView:
        """Moves all entries of one subject to another and deletes the first."""
        return views.SubjectView.model_validate(service.merge_subjects(who, body.source, body.into))


def _add_entries(routes: APIRouter, service: Service) -> None:
    @routes.get("/entries", tags=["entries"], response_model=views.EntryPage)
    def list_entries(
        subject: Filter = "",
        camera: Filter = "",
        page_size: PageSize = 0,
        page_token: PageToken = "",
    ) -> Response:
        """Lists entries by number, page by page, of one subject or camera or of all."""
        page, token = service.entries(subject, camera, page_size, page_token)
        return _page("entries", page, views.EntryView, token)

    def enrol(who: Principal, candidate: Candidate | AirReidError) -> views.EnrolledView:
        [verdict] = service.enrol(who, [candidate])
        if not isinstance(verdict, Enrolled):
            raise verdict
        return views.EnrolledView.of(verdict)

    @routes.post("/entries", status_code=201, tags=["entries"])
    def post_entry(
        subject: Filter,
        camera: Filter,
        image: Image,
        who: Who,
        key: Filter = "",
        captured_at: Moment = None,
        expires_at: Moment = None,
    ) -> views.EnrolledView:
        """Enrols an image file of one person crop."""
        source = Source(image=image_of(image))
        return enrol(who, Candidate(subject, camera, source, key, captured_at, expires_at))

    @routes.post("/entries/feature", status_code=201, tags=["entries"])
    def post_feature(
        subject: Filter,
        camera: Filter,
        feature: bodies.FeatureBody,
        who: Who,
        key: Filter = "",
        captured_at: Moment = None,
        expires_at: Moment = None,
    ) -> views.EnrolledView:
        """Enrols a feature of the backbone that is served."""
        source = feature.source(f"{subject!r}")
        return enrol(who, Candidate(subject, camera, source, key, captured_at, expires_at))

    @routes.get("/entries/{entry_id}", tags=["entries"])
    def get_entry(entry_id: int) -> views.EntryView:
        """Returns an entry."""
        return views.EntryView.model_validate(service.entry(entry_id))

    @routes.get(
        "/entries/{entry_id}/thumbnail",
        tags=["entries"],
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}},
    )
    def thumbnail(entry_id: int) -> Response:
        """Returns the crop that was enrolled, where the operator keeps them."""
        return Response(service.thumbnail(entry_id), media_type="image/jpeg")

    @routes.delete("/entries/{entry_id}", status_code=204, tags=["entries"])
    def delete_entry(entry_id: int, who: Who) -> None:
        """Deletes an entry."""
        service.delete_entry(who, entry_id)


def _add_batches(routes: APIRouter, service: Service) -> None:
    @routes.post("/entries/batch", tags=["entries"])
    def post_batch(body: bodies.BatchBody, who: Who) -> views.BatchView:
        """Enrols many items; each is answered by itself, and one answered ok is on disk."""
        verdicts = service.enrol(who, [item.candidate() for item in body.items])
        return views.BatchView(results=[views.ItemView.of(verdict) for verdict in verdicts])

    @routes.post("/entries/batch-delete", tags=["entries"])
    def delete_batch(body: bodies.BatchDeleteBody, who: Who) -> views.BatchDeletedView:
        """Deletes many entries; each is answered by itself."""
        outcomes = service.delete_entries(who, body.ids)
        return views.BatchDeletedView(
            results=[
                views.DeletedItemView(id=number, status=views.StatusView.of(outcome))
                for number, outcome in zip(body.ids, outcomes, strict=True)
            ]
        )
