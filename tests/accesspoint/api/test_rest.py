"""REST by itself: what curl sees."""

from __future__ import annotations

import base64
import io
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from accesspoint.api import rest_views as views
from accesspoint.api.search_service import usual_scheme
from accesspoint.assembly import Services, access_point
from accesspoint.gallery.maintenance.maintenance import Maintenance
from accesspoint.settings import ServeSettings
from airreid.bundle import Bundle

from .conftest import Rest, rest_over

DIM, SPACE = 32, "tiny-space"


@pytest.fixture
def image() -> bytes:
    from PIL import Image

    rng = np.random.default_rng(1)
    out = io.BytesIO()
    tiles = rng.integers(0, 255, (8, 4, 3)).astype(np.uint8)
    Image.fromarray(np.kron(tiles, np.ones((16, 16, 1), np.uint8))).save(out, "PNG")
    return out.getvalue()


def feature(seed: int) -> dict[str, Any]:
    values = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)
    return {"space_id": SPACE, "values": values.tolist()}


def enrol(client: TestClient, subject: str, seed: int, camera: str = "c1", **query: object) -> int:
    answer = client.post(
        "/v1/entries/feature",
        params={"subject": subject, "camera": camera, **query},
        json=feature(seed),
    )
    assert answer.status_code == 201, answer.text
    number: int = answer.json()["id"]
    return number


def test_a_picture_that_lies_on_its_side_is_enrolled_upright(
    client: TestClient, image: bytes
) -> None:
    from PIL import Image

    upright = Image.open(io.BytesIO(image))
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 8
    upright.transpose(Image.Transpose.ROTATE_270).save(turned, "PNG", exif=exif)
    thumbnails = []
    for subject, data in (("plain", image), ("phone", turned.getvalue())):
        answer = client.post(
            "/v1/entries", params={"subject": subject, "camera": "c1"}, files={"image": data}
        )
        number = answer.json()["id"]
        thumbnails.append(client.get(f"/v1/entries/{number}/thumbnail").content)
    assert thumbnails[0] == thumbnails[1]
    hits = client.post("/v1/search", files={"image": turned.getvalue()}).json()["subjects"]
    assert {hit["subject"]: round(hit["score"], 4) for hit in hits} == {"plain": 1.0, "phone": 1.0}


def test_the_life_of_a_subject(client: TestClient, image: bytes) -> None:
    created = client.put("/v1/subjects/alice")
    assert (created.status_code, created.json()["entries"]) == (201, 0)
    assert client.put("/v1/subjects/alice", json={"note": "staff"}).status_code == 200
    answer = client.post(
        "/v1/entries", params={"subject": "alice", "camera": "c1"}, files={"image": image}
    )
    assert answer.status_code == 201
    number = answer.json()["id"]
    alice = client.get("/v1/subjects/alice").json()
    assert (alice["id"], alice["entries"], alice["note"]) == ("alice", 1, "staff")
    patched = client.patch("/v1/subjects/alice", json={"display_name": "Alice A."}).json()
    assert (patched["display_name"], patched["note"]) == ("Alice A.", "staff")
    [entry] = client.get("/v1/entries", params={"subject": "alice"}).json()["entries"]
    assert entry == client.get(f"/v1/entries/{number}").json()
    assert (entry["camera"], entry["space_id"], entry["has_thumbnail"]) == ("c1", SPACE, True)
    assert client.get(f"/v1/entries/{number}/thumbnail").content[:2] == b"\xff\xd8"
    assert client.delete(f"/v1/entries/{number}").status_code == 204
    assert client.delete(f"/v1/entries/{number}").status_code == 404
    assert client.delete("/v1/subjects/alice").json() == {"entries": 0}
    assert client.get("/v1/subjects/alice").status_code == 404


