"""Bodies: who may send them, how large they are, what shape they have, how long they take."""

from __future__ import annotations

import asyncio
import json

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from accesspoint.api import body_limits
from accesspoint.api.auth import LOCAL
from accesspoint.api.body_limits import BodyLimit, BodyMemory, Shape, body_limit
from accesspoint.api.guard import Guard, Limits, Message
from accesspoint.api.rest import build_app
from accesspoint.api.rest_bodies import BatchBody, BatchDeleteBody, Body, FeatureSearchBody
from accesspoint.api.work_route import parse_form
from accesspoint.assembly import Services
from accesspoint.gallery.records import TEXT_MAX
from airreid.errors import InputError

from .conftest import DIM, Rest, png

JSON = {"content-type": "application/json"}
MANY_KEYS = json.dumps({f"k{i}": 0 for i in range(100_000)}).encode()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/search/feature", MANY_KEYS),
        ("/v1/search/feature", b"{" * 1_001),
        ("/v1/search/feature", b'{"values":[' + b"0," * 100_000 + b"0]}"),
        ("/v1/entries/batch", b'{"items":[' + b"{}," * 1_000_000 + b"{}]}"),
        ("/v1/entries/batch", MANY_KEYS),
        ("/v1/policy", b'{"match_policy":' + b"[" * 100_000),
        ("/v1/merge", b'"' + bytes(100_000)),
        ("/v1/search", bytes(40 << 20)),
    ],
)
def test_a_body_is_refused_by_size_and_shape(client: TestClient, path: str, body: bytes) -> None:
    method = "PUT" if path == "/v1/policy" else "POST"
    answer = client.request(method, path, content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_paths_without_a_credential_take_next_to_nothing(client: TestClient) -> None:
    for path in ("/v2/health/live", "/", "/nowhere"):
        answer = client.request("POST", path, content=bytes(5000))
        assert answer.status_code == 413


def test_the_longest_bodies_of_use_are_taken(client: TestClient) -> None:
    colons = {"display_name": ":," * (TEXT_MAX // 2), "note": "[{" * 400}
    assert client.put("/v1/subjects/a", json=colons).status_code == 201
    values = [0.123456789012345] * DIM
    item = {"subject": "a", "camera": ":" * 10, "feature": {"space_id": "x", "values": values}}
    answer = client.post("/v1/entries/batch", json={"items": [item] * 1000})
    assert len(answer.json()["results"]) == 1000
    feature = {"space_id": "tiny-space", "values": [0.123456789012345] * 65_536}
    answer = client.post("/v1/search/feature", json=feature)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert "65536" in answer.json()["detail"] or "feature" in answer.json()["detail"]


def test_limits_fall_with_the_operators_own() -> None:
    assert body_limit("POST", "/v1/entries/batch", 5000).bytes == 5000
    assert body_limit("POST", "/v1/entries/batch", 5000).commas == 500_000
    assert body_limit("GET", "/v1/state", 1 << 30).bytes == 4096
    shape = Shape(BodyLimit(100, commas=2))
    shape.add(b"[0,1,")
    with pytest.raises(HTTPException, match="more than 2 commas"):
        shape.add(b"2,3]")


def test_bodies_have_a_memory_together(services: Services) -> None:
    limits = Limits(body_memory=150_000)
    guard = Guard(
        build_app(services.rest), services.http_access, services.rest.metrics, limits=limits
    )
    client = TestClient(guard, base_url="http://127.0.0.1:8080")
    body = b'{"items": []' + b" " * 100_000 + b"}"
    for _ in range(3):  # what is answered is given back
        answer = client.post("/v1/entries/batch", content=body, headers=JSON)
        assert answer.status_code == 200
    answer = client.post("/v1/entries/batch", content=body + b" " * 60_000, headers=JSON)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    memory = BodyMemory(10)
    assert memory.take(10)
    assert not memory.take(1)
    memory.give_back(10)
    assert memory.take(10)


async def test_a_body_that_does_not_come_is_not_waited_for(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_limits, "FIRST_SECONDS", 0.05)
    guard = Guard(build_app(services.rest), services.http_access, services.rest.metrics)
    parts: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}]
    sent: list[Message] = []

    async def receive() -> Message:
        if not parts:
            await asyncio.Event().wait()
        return parts.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/merge",
        "raw_path": b"/v1/merge",
        "query_string": b"",
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"content-type", b"application/json"),
            (b"transfer-encoding", b"chunked"),
        ],
    }
    await guard(scope, receive, send)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


