"""gRPC and REST mean the same: the same calls, the same answers, the same codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from fastapi.testclient import TestClient
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from accesspoint.api import problems
from accesspoint.assembly import Services
from airreid import wire
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.v1 import gallery_pb2 as g
from airreid.v1 import gallery_pb2_grpc

from .conftest import DIM, Rest, grpc_over, png

Stub = gallery_pb2_grpc.GalleryServiceStub
SPACE = "tiny-space"


@pytest.fixture
def stub(services: Services, tiny: Bundle) -> Iterator[Stub]:
    with grpc_over(services, tiny) as target, grpc.insecure_channel(target) as channel:
        yield Stub(channel)


def vector(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)


def feature(seed: int, space: str = SPACE) -> g.Feature:
    return g.Feature(space_id=space, values=wire.to_bytes(vector(seed)))


def json_feature(seed: int, space: str = SPACE) -> dict[str, Any]:
    return {"space_id": space, "values": vector(seed).tolist()}


def item(subject: str, seed: int) -> g.EnrollItem:
    return g.EnrollItem(subject=subject, camera="c", feature=feature(seed))


def plain(message: Any) -> dict[str, Any]:
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def outcome(call: Callable[[], Any]) -> str:
    """The code in the details of the status that a call fails with."""
    with pytest.raises(grpc.RpcError) as failed:
        call()
    [detail] = rpc_status.from_call(failed.value).details
    info = error_details_pb2.ErrorInfo()
    assert detail.Unpack(info)
    kind = next(k for k in problems.TABLE.values() if k.code == info.reason)
    assert failed.value.code() == kind.grpc
    return str(info.reason)


LONG = "x" * 3000
FAILURES: list[tuple[str, Callable[[Stub], Any], tuple[str, str, Any], str]] = [
    (
        "bad name",
        lambda s: s.PutSubject(g.PutSubjectRequest(id="a b")),
        ("PUT", "/v1/subjects/a%20b", None),
        "invalid",
    ),
    (
        "long note",
        lambda s: s.PutSubject(g.PutSubjectRequest(id="a", note=LONG)),
        ("PUT", "/v1/subjects/a", {"note": LONG}),
        "invalid",
    ),
    (
        "nobody",
        lambda s: s.GetSubject(g.GetSubjectRequest(id="nobody")),
        ("GET", "/v1/subjects/nobody", None),
        "not_found",
    ),
    (
        "patch nobody",
        lambda s: s.PatchSubject(g.PatchSubjectRequest(id="nobody")),
        ("PATCH", "/v1/subjects/nobody", {}),
        "not_found",
    ),
    (
        "delete nobody",
        lambda s: s.DeleteSubject(g.DeleteSubjectRequest(id="nobody")),
        ("DELETE", "/v1/subjects/nobody", None),
        "not_found",
    ),
    (
        "page too large",
        lambda s: s.ListSubjects(g.ListSubjectsRequest(page_size=5000)),
        ("GET", "/v1/subjects?page_size=5000", None),
        "invalid",
    ),
    (
        "foreign page token",
        lambda s: s.ListEntries(g.ListEntriesRequest(page_token="abc")),
        ("GET", "/v1/entries?page_token=abc", None),
        "invalid",
    ),
    (
        "merge into oneself",
        lambda s: s.MergeSubjects(g.MergeSubjectsRequest(source="p", into="p")),
        ("POST", "/v1/merge", {"source": "p", "into": "p"}),
        "invalid",
    ),
    (
        "no such entry",
        lambda s: s.GetEntry(g.GetEntryRequest(id=2**63 + 5)),
        ("GET", f"/v1/entries/{2**63 + 5}", None),
        "not_found",
    ),
    (
        "delete no such entry",
        lambda s: s.DeleteEntry(g.DeleteEntryRequest(id=77)),
        ("DELETE", "/v1/entries/77", None),
        "not_found",
    ),
    (
        "another space",
        lambda s: s.Search(g.SearchRequest(feature=feature(1, "elsewhere"))),
        ("POST", "/v1/search/feature", json_feature(1, "elsewhere")),
        "wrong_space",
    ),
    (
        "too many asked for",
        lambda s: s.Search(g.SearchRequest(feature=feature(1), top_k=5000)),
        ("POST", "/v1/search/feature", {**json_feature(1), "top_k": 5000}),
        "invalid",
    ),
    (
        "verify nobody",
        lambda s: s.Verify(g.VerifyRequest(subject="nobody", feature=feature(1))),
        ("POST", "/v1/verify/feature?subject=nobody", json_feature(1)),
        "not_found",
    ),
    (
        "bad policy",
        lambda s: s.SetPolicy(g.Policy(match_policy='{"false_match_rate": 7}')),
        ("PUT", "/v1/policy", {"match_policy": {"false_match_rate": 7}}),
        "invalid",
    ),
    (
        "no such job kind",
        lambda s: s.StartJob(g.StartJobRequest(kind="dance")),
        ("POST", "/v1/jobs", {"kind": "dance"}),
        "invalid",
    ),
    (
        "no such parameter",
        lambda s: s.StartJob(g.StartJobRequest(kind="calibrate", parameters={"x": "1"})),
        ("POST", "/v1/jobs", {"kind": "calibrate", "parameters": {"x": "1"}}),
        "invalid",
    ),
    (
        "no such job",
        lambda s: s.CancelJob(g.CancelJobRequest(id="none")),
        ("POST", "/v1/jobs/none/cancel", None),
        "not_found",
    ),
]


def test_failures_have_the_same_code(stub: Stub, client: TestClient) -> None:
    stub.Enroll(g.EnrollRequest(items=[item("p", 1)]))
    for name, by_grpc, (method, path, body), code in FAILURES:
        answer = client.request(method, path, json=body)
        assert (name, answer.json()["code"]) == (name, code)
        assert (name, outcome(lambda call=by_grpc: call(stub))) == (name, code)


def test_every_kind_of_error_has_its_own_place_in_the_table() -> None:
    codes = [kind.code for kind in problems.TABLE.values()]
    assert len(set(codes)) == len(codes)
    for cls, kind in problems.TABLE.items():
        assert problems.kind_of(cls("x")) is kind
        status = problems.grpc_status(kind, "words", "id")
        assert status.code is kind.grpc
    assert problems.kind_of(ValueError("x")) is problems.INTERNAL
    assert problems.kind_of(type("Sub", (InputError,), {})("x")).code == "invalid"


def test_what_one_writes_the_other_reads(stub: Stub, client: TestClient) -> None:
    stub.PutSubject(g.PutSubjectRequest(id="alice", note="by gRPC"))
    client.put("/v1/subjects/bob", json={"display_name": "Bob", "expires_at": 4e9})
    [result] = stub.Enroll(g.EnrollRequest(items=[item("alice", 1)])).results
    client.post(
        "/v1/entries/feature?subject=bob&camera=c&key=k&captured_at=5.25", json=json_feature(2)
    )
    rest = {subject["id"]: subject for subject in client.get("/v1/subjects").json()["subjects"]}
    for subject in stub.ListSubjects(g.ListSubjectsRequest()).subjects:
        by_rest = rest.pop(subject.id)
        for field in ("display_name", "note", "entries"):
            assert getattr(subject, field) == by_rest[field]
        assert subject.created_at.ToMicroseconds() / 1e6 == pytest.approx(by_rest["created_at"])
        assert subject.HasField("expires_at") == (by_rest["expires_at"] is not None)
    assert not rest
    entries = {row["id"]: row for row in client.get("/v1/entries").json()["entries"]}
    for entry in stub.ListEntries(g.ListEntriesRequest()).entries:
        by_rest = entries.pop(entry.id)
        for field in ("subject", "camera", "space_id", "key", "has_thumbnail"):
            assert getattr(entry, field) == by_rest[field]
        captured = entry.captured_at.ToMicroseconds() / 1e6 if entry.HasField("captured_at") else 0
        assert captured == (by_rest["captured_at"] or 0)
    assert not entries
    assert client.get(f"/v1/entries/{result.entry_id}").json()["subject"] == "alice"


def test_both_find_and_verify_the_same(stub: Stub, client: TestClient) -> None:
    stub.Enroll(g.EnrollRequest(items=[item(f"p{i % 4}", i) for i in range(12)]))
    image = png(3)
    for request, answer in (
        (
            g.SearchRequest(feature=feature(20), top_k=3, top_entries=5),
            client.post(
                "/v1/search/feature", json={**json_feature(20), "top_k": 3, "top_entries": 5}
            ),
        ),
        (
            g.SearchRequest(image=image, top_k=3, top_entries=5),
            client.post("/v1/search?top_k=3&top_entries=5", files={"image": image}),
        ),
        (
            g.SearchRequest(image=image, top_k=3, scheme_id="features"),
            client.post("/v1/search?top_k=3&scheme=features", files={"image": image}),
        ),
    ):
        response = stub.Search(request)
        body = answer.json()
        assert len(response.subjects) == 3
        assert response.scheme_id == body["scheme"]
        for name in ("subjects", "entries"):
            mine = [(h.subject, h.entry_id, h.camera) for h in getattr(response, name)]
            assert mine == [(h["subject"], h["entry_id"], h["camera"]) for h in body[name]]
            np.testing.assert_allclose(
                [h.score for h in getattr(response, name)],
                [h["score"] for h in body[name]],
                atol=1e-6,
            )
        assert body["decision"]["kind"] == "unspecified"
    mine = stub.Verify(g.VerifyRequest(subject="p1", feature=feature(20)))
    body = client.post("/v1/verify/feature?subject=p1", json=json_feature(20)).json()
    assert mine.score == pytest.approx(body["score"], abs=1e-6)
    assert mine.entry_id == body["entry_id"]


def test_batches_have_the_same_statuses(stub: Stub, rest: Rest) -> None:
    items = [
        item("a", 1),
        item("a b", 1),
        g.EnrollItem(subject="a", camera="c", feature=feature(1, "elsewhere")),
        g.EnrollItem(subject="a", camera="c"),
        g.EnrollItem(subject="a", camera="c", image=b"no image"),
        g.EnrollItem(
            subject="a", camera="c", feature=g.Feature(space_id=SPACE, values=b"\0" * (4 * DIM))
        ),
        g.EnrollItem(subject="a", camera="c", feature=g.Feature(space_id=SPACE, values=b"\0")),
    ]
    bodies: list[dict[str, Any]] = [
        {"feature": json_feature(1)},
        {"subject": "a b", "feature": json_feature(1)},
        {"feature": json_feature(1, "elsewhere")},
        {},
        {"image_base64": "bm8gaW1hZ2U="},
        {"feature": {"space_id": SPACE, "values": [0.0] * DIM}},
        {"feature": {"space_id": SPACE, "values_base64": "AA=="}},
    ]
    results = stub.Enroll(g.EnrollRequest(items=items)).results
    answer = rest.client.post(
        "/v1/entries/batch", json={"items": [{"subject": "a", "camera": "c"} | b for b in bodies]}
    ).json()["results"]
    names = {1: "ok", 2: "invalid", 7: "wrong_space"}
    mine = [names[result.status.code] for result in results]
    assert mine == [result["status"]["code"] for result in answer]
    assert mine == ["ok", "invalid", "wrong_space", *["invalid"] * 4]


def test_both_say_when_an_entry_makes_its_subject(stub: Stub, rest: Rest) -> None:
    names = ("ada", "ben", "ada", "cleo", "cleo")
    items = [item(name, seed) for seed, name in enumerate(names)]
    results = stub.Enroll(g.EnrollRequest(items=items)).results
    assert [result.subject_created for result in results] == [True, True, False, True, False]
    bodies = [
        {"subject": name, "camera": "c", "feature": json_feature(seed)}
        for seed, name in enumerate(("ada", "dora", "dora"), 10)
    ]
    answer = rest.client.post("/v1/entries/batch", json={"items": bodies}).json()["results"]
    assert [row["entry"]["subject_created"] for row in answer] == [False, True, False]
    created = [
        rest.client.post(f"/v1/entries/feature?subject={name}&camera=c", json=json_feature(seed))
        for seed, name in enumerate(("edna", "edna", "ada"), 20)
    ]
    assert [response.json()["subject_created"] for response in created] == [True, False, False]


def test_policy_is_one(stub: Stub, client: TestClient) -> None:
    policy = {"schemes": {"features": {"points": [{"snr_db": 60, "threshold": 0.9, "lower": 0.5}]}}}
    answer = client.put("/v1/policy", json={"match_policy": policy})
    assert answer.status_code == 200, answer.text
    stub.SetPolicy(g.Policy(quality_gate='{"mode": "off"}'))
    both = client.get("/v1/policy").json()
    assert both["quality_gate"]["mode"] == "off"
    assert both["match_policy"]["schemes"] == answer.json()["match_policy"]["schemes"]
    stub.Enroll(g.EnrollRequest(items=[item("p", 1), item("q", 2)]))
    response = stub.Search(g.SearchRequest(feature=feature(1), scheme_id="features"))
    body = client.post("/v1/search/feature?scheme=features", json=json_feature(1)).json()
    assert body["decision"]["kind"] == "match"
    assert plain(response.decision)["kind"] == "DECISION_MATCH"
    assert response.decision.subject == body["decision"]["subject"] == "p"
