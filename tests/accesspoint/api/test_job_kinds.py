"""The jobs do what they say, through REST, over a real gallery."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from accesspoint.api.enrolment import thumbnail_of
from accesspoint.assembly import access_point
from accesspoint.gallery.maintenance import backup
from accesspoint.gallery.records import THUMBNAIL_MAX
from accesspoint.settings import ServeSettings
from airreid.bundle import Bundle

from ...airreid.adopt import networks
from ...made_bundles import made_bundle
from .conftest import DIM, make_bundle, png, rest_over

SPACE = "tiny-space"


def job(client: TestClient, kind: str, **parameters: str) -> dict[str, Any]:
    """Starts a job, waits for its end and returns its state."""
    answer = client.post("/v1/jobs", json={"kind": kind, "parameters": parameters})
    assert answer.status_code == 201, answer.text
    until = time.monotonic() + 60
    while True:
        state: dict[str, Any] = client.get(f"/v1/jobs/{answer.json()['id']}").json()
        if state["state"] in ("done", "failed"):
            return state
        assert time.monotonic() < until
        time.sleep(0.02)


def done(client: TestClient, kind: str, **parameters: str) -> dict[str, Any]:
    state = job(client, kind, **parameters)
    assert state["state"] == "done", state
    result: dict[str, Any] = json.loads(state["result"])
    return result


def enrol(client: TestClient, subject: str, seed: int, camera: str = "c") -> int:
    answer = client.post(
        "/v1/entries",
        params={"subject": subject, "camera": camera},
        files={"image": png(seed)},
    )
    assert answer.status_code == 201, answer.text
    number: int = answer.json()["id"]
    return number


def entries(client: TestClient) -> list[tuple[str, str]]:
    rows = client.get("/v1/entries", params={"page_size": 1000}).json()["entries"]
    return [(row["subject"], row["camera"]) for row in rows]


def test_backup_and_archive_bring_everybody_back(
    client: TestClient, settings: ServeSettings, tiny: Bundle, tmp_path: Path
) -> None:
    for i in range(5):
        enrol(client, f"p{i}", i)
    copied = done(client, "backup", name="monday")
    assert copied["file"] == "backups/monday.sqlite"
    assert "exists already" in job(client, "backup", name="monday")["result"]
    written = done(client, "export", name="all")
    assert (written["subjects"], written["entries"]) == (5, 5)
    before = entries(client)
    for i in range(3):
        client.delete(f"/v1/subjects/p{i}")
    assert done(client, "import", name="all")["skipped"] == 2
    assert sorted(entries(client)) == sorted(before)
    other = tmp_path / "other"
    assert backup.restore(settings.data_dir / copied["file"], other) == (5, 5)
    with access_point(tiny, ServeSettings(data_dir=other)) as services:
        assert services.gallery.wait_ready(30)
        assert entries(rest_over(services).client) == before


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        ("export", {"name": "../x"}, "name '../x'"),
        ("backup", {"name": "/etc/x"}, "name '/etc/x'"),
        ("import", {"name": "none"}, "no archive 'none.zip'"),
        ("import", {}, "name: give"),
        ("import", {"name": "a", "on_conflict": "win"}, "on_conflict"),
        ("reindex", {}, "nothing to reindex"),
        ("reindex", {"allow_unserved": "perhaps"}, "use true or false"),
        ("prove_deleted", {"entries": "1,x"}, "give their numbers"),
        ("prove_deleted", {}, "give their numbers"),
        ("prove_deleted", {"entries": "7", "delete": "true"}, "no entry 7"),
        ("calibrate", {"false_match_rate": "7"}, "false_match_rate"),
        ("calibrate", {"schemes": "none"}, "no scheme 'none'"),
        ("calibrate", {"snrs_db": "loud"}, "snrs_db"),
        ("calibrate", {"seed": "9" * 4000}, "seed"),
        ("calibrate", {"min_subjects": "9" * 4000}, "min_subjects"),
    ],
)
def test_jobs_that_cannot_be_done_say_why(
    client: TestClient, kind: str, parameters: dict[str, str], words: str
) -> None:
    state = job(client, kind, **parameters)
    assert state["state"] == "failed"
    assert words in state["result"]


def test_deletion_is_proved(client: TestClient) -> None:
    remaining, gone = enrol(client, "p", 1), enrol(client, "p", 2)
    report = done(client, "prove_deleted", entries=str(gone), delete="true")
    assert report["clean"], report
    assert report["needles"] > 0
    assert client.get(f"/v1/entries/{gone}").status_code == 404
    assert not done(client, "prove_deleted", entries=str(remaining))["clean"]


def test_calibration_puts_thresholds_in_force(client: TestClient) -> None:
    rng = np.random.default_rng(3)
    items = []
    for person in range(24):
        middle = rng.standard_normal(DIM)
        for camera in ("a", "b"):
            values = (middle + 0.2 * rng.standard_normal(DIM)).tolist()
            feature = {"space_id": SPACE, "values": values}
            items.append({"subject": f"p{person:02d}", "camera": camera, "feature": feature})
    assert client.post("/v1/entries/batch", json={"items": items}).status_code == 200
    wish = {"false_match_rate": "0.3", "snrs_db": "0, 10", "max_queries": "50"}
    dry = done(client, "calibrate", **wish, apply="false")
    assert not dry["applied"]
    assert client.get("/v1/policy").json()["match_policy"]["schemes"] == {}
    result = done(client, "calibrate", **wish)
    assert result["policy"] == dry["policy"]  # the seed decides
    policy = client.get("/v1/policy").json()["match_policy"]
    assert set(policy["schemes"]) == {"features", "jscc-fc-16"}
    assert policy["false_match_rate"] == 0.3
    for scheme in ("features", ""):
        path = f"/v1/search/feature?scheme={scheme}"
        assert client.post(path, json=items[0]["feature"]).json()["decision"]["kind"] == "match"
    stranger = {"space_id": SPACE, "values": rng.standard_normal(DIM).tolist()}
    answer = client.post("/v1/search/feature?scheme=features", json=stranger).json()["decision"]
    assert answer["kind"] in ("unknown", "ambiguous")
    assert answer["threshold"] == policy["schemes"]["features"]["points"][0]["threshold"]


def test_another_model_needs_a_reindex_and_gets_it(
    client: TestClient, settings: ServeSettings, tiny: Bundle, tmp_path: Path
) -> None:
    for i in range(4):
        enrol(client, f"p{i}", i)
    done(client, "export", name="all")
    other = make_bundle(tmp_path / "other", space="new-space", seed=6)
    data = tmp_path / "moved"
    done(client, "backup", name="b")
    backup.restore(settings.data_dir / "backups/b.sqlite", data)
    with access_point(other, ServeSettings(data_dir=data)) as services:
        assert not services.gallery.wait_ready(30)
        changed = rest_over(services).client
        state = changed.get("/v1/state").json()
        assert (state["ready"], state["other_space_entries"]) == (False, 4)
        answer = changed.get("/v2/health/ready")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert changed.get("/v2/health/live").status_code == 200
        answer = changed.post("/v1/search", files={"image": png(2)})
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert "airreid_ap_ready 0.0" in changed.get("/metrics").text
        report = done(changed, "reindex")
        assert (report["encoded"], report["switched"]) == (4, True)
        assert changed.get("/v2/health/ready").status_code == 200
        ranked = changed.post("/v1/search", files={"image": png(2)}).json()["subjects"]
        assert ranked[0]["subject"] == "p2"
        assert ranked[0]["score"] == pytest.approx(1.0, abs=0.02)  # the thumbnail is a JPEG


def test_thumbnails_are_encoded_anew_in_another_networks_size(tmp_path: Path) -> None:
    before = made_bundle(tmp_path / "before", [(384, 128)])
    after = made_bundle(tmp_path / "after", [(224, 224)])
    settings = ServeSettings(data_dir=tmp_path / "data", keep_thumbnails=True)
    pictures = [as_png(crop) for crop in networks.crops(4, (320, 160))]
    with access_point(before, settings) as services:
        assert services.gallery.wait_ready(30)
        client = rest_over(services).client
        for number, picture in enumerate(pictures):
            answer = client.post(
                f"/v1/entries?subject=p{number}&camera=c", files={"image": picture}
            )
            assert answer.status_code == 201, answer.text
            thumbnail = client.get(f"/v1/entries/{answer.json()['id']}/thumbnail").content
            assert Image.open(io.BytesIO(thumbnail)).size == (128, 384)
    with access_point(after, settings) as services:
        assert not services.gallery.wait_ready(30)
        client = rest_over(services).client
        assert done(client, "reindex")["encoded"] == 4
        for number, picture in enumerate(pictures):
            ranked = client.post("/v1/search", files={"image": picture}).json()["subjects"]
            assert ranked[0]["subject"] == f"p{number}"
            assert ranked[0]["score"] == pytest.approx(1.0, abs=0.02)


def as_png(crop: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(crop).save(out, "PNG")
    return out.getvalue()


def test_the_largest_networks_thumbnails_are_small_enough_to_be_stored() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (768, 512, 3)).astype(np.uint8)
    assert len(thumbnail_of(noise)) <= THUMBNAIL_MAX
    assert Image.open(io.BytesIO(thumbnail_of(noise))).size == (512, 768)


def test_the_quality_gate_warns_or_refuses(client: TestClient) -> None:
    enrol(client, "p", 1)
    answer = client.post("/v1/entries?subject=q&camera=c", files={"image": png(1)})
    assert answer.status_code == 201
    assert any("looks like subject p" in warning for warning in answer.json()["warnings"])
    assert 0 <= answer.json()["quality"] <= 1
    assert client.put("/v1/policy", json={"quality_gate": {"mode": "refuse"}}).status_code == 200
    answer = client.post("/v1/entries?subject=r&camera=c", files={"image": png(1)})
    assert (answer.status_code, answer.json()["code"]) == (400, "quality")
    assert client.get("/v1/subjects/r").status_code == 404
    client.put("/v1/policy", json={"quality_gate": {"mode": "off"}})
    answer = client.post("/v1/entries?subject=r&camera=c", files={"image": png(1)})
    assert (answer.status_code, answer.json()["warnings"]) == (201, [])
