"""A running access point from Python: enrol, search, query over the air, delete."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from airreid.api.checks import check_link_name, check_names, check_numbers, check_top_k
from airreid.api.connections import ApiGallery, ApiUplink, credentials_of
from airreid.api.crops import Images, each_image, file_bytes
from airreid.api.gallery import Hit
from airreid.api.model import Blocks
from airreid.client import ok
from airreid.errors import InputError
from airreid.payload import put
from airreid.v1 import common_pb2, gallery_pb2, uplink_pb2


@dataclass(frozen=True)
class Enrolled:
    """The result of enrolling one image.

    Example:
        >>> import airreid
        >>> airreid.Enrolled(entry=7, message="").ok
        True
    """

    entry: int | None
    """Number of the entry; None where the image was refused."""
    message: str
    """The reason of a refusal, or the quality gate's warnings; else empty."""
    subject_created: bool = False
    """The subject was not there: it was made with this entry."""

    @property
    def ok(self) -> bool:
        """Whether the entry is on the access point's disk."""
        return self.entry is not None


@dataclass(frozen=True)
class Answer:
    """An access point's answer to one query.

    Example:
        >>> import airreid
        >>> answer = airreid.Answer(hits=[], outage=True, snr_db=-20.0, decision="none", message="")
        >>> answer.best is None
        True
    """

    hits: list[Hit]
    """Subjects, best first; empty for a query that was lost or refused."""
    outage: bool
    """The channel lost the block's bits."""
    snr_db: float | None
    """The channel's report in dB per real use; None without a channel."""
    decision: str
    """``match``, ``unknown``, ``ambiguous``; ``none`` where the gallery is not calibrated."""
    message: str
    """The fault of a query that has no hits; else empty."""

    @property
    def best(self) -> Hit | None:
        """The best hit, if there is any."""
        return self.hits[0] if self.hits else None


