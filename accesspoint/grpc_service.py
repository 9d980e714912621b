"""The gRPC shell over the gallery."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from accesspoint.enrolment import Candidate, Enrolment
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.paging import entry_page, subject_page
from airreid import wire
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.v1 import common_pb2, gallery_pb2, gallery_pb2_grpc

Context = aio.ServicerContext[Any, Any]


class GalleryService(gallery_pb2_grpc.GalleryServiceServicer):
    """Enrolment, listing and deletion."""

    def __init__(self, bundle: Bundle, gallery: Gallery, enrolment: Enrolment) -> None:
        self._bundle = bundle
        self._gallery = gallery
        self._enrolment = enrolment

    async def Describe(
        self, request: gallery_pb2.DescribeRequest, context: Context
    ) -> gallery_pb2.DescribeResponse:
        subjects, entries = await asyncio.to_thread(self._gallery.counts)
        return gallery_pb2.DescribeResponse(
            bundle_id=self._bundle.bundle_id,
            bundle_name=self._bundle.manifest.name,
            space_id=self._gallery.space_id,
            scheme_ids=self._bundle.scheme_ids,
            subjects=subjects,
            entries=entries,
        )

    async def Enroll(
        self, request: gallery_pb2.EnrollRequest, context: Context
    ) -> gallery_pb2.EnrollResponse:
        return await asyncio.to_thread(self._enroll, request)

    def _enroll(self, request: gallery_pb2.EnrollRequest) -> gallery_pb2.EnrollResponse:
        dim = self._bundle.backbone.feature_dim
        outcomes: list[int | InputError | None] = []
        candidates = []
        for item in request.items:
            try:
                candidates.append(_candidate(item, dim))
                outcomes.append(None)
            except InputError as error:
                outcomes.append(error)
        verdicts = iter(self._enrolment.enrol(candidates))
        results = [_result(next(verdicts) if one is None else one) for one in outcomes]
        return gallery_pb2.EnrollResponse(results=results)

    async def ListSubjects(
        self, request: gallery_pb2.ListSubjectsRequest, context: Context
    ) -> gallery_pb2.ListSubjectsResponse:
        try:
            page, token = await asyncio.to_thread(
                subject_page, self._gallery, request.page_size, request.page_token
            )
        except InputError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return gallery_pb2.ListSubjectsResponse(
            subjects=[gallery_pb2.Subject(id=one.id, entries=one.entries) for one in page],
            next_page_token=token,
        )

    async def ListEntries(
        self, request: gallery_pb2.ListEntriesRequest, context: Context
    ) -> gallery_pb2.ListEntriesResponse:
        try:
            page, token = await asyncio.to_thread(
                entry_page,
                self._gallery,
                request.page_size,
                request.page_token,
                request.subject,
            )
        except InputError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = gallery_pb2.ListEntriesResponse(next_page_token=token)
        for entry in page:
            created = Timestamp()
            created.FromMicroseconds(int(entry.created_at * 1e6))
            response.entries.add(
                id=entry.id, subject=entry.subject, camera=entry.camera, created_at=created
            )
        return response

    async def DeleteSubject(
        self, request: gallery_pb2.DeleteSubjectRequest, context: Context
    ) -> gallery_pb2.DeleteSubjectResponse:
        count = await asyncio.to_thread(self._gallery.delete_subject, request.id)
        if count is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no subject {request.id!r}")
        return gallery_pb2.DeleteSubjectResponse(entries=count or 0)

    async def DeleteEntry(
        self, request: gallery_pb2.DeleteEntryRequest, context: Context
    ) -> gallery_pb2.DeleteEntryResponse:
        if request.id >= 2**63 or not await asyncio.to_thread(
            self._gallery.delete_entry, request.id
        ):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no entry {request.id}")
        return gallery_pb2.DeleteEntryResponse()


def _candidate(item: gallery_pb2.EnrollItem, dim: int) -> Candidate:
    match item.WhichOneof("source"):
        case "image":
            return Candidate(item.subject, item.camera, image=item.image)
        case "feature":
            values = wire.from_bytes(item.feature.values, dim, f"feature of {item.subject}")
            return Candidate(
                item.subject, item.camera, feature=values, space_id=item.feature.space_id
            )
        case _:
            raise InputError(f"item of {item.subject!r}: give an image or a feature")


def _result(outcome: int | InputError) -> gallery_pb2.EnrollResult:
    if isinstance(outcome, InputError):
        status = common_pb2.Status(code=common_pb2.CODE_INVALID, message=str(outcome))
        return gallery_pb2.EnrollResult(status=status)
    return gallery_pb2.EnrollResult(
        status=common_pb2.Status(code=common_pb2.CODE_OK), entry_id=outcome
    )
