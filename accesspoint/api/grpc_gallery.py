"""GalleryService over gRPC: protobuf messages in and out of :mod:`accesspoint.api`."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from typing import Any, TypeVar

from grpc import aio

from accesspoint.api import messages, problems
from accesspoint.api.auth import Access, Principal, scope_of_rpc
from accesspoint.api.jobs import Jobs
from accesspoint.api.metrics import Metrics
from accesspoint.api.search_service import SearchService
from accesspoint.api.service import Service
from accesspoint.errors import RateLimitedError
from accesspoint.gallery.records import UNSET
from airreid.credentials import certificate_names
from airreid.v1 import gallery_pb2, gallery_pb2_grpc

Context = aio.ServicerContext[Any, Any]
Answer = TypeVar("Answer")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
g = gallery_pb2


def principal_of(context: Context, access: Access) -> Principal:
    """Identifies a caller by the token in the metadata and the connection's certificate.

    Raises :class:`accesspoint.errors.UnauthorizedError`.
    """
    metadata = dict(context.invocation_metadata() or ())
    shown = metadata.get("authorization")
    names = certificate_names(context.auth_context())
    return access.principal(shown if isinstance(shown, str) else None, names)


def request_id_of(context: Context) -> str:
    """Returns the caller's name for the request (``x-request-id``), or a new one."""
    given = dict(context.invocation_metadata() or ()).get("x-request-id", "")
    usable = isinstance(given, str) and _REQUEST_ID.fullmatch(given)
    return str(given) if usable else secrets.token_hex(8)


async def abort(context: Context, error: BaseException, request_id: str) -> None:
    """Ends the call with the error's status and details."""
    detail = problems.detail_of(error, request_id)
    await context.abort_with_status(
        problems.grpc_status(problems.kind_of(error), detail, request_id)
    )


