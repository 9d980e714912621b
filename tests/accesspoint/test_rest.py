from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from accesspoint.enrolment import Enrolment
from accesspoint.gallery.gallery import Gallery
from accesspoint.rest import build_app
from airreid.bundle import Bundle


@pytest.fixture
def client(bundle: Bundle, gallery: Gallery) -> TestClient:
    return TestClient(build_app(bundle, gallery, Enrolment(bundle, gallery, threads=1)))


@pytest.fixture
def png(people: Path) -> bytes:
    return next(iter(sorted(people.rglob("*.png")))).read_bytes()


def test_enrol_list_and_delete(client: TestClient, png: bytes) -> None:
    assert client.put("/v1/subjects/alice").json() == {"id": "alice", "entries": 0}
    made = client.post(
        "/v1/entries", params={"subject": "alice", "camera": "c1"}, files={"image": png}
    )
    assert made.status_code == 201
    number = made.json()["id"]
    assert client.get("/v1/subjects/alice").json() == {"id": "alice", "entries": 1}
    entries = client.get("/v1/entries", params={"subject": "alice"}).json()["entries"]
    assert [(e["id"], e["camera"]) for e in entries] == [(number, "c1")]
    assert client.delete(f"/v1/entries/{number}").status_code == 204
    assert client.delete(f"/v1/entries/{number}").status_code == 404
    assert client.delete("/v1/subjects/alice").json() == {"entries": 0}
    assert client.get("/v1/subjects/alice").status_code == 404


def test_image_and_feature_enrol_the_same(
    client: TestClient, png: bytes, features: np.ndarray, gallery: Gallery
) -> None:
    client.post("/v1/entries", params={"subject": "a", "camera": "c"}, files={"image": png})
    body = {"space_id": gallery.space_id, "values": features[0].tolist()}
    answer = client.post("/v1/entries/feature", params={"subject": "b", "camera": "c"}, json=body)
    assert answer.status_code == 201
    stored = next(gallery.store.all_features(gallery.space_id)).features
    np.testing.assert_array_equal(stored[0], stored[1])


def test_pages(client: TestClient) -> None:
    for i in range(5):
        client.put(f"/v1/subjects/p{i}")
    first = client.get("/v1/subjects", params={"page_size": 3}).json()
    assert [s["id"] for s in first["subjects"]] == ["p0", "p1", "p2"]
    rest = client.get(
        "/v1/subjects", params={"page_size": 3, "page_token": first["next_page_token"]}
    ).json()
    assert [s["id"] for s in rest["subjects"]] == ["p3", "p4"]
    assert rest["next_page_token"] == ""


@pytest.mark.parametrize(
    ("method", "url", "extra", "status", "words"),
    [
        ("put", "/v1/subjects/a%20b", {}, 400, "letters, digits"),
        (
            "post",
            "/v1/entries?subject=a&camera=c",
            {"files": {"image": b"nonsense"}},
            400,
            "image of a: not an image",
        ),
        ("post", "/v1/entries?subject=a", {"files": {"image": b"x"}}, 422, "query.camera"),
        (
            "post",
            "/v1/entries/feature?subject=a&camera=c",
            {"json": {"space_id": "elsewhere", "values": [1.0] * 2048}},
            400,
            "space 'elsewhere'",
        ),
        ("get", "/v1/subjects?page_size=5000", {}, 422, "page_size"),
        ("get", "/v1/subjects?page_token=%25", {}, 400, "page_token"),
        ("get", "/v1/entries?page_token=xx", {}, 400, "page_token"),
        ("delete", "/v1/entries/99999999999999999999999", {}, 404, "no entry"),
        ("delete", "/v1/subjects/nobody", {}, 404, "no subject"),
    ],
)
def test_problems_are_documents_that_say_what_is_wrong(
    client: TestClient, method: str, url: str, extra: dict[str, object], status: int, words: str
) -> None:
    answer = client.request(method, url, **extra)  # type: ignore[arg-type]
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]


def test_state_and_health(client: TestClient, bundle: Bundle) -> None:
    assert client.get("/v1/state").json()["bundle_id"] == bundle.bundle_id
    assert client.get("/v2/health/ready").status_code == 200
    assert "/v1/entries" in client.get("/openapi.json").json()["paths"]