def form(*parts: bytes, end: bytes = b"--\r\n") -> bytes:
    return b"".join(b"--cut\r\n" + part + b"\r\n" for part in parts) + b"--cut" + end


TYPE = "multipart/form-data; boundary=cut"
NAMED = b'Content-Disposition: form-data; name="image"; filename="a.png"'


@given(st.binary(max_size=300).filter(lambda data: b"--cut" not in data))
def test_a_form_gives_back_its_file(data: bytes) -> None:
    parsed = parse_form(form(NAMED + b"\r\nContent-Type: image/png\r\n\r\n" + data), TYPE)
    file = parsed["image"]
    assert isinstance(file, UploadFile)
    assert (file.file.read(), file.filename, file.size) == (data, "a.png", len(data))


def test_forms_of_other_kinds() -> None:
    parsed = parse_form(form(b'Content-Disposition: form-data; name="a"\r\n\r\nx'), TYPE)
    assert parsed["a"] == "x"
    assert list(parse_form(b"a=1", "application/x-www-form-urlencoded")) == []
    for body, kind in (
        (b"", TYPE),
        (form(NAMED + b"\r\n\r\n", end=b""), TYPE),
        (form(NAMED), TYPE),
        (form(b"X: y\r\n\r\n"), TYPE),
        (form(*[NAMED + b"\r\n\r\n"] * 17), TYPE),
        (b"--cut\r\n" * 1_000_000, TYPE),
        (form(NAMED + b'; x="' + b";" * 4000 + b"\r\n\r\n"), TYPE),
        (form(NAMED + b"\r\n\r\n"), TYPE + '; x="' + ";" * 4000),
        (form(NAMED + b"\r\n\r\n"), "multipart/form-data"),
    ):
        with pytest.raises(HTTPException):
            parse_form(body, kind)


def test_images_come_as_forms(rest: Rest) -> None:
    where = {"subject": "p", "camera": "c"}
    answer = rest.client.post("/v1/entries", params=where, files={"image": ("a.png", png(1))})
    assert answer.status_code == 201
    answer = rest.client.post("/v1/search", files={"image": ("a.png", png(1))})
    assert answer.json()["subjects"][0]["subject"] == "p"
    answer = rest.client.post("/v1/search", data={"image": "text"})
    assert answer.status_code == 422
    answer = rest.client.post("/v1/search", content=b"--", headers={"content-type": TYPE})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (FeatureSearchBody, {"space_id": "x", "values": [""] * 65_536}),
        (FeatureSearchBody, {f"k{i}": 0 for i in range(4_000)}),
        (BatchBody, {"items": [{f"k{i}": 0 for i in range(20)}] * 1000}),
        (BatchBody, {"items": [{"feature": {"values": [None] * 65_536}}] * 7}),
        (BatchDeleteBody, {"ids": [""] * 1000}),
    ],
)
def test_what_is_wrong_with_a_body_takes_no_memory(model: type[Body], body: object) -> None:
    with pytest.raises(ValidationError) as wrong:
        TypeAdapter(model).validate_python(body)
    assert wrong.value.error_count() <= 32


def test_a_long_policy_is_refused_before_it_is_parsed(services: Services) -> None:
    document = json.dumps({f"k{i}": 0 for i in range(20_000)})
    for texts in ((document, ""), ("", document)):
        with pytest.raises(InputError, match="60000 at most"):
            services.rest.search_service.set_policy(LOCAL, *texts)
