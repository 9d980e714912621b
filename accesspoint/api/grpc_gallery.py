"""GalleryService over gRPC: protobuf messages in and out of :mod:`accesspoint.api`.

The methods here run in threads, for a caller that may call them; :mod:`accesspoint.api.grpc_calls`
sees to that.
"""

from __future__ import annotations

from accesspoint.api import messages, problems
from accesspoint.api.auth import Principal
from accesspoint.api.jobs import Jobs
from accesspoint.api.patience import patiently
from accesspoint.api.search_service import SearchService
from accesspoint.api.service import Service
from accesspoint.gallery.records import UNSET
from airreid.v1 import gallery_pb2

g = gallery_pb2


class GalleryMethods:
    """Methods that translate; see the proto file for their meanings."""

    def __init__(self, service: Service, search_service: SearchService, jobs: Jobs) -> None:
        self._service = service
        self._search_service = search_service
        self._jobs = jobs

    def Describe(self, who: Principal, request: g.DescribeRequest) -> g.DescribeResponse:
        return messages.described(self._service.state())

    # Subjects

    def PutSubject(self, who: Principal, request: g.PutSubjectRequest) -> g.Subject:
        subject, _ = self._service.put_subject(
            who,
            request.id,
            request.display_name or None,
            request.note or None,
            messages.seconds(request, "expires_at"),
        )
        return messages.subject(subject)

    def GetSubject(self, who: Principal, request: g.GetSubjectRequest) -> g.Subject:
        return messages.subject(self._service.subject(request.id))

    def PatchSubject(self, who: Principal, request: g.PatchSubjectRequest) -> g.Subject:
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

    def ListSubjects(
        self, who: Principal, request: g.ListSubjectsRequest
    ) -> g.ListSubjectsResponse:
        page, token = self._service.subjects(request.prefix, request.page_size, request.page_token)
        return g.ListSubjectsResponse(
            subjects=patiently(messages.subject, page), next_page_token=token
        )

    def DeleteSubject(
        self, who: Principal, request: g.DeleteSubjectRequest
    ) -> g.DeleteSubjectResponse:
        return g.DeleteSubjectResponse(entries=self._service.delete_subject(who, request.id))

    def MergeSubjects(self, who: Principal, request: g.MergeSubjectsRequest) -> g.Subject:
        return messages.subject(self._service.merge_subjects(who, request.source, request.into))

    # Entries

    def Enroll(self, who: Principal, request: g.EnrollRequest) -> g.EnrollResponse:
        verdicts = self._service.enrol(who, [messages.candidate(item) for item in request.items])
        return g.EnrollResponse(results=[messages.enrolled(verdict) for verdict in verdicts])

    def GetEntry(self, who: Principal, request: g.GetEntryRequest) -> g.Entry:
        return messages.entry(self._service.entry(request.id))

    def ListEntries(self, who: Principal, request: g.ListEntriesRequest) -> g.ListEntriesResponse:
        page, token = self._service.entries(
            request.subject, request.camera, request.page_size, request.page_token
        )
        return g.ListEntriesResponse(entries=patiently(messages.entry, page), next_page_token=token)

    def DeleteEntry(self, who: Principal, request: g.DeleteEntryRequest) -> g.DeleteEntryResponse:
        self._service.delete_entry(who, request.id)
        return g.DeleteEntryResponse()

    def DeleteEntries(
        self, who: Principal, request: g.DeleteEntriesRequest
    ) -> g.DeleteEntriesResponse:
        outcomes = self._service.delete_entries(who, request.ids)
        return g.DeleteEntriesResponse(
            statuses=[problems.wire_status(outcome) for outcome in outcomes]
        )

    # Search and policy

    def Search(self, who: Principal, request: g.SearchRequest) -> g.SearchResponse:
        answer = self._search_service.search(
            messages.source(request, "search"),
            request.top_k,
            request.top_entries,
            request.scheme_id,
        )
        return messages.search_response(answer)

    def Verify(self, who: Principal, request: g.VerifyRequest) -> g.VerifyResponse:
        source = messages.source(request, "verify")
        verification = self._search_service.verify(request.subject, source, request.scheme_id)
        return messages.verified(verification)

    def GetPolicy(self, who: Principal, request: g.GetPolicyRequest) -> g.Policy:
        return messages.policy(self._search_service)

    def SetPolicy(self, who: Principal, request: g.Policy) -> g.Policy:
        self._search_service.set_policy(who, request.match_policy, request.quality_gate)
        if request.match_policy:
            self._jobs.put_in_force(self._search_service.policy()[0])
        return messages.policy(self._search_service)

    # Jobs

    def StartJob(self, who: Principal, request: g.StartJobRequest) -> g.Job:
        return messages.job(self._jobs.start(who, request.kind, dict(request.parameters)))

    def GetJob(self, who: Principal, request: g.GetJobRequest) -> g.Job:
        return messages.job(self._jobs.get(request.id))

    def ListJobs(self, who: Principal, request: g.ListJobsRequest) -> g.ListJobsResponse:
        return g.ListJobsResponse(jobs=[messages.job(job) for job in self._jobs.list()])

    def CancelJob(self, who: Principal, request: g.CancelJobRequest) -> g.Job:
        return messages.job(self._jobs.cancel(who, request.id))
