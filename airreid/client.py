"""Connections to services: any, the access point's gallery, the channel's controls."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

import grpc

from airreid.credentials import NOBODY, ClientCredentials
from airreid.errors import LinkError, RefusedError
from airreid.proxies import proxy_hint
from airreid.v1 import (
    channel_pb2,
    channel_pb2_grpc,
    common_pb2,
    gallery_pb2,
    gallery_pb2_grpc,
)

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
KEEPALIVE_SECONDS, KEEPALIVE_ANSWER_SECONDS = 20.0, 10.0
"""Silence after which either end asks whether the other is there, and time for the answer: a link
that went silent without a word is known to be gone within half a minute."""


def keepalive(
    seconds: float = KEEPALIVE_SECONDS, answer_seconds: float = KEEPALIVE_ANSWER_SECONDS
) -> list[tuple[str, int]]:
    """Returns the options by which an end of a connection finds out that the other is gone."""
    return [
        ("grpc.keepalive_time_ms", int(seconds * 1e3)),
        ("grpc.keepalive_timeout_ms", int(answer_seconds * 1e3)),
        ("grpc.http2.ping_timeout_ms", int(answer_seconds * 1e3)),  # this is what gRPC waits for
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]


MESSAGE_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    *keepalive(),
]
"""Options of every client's connection."""
_DELETE_AT_ONCE = 1000
_ENROL_AT_ONCE = 16
_ENROL_BYTES = 6 * 1024 * 1024
"""A request holds at most so many items and bytes, unless a single item has more."""
_TOO_LONG = "larger than max"
"""Words of gRPC on a message that is longer than the server takes."""
_REFUSED = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""Statuses that another try does not change."""
Request = TypeVar("Request")
Answer = TypeVar("Answer")


class Connection:
    """A connected gRPC channel; use as a context manager."""

    option = "--to"
    """Option of the command line, or argument, that gives the target."""
    takes_credentials = True
    """Do its commands take credentials, such as ``--tls-ca``?"""
    service = ""
    """Service that must be at the target, with its usual port."""

    def __init__(
        self,
        target: str,
        connect_seconds: float = 10.0,
        credentials: ClientCredentials = NOBODY,
    ) -> None:
        """Raises :class:`LinkError` when nothing answers at ``target`` (HOST:PORT), and
        :class:`airreid.errors.InputError` for what is no address, and for credentials that cannot
        be used."""
        self._target = target
        self._channel = credentials.channel(target, MESSAGE_OPTIONS)
        try:
            grpc.channel_ready_future(self._channel).result(timeout=connect_seconds)
        except grpc.FutureTimeoutError:
            self._channel.close()
            hint = credentials.hint if self.takes_credentials else ""
            raise LinkError(
                f"{target}: no answer within {connect_seconds:g} s; "
                f"start the service there, or give another {self.option}{hint}{proxy_hint(target)}"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()

    def _failure(self, error: grpc.RpcError) -> LinkError:
        if isinstance(error, grpc.Call):
            if error.code() is grpc.StatusCode.UNIMPLEMENTED and self.service:
                return RefusedError(
                    f"{self._target}: another service, or an earlier version; {self.option} takes "
                    f"HOST:PORT of {self.service}"
                )
            kind = RefusedError if error.code() in _REFUSED else LinkError
            return kind(f"{self._target}: {error.code().name.lower()}: {error.details()}")
        return LinkError(f"{self._target}: {error}")


class GalleryClient(Connection):
    """The gallery of an access point. Every method raises :class:`LinkError`."""

    service = "an access point's gRPC, port 50052 unless it was told otherwise"

    def __init__(
        self,
        target: str,
        connect_seconds: float = 10.0,
        credentials: ClientCredentials = NOBODY,
    ) -> None:
        super().__init__(target, connect_seconds, credentials)
        self._stub = gallery_pb2_grpc.GalleryServiceStub(self._channel)

    def _ask(self, call: Callable[[Request], Answer], request: Request) -> Answer:
        try:
            return call(request)
        except grpc.RpcError as error:
            raise self._failure(error) from None

    def describe(self) -> gallery_pb2.DescribeResponse:
        return self._ask(self._stub.Describe, gallery_pb2.DescribeRequest())

    # Entries

    def enrol(
        self, items: Iterable[gallery_pb2.EnrollItem]
    ) -> Iterator[tuple[gallery_pb2.EnrollItem, gallery_pb2.EnrollResult]]:
        """Enrols items a few at a time and yields each with its result."""
        batch: list[gallery_pb2.EnrollItem] = []
        size = 0
        for item in items:
            weight = item.ByteSize()
            if batch and (len(batch) >= _ENROL_AT_ONCE or size + weight > _ENROL_BYTES):
                yield from self._enrol(batch)
                batch, size = [], 0
            batch.append(item)
            size += weight
        if batch:
            yield from self._enrol(batch)

    def _enrol(
        self, batch: list[gallery_pb2.EnrollItem]
    ) -> Iterator[tuple[gallery_pb2.EnrollItem, gallery_pb2.EnrollResult]]:
        try:
            response = self._ask(self._stub.Enroll, gallery_pb2.EnrollRequest(items=batch))
        except LinkError as error:
            if _TOO_LONG not in str(error):
                raise
            if len(batch) > 1:
                return itertools.chain.from_iterable(self._enrol([item]) for item in batch)
            text = "longer than the access point takes; crop the person out first"
            status = common_pb2.Status(code=common_pb2.CODE_INVALID, message=text)
            return iter([(batch[0], gallery_pb2.EnrollResult(status=status))])
        return iter(zip(batch, response.results, strict=True))

    def entries(self, subject: str = "", camera: str = "") -> Iterator[gallery_pb2.Entry]:
        """Lists entries by number; an empty filter takes all."""
        token = ""
        while True:
            request = gallery_pb2.ListEntriesRequest(
                subject=subject, camera=camera, page_size=1000, page_token=token
            )
            page = self._ask(self._stub.ListEntries, request)
            yield from page.entries
            token = page.next_page_token
            if not token:
                return

    def delete_entries(self, numbers: Sequence[int]) -> Iterator[tuple[int, common_pb2.Status]]:
        """Deletes entries; yields each number with what became of it."""
        for start in range(0, len(numbers), _DELETE_AT_ONCE):
            part = numbers[start : start + _DELETE_AT_ONCE]
            request = gallery_pb2.DeleteEntriesRequest(ids=part)
            statuses = self._ask(self._stub.DeleteEntries, request).statuses
            yield from zip(part, statuses, strict=True)

    # Subjects

    def put_subject(self, request: gallery_pb2.PutSubjectRequest) -> gallery_pb2.Subject:
        return self._ask(self._stub.PutSubject, request)

    def subjects(self, prefix: str = "") -> Iterator[gallery_pb2.Subject]:
        """Lists subjects by id."""
        token = ""
        while True:
            request = gallery_pb2.ListSubjectsRequest(
                page_size=1000, page_token=token, prefix=prefix
            )
            page = self._ask(self._stub.ListSubjects, request)
            yield from page.subjects
            token = page.next_page_token
            if not token:
                return

    def delete_subject(self, subject: str) -> int:
        """Deletes a subject; returns the number of entries deleted with it."""
        request = gallery_pb2.DeleteSubjectRequest(id=subject)
        return self._ask(self._stub.DeleteSubject, request).entries

    def merge(self, source: str, into: str) -> gallery_pb2.Subject:
        """Merges two subjects; returns the one that has all entries of both."""
        request = gallery_pb2.MergeSubjectsRequest(source=source, into=into)
        return self._ask(self._stub.MergeSubjects, request)

    # Search and policy

    def search(self, request: gallery_pb2.SearchRequest) -> gallery_pb2.SearchResponse:
        return self._ask(self._stub.Search, request)

    def verify(self, request: gallery_pb2.VerifyRequest) -> gallery_pb2.VerifyResponse:
        return self._ask(self._stub.Verify, request)

    def policy(self) -> gallery_pb2.Policy:
        return self._ask(self._stub.GetPolicy, gallery_pb2.GetPolicyRequest())

    def set_policy(self, policy: gallery_pb2.Policy) -> gallery_pb2.Policy:
        """Sets the documents that are given; returns those in force."""
        return self._ask(self._stub.SetPolicy, policy)

    # Jobs

    def start_job(self, kind: str, parameters: Mapping[str, str]) -> gallery_pb2.Job:
        request = gallery_pb2.StartJobRequest(kind=kind, parameters=parameters)
        return self._ask(self._stub.StartJob, request)

    def job(self, job_id: str) -> gallery_pb2.Job:
        return self._ask(self._stub.GetJob, gallery_pb2.GetJobRequest(id=job_id))

    def jobs(self) -> list[gallery_pb2.Job]:
        """Lists jobs, the newest first."""
        return list(self._ask(self._stub.ListJobs, gallery_pb2.ListJobsRequest()).jobs)

    def cancel_job(self, job_id: str) -> gallery_pb2.Job:
        return self._ask(self._stub.CancelJob, gallery_pb2.CancelJobRequest(id=job_id))


class ChannelClient(Connection):
    """A channel simulator: its controls and its radio. Every method raises :class:`LinkError`."""

    takes_credentials = False
    service = "a channel simulator, port 50051 unless it was told otherwise"

    def __init__(
        self,
        target: str,
        connect_seconds: float = 10.0,
        credentials: ClientCredentials = NOBODY,
    ) -> None:
        super().__init__(target, connect_seconds, credentials)
        self._stub = channel_pb2_grpc.ChannelControlServiceStub(self._channel)
        self._radio = channel_pb2_grpc.ChannelServiceStub(self._channel)

    def transmit(self, request: channel_pb2.TransmitRequest) -> channel_pb2.TransmitResponse:
        """Sends blocks of symbols through a link; they come back as received."""
        try:
            return self._radio.Transmit(request)
        except grpc.RpcError as error:
            raise self._failure(error) from None

    def set_link(self, snr_db: float, seed: int, link: str = "", model: str = "awgn") -> None:
        """Sets one link by edge id, or the default."""
        self.change(channel_pb2.LinkSettings(model=model, snr_db=snr_db, seed=seed), link)

    def change(
        self, settings: channel_pb2.LinkSettings, link: str = ""
    ) -> channel_pb2.LinkSettings:
        """Changes the fields that are given, of one link or of the default; returns all."""
        request = channel_pb2.SetLinkRequest(link=link, settings=settings)
        try:
            return self._stub.SetLink(request).settings
        except grpc.RpcError as error:
            raise self._failure(error) from None

    def reset(self, link: str = "") -> channel_pb2.LinkSettings:
        """Lets a link follow the default again; returns what it follows now."""
        try:
            return self._stub.ResetLink(channel_pb2.ResetLinkRequest(link=link)).settings
        except grpc.RpcError as error:
            raise self._failure(error) from None

    def links(self) -> channel_pb2.ListLinksResponse:
        try:
            return self._stub.ListLinks(channel_pb2.ListLinksRequest())
        except grpc.RpcError as error:
            raise self._failure(error) from None

    def watch(
        self, link: str = "", interval_seconds: float = 1.0
    ) -> Generator[channel_pb2.WatchStatsResponse, None, None]:
        """Yields what was done to a link's blocks, or to all links', now and at every interval."""
        request = channel_pb2.WatchStatsRequest(link=link, interval_seconds=interval_seconds)
        call = self._stub.WatchStats(request)
        try:
            yield from call
        except grpc.RpcError as error:
            raise self._failure(error) from None
        finally:
            call.cancel()

    def stats(self, link: str = "") -> channel_pb2.WatchStatsResponse:
        """Returns what was done so far."""
        watching = self.watch(link)
        try:
            return next(watching)
        finally:
            watching.close()


def ok(status: common_pb2.Status) -> bool:
    return status.code == common_pb2.CODE_OK