def test_image_and_feature_enrol_and_find_the_same(
    client: TestClient, image: bytes, services: Services
) -> None:
    client.post("/v1/entries", params={"subject": "a", "camera": "c"}, files={"image": image})
    [stored] = services.gallery.store.all_features(SPACE)
    packed = base64.b64encode(stored.features[0].astype("<f4").tobytes()).decode()
    for body in (
        {"space_id": SPACE, "values": stored.features[0].tolist()},
        {"space_id": SPACE, "values_base64": packed},
    ):
        answer = client.post(
            "/v1/entries/feature", params={"subject": "b", "camera": "c"}, json=body
        )
        assert answer.status_code == 201
        by_feature = client.post("/v1/search/feature", json={**body, "top_k": 5, "top_entries": 5})
        by_image = client.post("/v1/search?top_k=5&top_entries=5", files={"image": image})
        assert by_feature.json() == by_image.json()
    [first] = services.gallery.store.all_features(SPACE)
    for row in first.features[1:]:
        np.testing.assert_array_equal(row, first.features[0])
    assert [hit["subject"] for hit in by_feature.json()["subjects"]] == ["a", "b"]
    assert len(by_feature.json()["entries"]) == 3
    assert by_feature.json()["decision"]["kind"] == "unspecified"


@pytest.mark.parametrize("scheme", ["", "jscc-fc-16", "features"])
def test_search_and_verify_compare_what_was_asked_for(
    client: TestClient, services: Services, scheme: str
) -> None:
    for seed in range(6):
        enrol(client, f"p{seed}", seed)
    rows = np.array([feature(seed)["values"] for seed in [*range(6), 9]], dtype=np.float32)
    if scheme != "features":
        rows = services.gallery.scheme("jscc-fc-16").gallery(rows)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = rows[:6] @ rows[6]
    query = {"scheme": scheme}
    answer = client.post("/v1/search/feature", params=query, json={**feature(9), "top_k": 6})
    body = answer.json()
    assert body["scheme"] == (scheme or "jscc-fc-16")
    best = np.argsort(-scores)
    assert [hit["subject"] for hit in body["subjects"]] == [f"p{i}" for i in best]
    assert [hit["score"] for hit in body["subjects"]] == pytest.approx(scores[best], abs=1e-4)
    verified = client.post(
        "/v1/verify/feature", params={**query, "subject": "p3"}, json=feature(9)
    ).json()
    assert verified["score"] == pytest.approx(scores[3], abs=1e-4)
    assert verified["scheme"] == (scheme or "jscc-fc-16")


def test_a_calibrated_scheme_goes_before_a_wider_one(bundle: Bundle) -> None:
    assert usual_scheme(bundle, {}) == "jscc-ae-512"
    assert usual_scheme(bundle, {"jscc-ae-64", "digital-64", "features"}) == "jscc-ae-64"
    assert usual_scheme(bundle, {"jscc-fc-256", "jscc-ae-256"}) == "jscc-ae-256"


def test_an_unknown_scheme_is_named_with_those_there_are(client: TestClient) -> None:
    enrol(client, "p", 1)
    for path in ("/v1/search/feature", "/v1/verify/feature?subject=p"):
        answer = client.post(path + ("&" if "?" in path else "?") + "scheme=x", json=feature(1))
        assert answer.status_code == 400
        assert "jscc-fc-16" in answer.json()["detail"]


def test_verify_takes_the_best_entry_of_the_subject_alone(client: TestClient) -> None:
    for seed in (1, 2, 3):
        enrol(client, "p", seed)
    other = enrol(client, "q", 9)
    vectors = [np.array(feature(seed)["values"]) for seed in (1, 2, 3)]
    probe = np.array(feature(9)["values"])
    best = max(v @ probe / np.linalg.norm(v) / np.linalg.norm(probe) for v in vectors)
    answer = client.post("/v1/verify/feature?subject=p&scheme=features", json=feature(9)).json()
    assert answer["score"] == pytest.approx(best, abs=1e-5)
    themselves = client.post("/v1/verify/feature?subject=q", json=feature(9)).json()
    assert themselves["score"] == pytest.approx(1.0, abs=1e-5)
    assert themselves["entry_id"] == other
    client.put("/v1/subjects/empty")
    for name in ("empty", "nobody"):
        answer = client.post(f"/v1/verify/feature?subject={name}", json=feature(9))
        assert answer.status_code == 404


def test_a_second_entry_with_the_same_key_replaces_the_first(client: TestClient) -> None:
    first = enrol(client, "p", 1, key="front")
    second = enrol(client, "p", 2, key="front")
    assert first != second
    entries = client.get("/v1/entries").json()["entries"]
    assert [(entry["id"], entry["key"]) for entry in entries] == [(second, "front")]