class AccessPoint:
    """A connection to a running access point; use as a context manager.

    Args:
        target: HOST:PORT of its gRPC service.
        uplink: HOST:PORT of a channel simulator that :meth:`query` goes through; the access
            point itself where it is left out, which is a perfect wire.
        token: Access token, sent over TLS or to this machine alone.
        tls_ca: PEM file of who vouches for the server; turns TLS on.
        connect_seconds: How long to wait for an answer.

    Raises:
        airreid.LinkError: if nothing answers there. So does every method whose call fails:
            a token without the scope, a service that goes away.
        airreid.InputError: for a token that would cross a network in plain text.

    Example:
        >>> import airreid
        >>> gallery, queries = airreid.synthetic_people(2)
        >>> model = airreid.Model()
        >>> with airreid.AccessPoint("127.0.0.1:50052", uplink="127.0.0.1:50051") as ap:
        ...     enrolled = ap.enrol(*gallery)
        ...     answers = ap.query(model.encode(queries.images), camera="cam-1")
        >>> answers[0].best.subject, answers[0].snr_db
        ('person-0000', 10.0)
    """

    def __init__(
        self,
        target: str,
        uplink: str | None = None,
        token: str | None = None,
        tls_ca: str | Path | None = None,
        connect_seconds: float = 10.0,
    ) -> None:
        credentials = credentials_of(token, tls_ca)
        self._client = ApiGallery(target, connect_seconds, credentials)
        try:
            self._uplink = ApiUplink(uplink or target, connect_seconds, credentials)
        except BaseException:
            self._client.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._client.__exit__(None, None, None)
        self._uplink.close()

    def describe(self) -> dict[str, object]:
        """Describes what is served: bundle, schemes, counts, and whether it is ready.

        Example:
            >>> import airreid
            >>> with airreid.AccessPoint("127.0.0.1:50052") as ap:
            ...     about = ap.describe()
            >>> about["ready"], "jscc-ae-256" in about["scheme_ids"]
            (True, True)
        """
        answer = self._client.describe()
        return {
            "bundle_id": answer.bundle_id,
            "bundle_name": answer.bundle_name,
            "space_id": answer.space_id,
            "scheme_ids": list(answer.scheme_ids),
            "subjects": answer.subjects,
            "entries": answer.entries,
            "ready": answer.ready,
        }

    def enrol(
        self,
        images: Images,
        subjects: Sequence[str] | str,
        cameras: Sequence[str] | str = "enrolment",
    ) -> list[Enrolled]:
        """Enrols crops, a few at a time; each is answered for itself.

        Args:
            images: Paths (sent as they are), Pillow images or uint8 arrays (sent as PNG).
            subjects: Name of the person on each; one name for all of them.
            cameras: Name of each one's camera; one name for all of them.

        Raises:
            airreid.InputError: for images that cannot be read, and names that are not as many.

        Example:
            >>> import airreid
            >>> gallery, _ = airreid.synthetic_people(30)
            >>> with airreid.AccessPoint("127.0.0.1:50052") as ap:
            ...     enrolled = ap.enrol(gallery.images[-2:], "carol", cameras="door")
            >>> [each.ok for each in enrolled]
            [True, True]
        """
        every = each_image(images)
        names = (
            [subjects] * len(every)
            if isinstance(subjects, str)
            else check_names(subjects, "subjects")
        )
        taken_by = (
            [cameras] * len(every) if isinstance(cameras, str) else check_names(cameras, "cameras")
        )
        if not len(every) == len(names) == len(taken_by):
            raise InputError(
                f"{len(names)} subjects and {len(taken_by)} cameras for {len(every)} images; "
                "give one for each"
            )

        def items() -> Iterator[gallery_pb2.EnrollItem]:
            for position, image in enumerate(every):
                data = file_bytes(image, position)
                yield gallery_pb2.EnrollItem(
                    subject=names[position], camera=taken_by[position], image=data
                )

        return [
            Enrolled(result.entry_id, "; ".join(result.warnings), result.subject_created)
            if ok(result.status)
            else Enrolled(None, result.status.message)
            for _, result in self._client.enrol(items())
        ]

    def search(self, images: Images, top_k: int = 10, scheme_id: str = "") -> list[Answer]:
        """Searches crops without a radio in between: the access point encodes them itself.

        Args:
            images: As for :meth:`enrol`.
            top_k: Subjects to find at most, 1 to 1000.
            scheme_id: Whose embeddings are compared; the access point chooses if left out.

        Example:
            >>> import airreid
            >>> gallery, queries = airreid.synthetic_people(1)
            >>> with airreid.AccessPoint("127.0.0.1:50052") as ap:
            ...     _ = ap.enrol(*gallery)
            ...     [answer] = ap.search(queries.images[0], top_k=1)
            >>> answer.best.subject, answer.decision
            ('person-0000', 'none')
        """
        check_top_k(top_k)
        answers = []
        for position, image in enumerate(each_image(images)):
            response = self._client.search(
                gallery_pb2.SearchRequest(
                    image=file_bytes(image, position), top_k=top_k, scheme_id=scheme_id
                )
            )
            answers.append(
                Answer(
                    [
                        Hit(hit.subject, hit.score, hit.entry_id, hit.camera)
                        for hit in response.subjects
                    ],
                    False,
                    None,
                    _decision(response.decision),
                    "",
                )
            )
        return answers

    def query(
        self,
        blocks: Blocks,
        camera: str = "cam-1",
        first_block: int = 0,
        top_k: int = 10,
        window: int = 4,
    ) -> list[Answer]:
        """Sends encoded queries over the air; answers in the order of the blocks.

        Args:
            blocks: As :meth:`Model.encode` returned them.
            camera: Edge id: the radio link whose settings and noise the blocks meet.
            first_block: Number of the first block, which its noise depends on.
            top_k: Subjects to answer with at most.
            window: Blocks that may be unanswered at a time.

        Raises:
            airreid.LinkError: if the stream breaks.
            airreid.InputError: for block numbers below 0 or above 2^64 - 1.

        Example:
            >>> import airreid
            >>> gallery, queries = airreid.synthetic_people(1)
            >>> model = airreid.Model(scheme_id="jscc-fc-256")
            >>> with airreid.AccessPoint("127.0.0.1:50052") as ap:
            ...     _ = ap.enrol(*gallery)
            ...     answers = ap.query(model.encode(queries.images))
            >>> [answer.best.subject for answer in answers]
            ['person-0000', 'person-0000', 'person-0000']
        """
        first_block = check_numbers(first_block, len(blocks))
        check_link_name(camera)
        check_top_k(top_k)
        spool_id = secrets.token_hex(4)

        def requests() -> Iterator[uplink_pb2.QueryRequest]:
            for number, payload in enumerate(blocks.payloads, first_block):
                request = uplink_pb2.QueryRequest(
                    id=common_pb2.BlockId(edge_id=camera, spool_id=spool_id, sequence=number),
                    bundle_id=blocks.bundle_id,
                    scheme_id=blocks.scheme_id,
                    top_k=top_k,
                )
                put(payload, request)
                yield request

        answers: dict[int, Answer] = {}
        for answer in self._uplink.query(requests(), window):
            answers[answer.response.id.sequence] = _answer(answer.response)
        return [answers[number] for number in range(first_block, first_block + len(blocks))]

    def subjects(self, prefix: str = "") -> dict[str, int]:
        """Lists the subjects whose ids begin with ``prefix``, and how many entries each has.

        Example:
            >>> import airreid
            >>> with airreid.AccessPoint("127.0.0.1:50052") as ap:
            ...     _ = ap.enrol(airreid.synthetic_people(1)[0].images, "dora")
            ...     ap.subjects("dor")
            {'dora': 2}
        """
        return {subject.id: subject.entries for subject in self._client.subjects(prefix)}

    def delete(self, subject: str) -> int:
        """Deletes a subject with all entries; returns how many there were.

        Raises:
            airreid.LinkError: if there is no such subject.

        Example:
            >>> import airreid
            >>> with airreid.AccessPoint("127.0.0.1:50052") as ap:
            ...     _ = ap.enrol(airreid.synthetic_people(1)[0].images, "erin")
            ...     ap.delete("erin")
            2
        """
        return self._client.delete_subject(subject)


def _decision(decision: common_pb2.Decision) -> str:
    if decision.kind == common_pb2.DECISION_UNSPECIFIED:
        return "none"
    return common_pb2.DecisionKind.Name(decision.kind).removeprefix("DECISION_").lower()


def _answer(response: uplink_pb2.QueryResponse) -> Answer:
    reported = response.HasField("channel")
    return Answer(
        [Hit(hit.subject, hit.score, hit.entry_id, hit.camera) for hit in response.identities],
        response.outage,
        response.channel.snr_db if reported else None,
        _decision(response.decision),
        "" if ok(response.status) else response.status.message,
    )
