"""Access by tokens, scopes, hosts, sites and limits, over HTTP and gRPC alike."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from fastapi.testclient import TestClient
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from accesspoint.api import openapi
from accesspoint.api.auth import Access, scope_of_path
from accesspoint.api.guard import Guard, Limits, PublicAddress, starting
from accesspoint.api.rest import build_app
from accesspoint.api.service import State
from accesspoint.api.tokens import Scope, TokenFile
from accesspoint.assembly import Services, access_point
from accesspoint.errors import NotFoundError, UnauthorizedError
from accesspoint.settings import ServeSettings
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.v1 import gallery_pb2, gallery_pb2_grpc

from .conftest import Rest, grpc_over, rest_over


@pytest.fixture
def locked(tiny: Bundle, tmp_path: Path) -> Iterator[tuple[Services, TokenFile]]:
    """An access point that asks everybody for a token."""
    settings = ServeSettings(data_dir=tmp_path / "data", require_token=True)
    with access_point(tiny, settings) as services:
        assert services.gallery.wait_ready(30)
        yield services, TokenFile(settings.data_dir)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# Tokens


def test_the_file_holds_no_token_and_is_the_owners(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path)
    token = tokens.add("door", [Scope.STREAM], edge="cam-1", days=1)
    text = tokens.path.read_text()
    assert token not in text
    assert token.removeprefix("airreid_") not in text
    assert tokens.path.stat().st_mode & 0o777 == 0o600
    now = time.time()
    grant = tokens.find(token, now)
    assert grant is not None
    assert (grant.name, grant.edge) == ("door", "cam-1")
    assert tokens.find(token, now + 86_401) is None
    assert tokens.find(token + "x", now) is None
    assert tokens.find("", now) is None


def test_a_name_may_have_two_tokens_while_it_is_rotated(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path)
    old = tokens.add("ops", [Scope.ADMIN])
    new = tokens.add("ops", [Scope.ADMIN])
    first = next(grant for grant in tokens.grants() if grant == tokens.find(old, 0))
    tokens.revoke(first.id)
    assert tokens.find(old, 0) is None
    assert tokens.find(new, 0) is not None
    tokens.revoke("ops")
    assert tokens.grants() == ()
    with pytest.raises(NotFoundError, match="no token 'ops'"):
        tokens.revoke("ops")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "a b", "scopes": [Scope.READ]}, r"name: .*\(given: 'a b'\)"),
        ({"name": "a", "scopes": []}, "scopes"),
        ({"name": "a", "scopes": [Scope.READ], "edge": "cam"}, "--scope stream"),
        ({"name": "a", "scopes": [Scope.READ], "days": 0}, "days 0"),
        ({"name": "a", "scopes": [Scope.STREAM], "edge": "../x"}, "edge"),
    ],
)
def test_bad_tokens_are_not_made(tmp_path: Path, given: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        TokenFile(tmp_path).add(**given)
    assert not (tmp_path / "tokens.json").exists()


def test_a_damaged_file_lets_nobody_in(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path)
    token = tokens.add("a", [Scope.READ])
    reader = TokenFile(tmp_path)
    access = Access(reader, required=True)
    assert access.principal(f"Bearer {token}").name == "a"
    tokens.path.write_text("{")
    with pytest.raises(InputError, match=r"tokens\.json"):
        reader.grants()
    with pytest.raises(UnauthorizedError):
        access.principal(f"Bearer {token}")
    tokens.path.unlink()
    tokens.path.mkdir()
    with pytest.raises(UnauthorizedError):
        access.principal(f"Bearer {token}")


def test_certificates_speak_for_their_names_and_nothing_else(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path)
    access = Access(tokens, required=True)
    camera = access.principal(None, ["cam-1", "cam-1.site"])
    assert camera.scopes == {Scope.STREAM}
    assert camera.may_speak_for("cam-1.site")
    assert not camera.may_speak_for("cam-2")
    both = tokens.add("b", [Scope.STREAM], edge="cam-2")
    assert not access.principal(f"Bearer {both}", ["cam-1"]).may_speak_for("cam-2")
    admin = access.principal("bearer " + tokens.add("c", [Scope.ADMIN]))
    assert Scope.READ in admin.scopes
    assert not admin.may_speak_for("cam-1")


# HTTP


def test_scopes_open_what_they_should(locked: tuple[Services, TokenFile]) -> None:
    services, tokens = locked
    client = rest_over(services).client
    by_scope = {scope: tokens.add(str(scope), [scope]) for scope in Scope}
    calls = [
        (Scope.READ, "GET", "/v1/subjects", None),
        (Scope.READ, "POST", "/v1/search/feature", {"space_id": "x", "values": [1.0]}),
        (Scope.ENROL, "PUT", "/v1/subjects/a", None),
        (Scope.ENROL, "POST", "/v1/entries/batch", {"items": []}),
        (Scope.ADMIN, "POST", "/v1/merge", {"source": "a", "into": "b"}),
        (Scope.ADMIN, "PUT", "/v1/policy", {}),
        (Scope.ADMIN, "POST", "/v1/jobs", {"kind": "x"}),
        (Scope.READ, "GET", "/metrics", None),
        (Scope.READ, "GET", "/openapi.json", None),
    ]
    order = [Scope.READ, Scope.ENROL, Scope.ADMIN]
    for needed, method, path, body in calls:
        answer = client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), path
        assert answer.headers["www-authenticate"].startswith("Bearer")
        answer = client.request(method, path, json=body, headers=bearer("airreid_guess"))
        assert answer.status_code == 401
        for scope in Scope:
            answer = client.request(method, path, json=body, headers=bearer(by_scope[scope]))
            may = scope in order and order.index(scope) >= order.index(needed)
            assert (answer.status_code == 403) != may, (path, scope)
    text = client.get("/metrics", headers=bearer(by_scope[Scope.READ])).text
    assert f"airreid_ap_rejected_logins_total {2 * len(calls)}.0" in text
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert client.get(path).status_code == 200


def test_every_path_of_the_interface_needs_something(rest: Rest) -> None:
    document = openapi.describe(rest.app)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            needed = scope_of_path(method.upper(), path)
            if path.startswith("/v2/health"):
                assert needed is None
            else:
                assert needed is not None
                assert f"Scope: {needed}." in operation["description"]
                assert "401" in operation["responses"]


def test_a_token_works_and_stops_working_without_a_restart(
    locked: tuple[Services, TokenFile],
) -> None:
    services, tokens = locked
    client = rest_over(services).client
    token = tokens.add("late", [Scope.READ])
    assert client.get("/v1/state", headers=bearer(token)).status_code == 200
    tokens.revoke("late")
    assert client.get("/v1/state", headers=bearer(token)).status_code == 401


def test_the_audit_log_names_the_tokens_owner(locked: tuple[Services, TokenFile]) -> None:
    services, tokens = locked
    token = tokens.add("erin", [Scope.ENROL])
    rest_over(services).client.put("/v1/subjects/a", headers=bearer(token))
    text = (tokens.path.parent / "audit.jsonl").read_text()
    assert '"who": "erin", "by": "token", "action": "put_subject"' in text
    assert token not in text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:8080"}, 403),
        ({"host": "[::1]:8080"}, 200),
        ({"host": "localhost:8080"}, 200),
        ({"host": "192.168.7.7"}, 200),
        ({"host": ""}, 403),
        ({"host": "[::1"}, 403),
        ({"host": "known.lan"}, 200),
    ],
)
def test_names_that_somebody_else_points_here_are_refused(
    services: Services, headers: dict[str, str], status: int
) -> None:
    guard = Guard(
        build_app(services.rest),
        services.http_access,
        services.rest.metrics,
        frozenset({"known.lan"}),
    )
    client = TestClient(guard, base_url="http://127.0.0.1:8080")
    assert client.get("/v1/state", headers=headers).status_code == status


def test_another_sites_page_may_not_change_anything(client: TestClient) -> None:
    for origin, status in (
        ("https://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1:9", 403),
        ("http://127.0.0.1:8080", 201),
    ):
        answer = client.put("/v1/subjects/a", headers={"Origin": origin})
        assert answer.status_code == status, origin


def test_a_page_behind_a_proxy_may_write_and_stands_below_a_path(services: Services) -> None:
    """As nginx asks by default: the Host is the access point's own, the Origin the browser's."""
    guard = Guard(
        build_app(services.rest),
        services.http_access,
        services.rest.metrics,
        public=PublicAddress(frozenset({"https://reid.example"}), "/reid"),
    )
    client = TestClient(guard, base_url="http://127.0.0.1:8080")
    for prefix, name in (("/reid", "a"), ("", "b")):  # the proxy left the path on, or took it off
        for origin, status in (("https://reid.example", 201), ("http://reid.example", 403)):
            put = client.put(f"{prefix}/v1/subjects/{name}", headers={"Origin": origin})
            assert put.status_code == status, (prefix, origin)
    assert client.get("/reid/openapi.json").json()["servers"] == [{"url": "/reid"}]
    assert "--public-origin" in put.json()["detail"]
    named = TestClient(guard, base_url="http://reid.example")
    assert named.get("/v1/state").status_code == 200


def test_headers_for_browsers(client: TestClient) -> None:
    for path in ("/v1/state", "/nowhere", "/v1/subjects/a%20b"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(services: Services, chunked: bool) -> None:
    guard = Guard(
        build_app(services.rest), services.http_access, services.rest.metrics, limits=Limits(2000)
    )
    client = TestClient(guard, base_url="http://127.0.0.1:8080")

    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 100

    body = pieces() if chunked else b"x" * 4000
    headers = {"content-type": "application/json"}
    answer = client.post("/v1/merge", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_too_many_requests_at_once_are_told_to_come_again(services: Services) -> None:
    guard = Guard(
        build_app(services.rest),
        services.http_access,
        services.rest.metrics,
        limits=Limits(in_flight=0),
    )
    client = TestClient(guard, base_url="http://127.0.0.1:8080")
    answer = client.get("/v1/state")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert client.get("/v2/health/live").status_code == 200


def test_alive_and_not_ready_until_the_gallery_is_open(services: Services) -> None:
    guard = Guard(starting, services.http_access, services.rest.metrics)
    client = TestClient(guard, base_url="http://127.0.0.1:8080")
    assert client.get("/v2/health/live").json() == {"live": True, "ready": False}
    for path in ("/v2/health/ready", "/v1/state", "/"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert answer.headers["retry-after"] == "1"
    guard.app = build_app(services.rest)
    assert client.get("/v2/health/ready").json() == {"live": True, "ready": True}


def test_an_unexpected_error_shows_nothing_of_itself(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("secret words")

    monkeypatch.setattr(rest.services.rest.service, "state", fail)
    answer = rest.client.get("/v1/state")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text


# gRPC


def test_every_rpc_asks_for_a_token(locked: tuple[Services, TokenFile], tiny: Bundle) -> None:
    services, tokens = locked
    methods = [
        name
        for name, _ in inspect.getmembers(gallery_pb2_grpc.GalleryServiceServicer)
        if not name.startswith("_")
    ]
    assert len(methods) == len(gallery_pb2.DESCRIPTOR.services_by_name["GalleryService"].methods)
    camera = tokens.add("camera", [Scope.STREAM])
    admin = tokens.add("admin", [Scope.ADMIN])
    with grpc_over(services, tiny) as target, grpc.insecure_channel(target) as channel:
        stub = gallery_pb2_grpc.GalleryServiceStub(channel)
        for descriptor in gallery_pb2.DESCRIPTOR.services_by_name["GalleryService"].methods:
            request = getattr(gallery_pb2, descriptor.input_type.name)()
            call = getattr(stub, descriptor.name)
            for metadata, code, reason in (
                ((), grpc.StatusCode.UNAUTHENTICATED, "unauthorized"),
                ((("authorization", f"Bearer {camera}"),), None, "forbidden"),
            ):
                with pytest.raises(grpc.RpcError) as failed:
                    call(request, metadata=(*metadata, ("x-request-id", "r1")))
                error = failed.value
                assert error.code() == (code or grpc.StatusCode.PERMISSION_DENIED)
                [detail] = rpc_status.from_call(error).details
                info = error_details_pb2.ErrorInfo()
                assert detail.Unpack(info)
                assert (info.reason, info.domain) == (reason, "airreid")
                assert info.metadata["request_id"] == "r1"
        state = stub.Describe(
            gallery_pb2.DescribeRequest(), metadata=(("authorization", f"Bearer {admin}"),)
        )
        assert state.ready


def test_calls_at_once_are_bounded(
    services: Services, tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on, state = threading.Event(), threading.Event(), services.rest.service.state

    def slowly() -> State:
        began.set()
        assert go_on.wait(30)
        return state()

    monkeypatch.setattr(services.rest.service, "state", slowly)
    with (
        grpc_over(services, tiny, at_once=1) as target,
        grpc.insecure_channel(target) as channel,
    ):
        stub = gallery_pb2_grpc.GalleryServiceStub(channel)
        first = stub.Describe.future(gallery_pb2.DescribeRequest())
        assert began.wait(30)
        with pytest.raises(grpc.RpcError) as refused:
            stub.Describe(gallery_pb2.DescribeRequest())
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        go_on.set()
        assert first.result(30).ready
        assert stub.Describe(gallery_pb2.DescribeRequest()).ready