def test_batches_answer_each_item_for_itself(client: TestClient, image: bytes) -> None:
    picture = base64.b64encode(image).decode()
    items: list[dict[str, Any]] = [
        {"subject": "a", "camera": "c", "image_base64": picture},
        {"subject": "a b", "camera": "c", "image_base64": picture},
        {"subject": "b", "camera": "c", "feature": feature(1)},
        {"subject": "b", "camera": "c", "feature": {**feature(1), "space_id": "elsewhere"}},
        {"subject": "b", "camera": "c"},
        {"subject": "b", "camera": "c", "image_base64": "///"},
        {"subject": "b", "camera": "c", "image_base64": base64.b64encode(b"no").decode()},
        {"subject": "b", "camera": "c", "feature": {"space_id": SPACE, "values": [1.0]}},
    ]
    results = client.post("/v1/entries/batch", json={"items": items}).json()["results"]
    codes = [result["status"]["code"] for result in results]
    assert codes == ["ok", "invalid", "ok", "wrong_space", *["invalid"] * 4]
    numbers = [results[0]["entry"]["id"], 10**30, results[2]["entry"]["id"], -1]
    gone = client.post("/v1/entries/batch-delete", json={"ids": numbers}).json()["results"]
    assert [item["status"]["code"] for item in gone] == ["ok", "not_found", "ok", "not_found"]
    assert client.get("/v1/state").json()["entries"] == 0


def test_merge_moves_entries(client: TestClient) -> None:
    enrol(client, "a", 1)
    enrol(client, "b", 2)
    assert client.post("/v1/merge", json={"source": "a", "into": "b"}).json()["entries"] == 2
    assert client.get("/v1/subjects/a").status_code == 404
    assert client.post("/v1/merge", json={"source": "a", "into": "b"}).status_code == 404
    assert client.post("/v1/merge", json={"source": "b", "into": "b"}).status_code == 400


def test_pages_neither_skip_nor_repeat_and_tokens_are_sealed(client: TestClient) -> None:
    for i in range(7):
        enrol(client, f"p{i}", i)
    names: list[str] = []
    token = ""
    while True:
        query = {"page_size": 3, "page_token": token, "prefix": "p"}
        page = client.get("/v1/subjects", params=query).json()
        names += [subject["id"] for subject in page["subjects"]]
        client.put("/v1/subjects/p00")  # a change in between
        token = page["next_page_token"]
        if not token:
            break
        first_token = token
    assert names == [f"p{i}" for i in range(7)]
    for query in (
        {"page_token": first_token, "prefix": "q"},  # another list
        {"page_token": first_token},
        {"page_token": first_token[:-4] + "AAA=", "prefix": "p"},
        {"page_token": "%%", "prefix": "p"},
    ):
        answer = client.get("/v1/subjects", params=query)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert client.get("/v1/entries", params={"page_token": first_token}).status_code == 400
    first = client.get("/v1/entries", params={"page_size": 4}).json()
    rest = client.get(
        "/v1/entries", params={"page_size": 4, "page_token": first["next_page_token"]}
    ).json()
    names = [entry["id"] for entry in first["entries"] + rest["entries"]]
    assert names == sorted(names)
    assert len(names) == 7


@pytest.mark.parametrize(
    ("method", "url", "extra", "status", "words"),
    [
        ("put", "/v1/subjects/a%20b", {}, 400, "letters, digits"),
        ("post", "/v1/entries?subject=a&camera=c", {"files": {"image": b"no"}}, 400, "image of a"),
        ("post", "/v1/entries?subject=a", {"files": {"image": b"x"}}, 422, "query.camera"),
        ("post", "/v1/merge", {"content": b"{"}, 422, "body"),
        ("post", "/v1/merge", {"json": {"source": "a"}}, 422, "body.into"),
        ("post", "/v1/merge", {"json": {"source": "a", "into": "b", "x": 1}}, 422, "body.x"),
        ("post", "/v1/search/feature", {"json": {"space_id": SPACE, "values": []}}, 422, "values"),
        ("post", "/v1/search/feature", {"json": {"space_id": SPACE}}, 400, "give values"),
        ("put", "/v1/subjects/a", {"json": {"expires_at": False}}, 422, "expires_at"),
        ("post", "/v1/entries/batch-delete", {"json": {"ids": ["1"]}}, 422, "body.ids.0"),
        ("get", "/v1/subjects?page_size=5000", {}, 422, "page_size"),
        ("delete", "/v1/entries/99999999999999999999999", {}, 404, "no entry"),
        ("delete", "/v1/subjects/nobody", {}, 404, "no subject"),
        ("patch", "/v1/subjects/nobody", {"json": {}}, 404, "no subject"),
        ("get", "/v1/entries/1/thumbnail", {}, 404, "no entry"),
        ("get", "/v1/jobs/none", {}, 404, "no job"),
        ("post", "/v1/jobs", {"json": {"kind": "dance"}}, 400, "job kind"),
        ("get", "/v1/subjects/", {}, 404, "there is no /v1/subjects/"),
        ("get", "/nowhere", {}, 404, "there is no /nowhere"),
    ],
)
def test_problems_are_documents_that_say_what_is_wrong(
    client: TestClient, method: str, url: str, extra: dict[str, Any], status: int, words: str
) -> None:
    answer = client.request(method, url, headers={"X-Request-Id": "me-1"}, **extra)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert words in document["detail"]
    assert document["status"] == status
    assert document["request_id"] == answer.headers["x-request-id"] == "me-1"