class GalleryService(gallery_pb2_grpc.GalleryServiceServicer):
    """Servicer that translates; see the proto file for the methods' meanings."""

    def __init__(
        self,
        service: Service,
        search_service: SearchService,
        jobs: Jobs,
        access: Access,
        metrics: Metrics,
        max_calls: int = 256,
    ) -> None:
        """``max_calls``: calls under way, each with its message in memory; further ones are
        told to come again."""
        self._service = service
        self._search_service = search_service
        self._jobs = jobs
        self._access = access
        self._metrics = metrics
        self._max_calls = max_calls
        self._calls = 0

    async def _call(
        self, context: Context, method: str, work: Callable[[Principal], Answer]
    ) -> Answer:
        """Does the work in a thread, if the caller has the method's scope."""
        request_id, started, code = request_id_of(context), time.perf_counter(), "ok"
        context.set_trailing_metadata((("x-request-id", request_id),))
        self._calls += 1
        try:
            who = principal_of(context, self._access)
            who.demand(scope_of_rpc(method))
            if self._calls > self._max_calls:
                raise RateLimitedError(f"more than {self._max_calls} calls at once")
            return await asyncio.to_thread(work, who)
        except Exception as error:  # whatever it is, the caller gets a status
            code = problems.kind_of(error).code
            await abort(context, error, request_id)
            raise
        finally:
            self._calls -= 1
            self._metrics.requests.labels("grpc", method, code).observe(
                time.perf_counter() - started
            )

    async def Describe(self, request: g.DescribeRequest, context: Context) -> g.DescribeResponse:
        return await self._call(
            context, "Describe", lambda _: messages.described(self._service.state())
        )

    # Subjects

    async def PutSubject(self, request: g.PutSubjectRequest, context: Context) -> g.Subject:
        return await self._call(
            context,
            "PutSubject",
            lambda who: messages.subject(
                self._service.put_subject(
                    who,
                    request.id,
                    request.display_name or None,
                    request.note or None,
                    messages.seconds(request, "expires_at"),
                )[0]
            ),
        )

    async def GetSubject(self, request: g.GetSubjectRequest, context: Context) -> g.Subject:
        return await self._call(
            context, "GetSubject", lambda _: messages.subject(self._service.subject(request.id))
        )

    async def PatchSubject(self, request: g.PatchSubjectRequest, context: Context) -> g.Subject:
        def work(who: Principal) -> g.Subject:
            changed = self._service.patch_subject(
                who,
                request.id,
                request.display_name if request.HasField("display_name") else UNSET,
                request.note if request.HasField("note") else UNSET,
                # the epoch itself stands for never
                (messages.seconds(request, "expires_at") or None)
                if request.HasField("expires_at")
                else UNSET,
            )
            return messages.subject(changed)

        return await self._call(context, "PatchSubject", work)

    async def ListSubjects(
        self, request: g.ListSubjectsRequest, context: Context
    ) -> g.ListSubjectsResponse:
        def work(_: Principal) -> g.ListSubjectsResponse:
            page, token = self._service.subjects(
                request.prefix, request.page_size, request.page_token
            )
            return g.ListSubjectsResponse(
                subjects=[messages.subject(subject) for subject in page], next_page_token=token
            )

        return await self._call(context, "ListSubjects", work)

    async def DeleteSubject(
        self, request: g.DeleteSubjectRequest, context: Context
    ) -> g.DeleteSubjectResponse:
        return await self._call(
            context,
            "DeleteSubject",
            lambda who: g.DeleteSubjectResponse(
                entries=self._service.delete_subject(who, request.id)
            ),
        )

    async def MergeSubjects(self, request: g.MergeSubjectsRequest, context: Context) -> g.Subject:
        return await self._call(
            context,
            "MergeSubjects",
            lambda who: messages.subject(
                self._service.merge_subjects(who, request.source, request.into)
            ),
        )

    # Entries

    async def Enroll(self, request: g.EnrollRequest, context: Context) -> g.EnrollResponse:
        def work(who: Principal) -> g.EnrollResponse:
            verdicts = self._service.enrol(
                who, [messages.candidate(item) for item in request.items]
            )
            return g.EnrollResponse(results=[messages.enrolled(verdict) for verdict in verdicts])

        return await self._call(context, "Enroll", work)

    async def GetEntry(self, request: g.GetEntryRequest, context: Context) -> g.Entry:
        return await self._call(
            context, "GetEntry", lambda _: messages.entry(self._service.entry(request.id))
        )

    async def ListEntries(
        self, request: g.ListEntriesRequest, context: Context
    ) -> g.ListEntriesResponse:
        def work(_: Principal) -> g.ListEntriesResponse:
            page, token = self._service.entries(
                request.subject, request.camera, request.page_size, request.page_token
            )
            return g.ListEntriesResponse(
                entries=[messages.entry(entry) for entry in page], next_page_token=token
            )

        return await self._call(context, "ListEntries", work)

    async def DeleteEntry(
        self, request: g.DeleteEntryRequest, context: Context
    ) -> g.DeleteEntryResponse:
        def work(who: Principal) -> g.DeleteEntryResponse:
            self._service.delete_entry(who, request.id)
            return g.DeleteEntryResponse()

        return await self._call(context, "DeleteEntry", work)

    async def DeleteEntries(
        self, request: g.DeleteEntriesRequest, context: Context
    ) -> g.DeleteEntriesResponse:
        def work(who: Principal) -> g.DeleteEntriesResponse:
            outcomes = self._service.delete_entries(who, request.ids)
            return g.DeleteEntriesResponse(
                statuses=[problems.wire_status(outcome) for outcome in outcomes]
            )

        return await self._call(context, "DeleteEntries", work)

    # Search and policy

    async def Search(self, request: g.SearchRequest, context: Context) -> g.SearchResponse:
        def work(_: Principal) -> g.SearchResponse:
            source = messages.source(request, "search")
            answer = self._search_service.search(
                source, request.top_k, request.top_entries, request.scheme_id
            )
            return messages.search_response(answer)

        return await self._call(context, "Search", work)

    async def Verify(self, request: g.VerifyRequest, context: Context) -> g.VerifyResponse:
        def work(_: Principal) -> g.VerifyResponse:
            source = messages.source(request, "verify")
            verification = self._search_service.verify(request.subject, source, request.scheme_id)
            return messages.verified(verification)

        return await self._call(context, "Verify", work)

    async def GetPolicy(self, request: g.GetPolicyRequest, context: Context) -> g.Policy:
        return await self._call(
            context, "GetPolicy", lambda _: messages.policy(self._search_service)
        )

    async def SetPolicy(self, request: g.Policy, context: Context) -> g.Policy:
        def work(who: Principal) -> g.Policy:
            self._search_service.set_policy(who, request.match_policy, request.quality_gate)
            return messages.policy(self._search_service)

        return await self._call(context, "SetPolicy", work)

    # Jobs

    async def StartJob(self, request: g.StartJobRequest, context: Context) -> g.Job:
        return await self._call(
            context,
            "StartJob",
            lambda who: messages.job(self._jobs.start(who, request.kind, dict(request.parameters))),
        )

    async def GetJob(self, request: g.GetJobRequest, context: Context) -> g.Job:
        return await self._call(
            context, "GetJob", lambda _: messages.job(self._jobs.get(request.id))
        )

    async def ListJobs(self, request: g.ListJobsRequest, context: Context) -> g.ListJobsResponse:
        return await self._call(
            context,
            "ListJobs",
            lambda _: g.ListJobsResponse(jobs=[messages.job(job) for job in self._jobs.list()]),
        )

    async def CancelJob(self, request: g.CancelJobRequest, context: Context) -> g.Job:
        return await self._call(
            context, "CancelJob", lambda who: messages.job(self._jobs.cancel(who, request.id))
        )