def test_another_method_is_told_which_ones_there_are(client: TestClient) -> None:
    answer = client.request("POST", "/v1/subjects/a")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PATCH, PUT"
    assert answer.json()["code"] == "method_not_allowed"


def test_head_is_get_without_a_body(client: TestClient) -> None:
    whole, head = client.get("/v1/state"), client.head("/v1/state")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))
    assert client.head("/nowhere").status_code == 404


def test_an_expired_entry_goes_by_itself(client: TestClient, services: Services) -> None:
    soon = enrol(client, "p", 1, expires_at=5.0)
    lasting = enrol(client, "p", 2)
    assert services.gallery.maintenance.expire_due(6.0) == ([soon], [])
    assert [entry["id"] for entry in client.get("/v1/entries").json()["entries"]] == [lasting]


def test_an_entry_sent_again_under_its_key_is_no_duplicate(client: TestClient) -> None:
    client.put("/v1/policy", json={"quality_gate": {"mode": "refuse"}})
    first = enrol(client, "p", 1, key="frame-1")
    second = enrol(client, "p", 1, key="frame-1")  # the first answer was lost
    assert [entry["id"] for entry in client.get("/v1/entries").json()["entries"]] == [second]
    assert second > first
    params = {"subject": "p", "camera": "c1"}
    refused = client.post("/v1/entries/feature", params=params, json=feature(1))
    assert (refused.status_code, refused.json()["code"]) == (400, "quality")


def test_a_disk_that_fails_once_does_not_end_expiry(
    tiny: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[float] = []
    expire_due = Maintenance.expire_due

    def fails_once(maintenance: Maintenance, now: float) -> tuple[list[int], list[str]]:
        if not failed:
            failed.append(now)
            raise sqlite3.OperationalError("database or disk is full")
        return expire_due(maintenance, now)

    monkeypatch.setattr(Maintenance, "expire_due", fails_once)
    settings = ServeSettings(data_dir=tmp_path / "data", expire_seconds=0.1)
    with access_point(tiny, settings) as services:
        assert services.gallery.wait_ready(30)
        client = rest_over(services).client
        client.put("/v1/subjects/p", json={"expires_at": 5.0})
        until = time.monotonic() + 30
        assert client.get("/v1/subjects/p").status_code == 404  # deleted or not
        while '"expire"' not in (settings.data_dir / "audit.jsonl").read_text():
            assert time.monotonic() < until
            time.sleep(0.02)
    assert failed
    audit = (settings.data_dir / "audit.jsonl").read_text()
    assert '"who": "expiry", "by": "local", "action": "expire", "entries": []' in audit
    assert '"subjects": ["p"]' in audit


def test_state_health_and_metrics(client: TestClient) -> None:
    enrol(client, "secret-name", 1)
    state = client.get("/v1/state").json()
    assert (state["subjects"], state["entries"], state["ready"]) == (1, 1, True)
    assert state["schemes"] == ["jscc-fc-16"]
    assert client.get("/v2/health/live").json()["live"]
    assert client.get("/v2/health/ready").status_code == 200
    text = client.get("/metrics").text
    assert 'airreid_ap_enrolments_total{code="ok"} 1.0' in text
    assert "airreid_ap_entries 1.0" in text
    assert 'index="auto",space="tiny-space"} 1.0' in text
    assert "secret-name" not in text


def test_every_change_is_in_the_audit_log_and_no_feature(
    client: TestClient, settings: ServeSettings
) -> None:
    number = enrol(client, "p", 1)
    client.put("/v1/subjects/q")
    client.delete(f"/v1/entries/{number}")
    client.delete("/v1/subjects/p")
    path: Path = settings.data_dir / "audit.jsonl"
    text = path.read_text()
    actions = [line.split('"action": "')[1].split('"')[0] for line in text.splitlines()]
    assert actions == ["enrol", "put_subject", "delete_entries", "delete_subject"]
    assert str(feature(1)["values"][0]) not in text
    assert path.stat().st_mode & 0o077 == 0


def test_what_a_failing_disk_takes_is_said_item_by_item(
    client: TestClient, services: Services
) -> None:
    with services.gallery.store.database.writing() as db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON entries WHEN NEW.subject = 'p17' "
            "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
    items = [{"subject": f"p{i:02d}", "camera": "c", "feature": feature(i)} for i in range(20)]
    answer = client.post("/v1/entries/batch", json={"items": items})
    assert answer.status_code == 200
    codes = [item["status"]["code"] for item in answer.json()["results"]]
    assert codes == ["ok"] * 16 + ["internal"] * 4
    assert "disk is full" not in answer.text
    assert client.get("/v1/state").json()["entries"] == 16
    audit = (services.gallery.store.path.parent / "audit.jsonl").read_text()
    assert audit.count('"entry"') == 16


def test_a_policy_has_a_size(client: TestClient) -> None:
    points = [{"snr_db": i / 10, "threshold": 0.9, "lower": 0.5} for i in range(60)]
    schemes = {f"jscc-fc-{i}": {"points": points} for i in range(1, 40)}
    answer = client.put("/v1/policy", json={"match_policy": {"schemes": schemes}})
    assert answer.status_code == 400
    assert "match_policy" in answer.json()["detail"]


def test_state_says_what_the_policy_promises_today(client: TestClient) -> None:
    assert client.get("/v1/state").json()["false_match_rate"] is None
    policy = {"false_match_rate": 0.01, "subjects": 2, "schemes": {}}
    assert client.put("/v1/policy", json={"match_policy": policy}).status_code == 200
    for seed in range(4):
        enrol(client, f"p{seed}", seed)
    state = client.get("/v1/state").json()
    assert state["false_match_rate"] == pytest.approx(1 - 0.99**2)  # twice as many to be taken for
    assert state["index"] == "auto"


def test_a_damaged_document_is_named_and_can_be_set_again(rest: Rest) -> None:
    client, gallery = rest.client, rest.services.gallery
    enrol(client, "a", 1)
    for key, document in (("match_policy", {"margin": 0.5}), ("quality_gate", {"mode": "warn"})):
        gallery.set_setting(key, "{damaged")
        assert client.get("/v1/state").status_code == 200
        assert enrol(client, "b", 2) > 1
        answer = client.get("/v1/policy")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert "damaged" in answer.json()["detail"]
        answer = client.put("/v1/policy", json={key: document})
        assert answer.status_code == 200, answer.text
        assert document.items() <= client.get("/v1/policy").json()[key].items()


def test_an_origin_that_is_no_address_is_refused(client: TestClient) -> None:
    answer = client.put("/v1/subjects/a", headers={"Origin": "http://["}, json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("name", "view"), [("entries", views.EntryView), ("subjects", views.SubjectView)]
)
def test_a_page_is_made_row_by_row_outside_of_the_event_loop(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, name: str, view: type[views.View]
) -> None:
    for seed in range(4):
        enrol(client, f"p{seed}", seed)
    makers, dump = list[str](), view.model_dump_json

    def dumped(row: views.View) -> str:
        makers.append(threading.current_thread().name)
        return dump(row)

    monkeypatch.setattr(view, "model_dump_json", dumped)
    page = client.get(f"/v1/{name}", params={"page_size": 3}).json()
    assert len(makers) == len(page[name]) == 3
    assert all(maker.startswith("api list") for maker in makers)
    rest = client.get(
        f"/v1/{name}", params={"page_size": 3, "page_token": page["next_page_token"]}
    ).json()
    assert (len(rest[name]), rest["next_page_token"]) == (1, "")
    for row in (*page[name], *rest[name]):
        assert client.get(f"/v1/{name}/{row['id']}").json() == row
