"""Outlooks of calibrations, beside what the jobs then say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from accesspoint.api.calibration_outlook import ONE_CAMERA
from accesspoint.assembly import access_point
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store import store
from accesspoint.settings import ServeSettings
from airreid.bundle import Bundle

from .conftest import DIM, rest_over
from .test_job_kinds import SPACE, job

QUICK = {"snrs_db": "10", "max_queries": "50"}


def enrol(client: TestClient, people: int, cameras: str) -> None:
    rng = np.random.default_rng(people)
    items = [
        {
            "subject": f"p{person:02d}",
            "camera": camera,
            "feature": {"space_id": SPACE, "values": rng.standard_normal(DIM).tolist()},
        }
        for person in range(people)
        for camera in cameras
    ]
    assert client.post("/v1/entries/batch", json={"items": items}).status_code == 200


def outlook(client: TestClient, **parameters: str) -> dict[str, Any]:
    answer = client.get("/v1/calibration", params=parameters)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


@pytest.mark.parametrize(
    ("people", "cameras", "parameters", "words"),
    [
        (0, "", {}, "no entries to calibrate with"),
        (3, "ab", {"false_match_rate": "0.3"}, "3 subjects enrolled; calibration needs 10"),
        (12, "ab", {"false_match_rate": "0.01"}, "enrol 299 subjects"),
        (12, "ab", {"false_match_rate": "0.1", "confidence": "0.9"}, "enrol 22 subjects"),
        (12, "a", {"false_match_rate": "0.3", "new_cameras": "true"}, "from two cameras"),
        (12, "ab", {"false_match_rate": "7"}, "false_match_rate"),
        (12, "ab", {"false_match_rate": "0.3", "review_rate": "0.2"}, "review_rate"),
    ],
)
def test_a_refusal_is_the_jobs_own(
    client: TestClient, people: int, cameras: str, parameters: dict[str, str], words: str
) -> None:
    if people:
        enrol(client, people, cameras)
    refusal = outlook(client, **parameters)["refusal"]
    assert words in refusal
    failed = job(client, "calibrate", **parameters)
    assert (failed["state"], failed["result"]) == ("failed", refusal)


def test_what_can_be_done_is_not_refused(client: TestClient) -> None:
    enrol(client, 12, "ab")
    report = outlook(client, false_match_rate="0.3")
    assert report == {
        "refusal": "",
        "caution": "",
        "subjects": 12,
        "cameras": 2,
        "subjects_needed": 9,
    }
    assert client.put("/v1/subjects/nobody-seen-yet", json={}).status_code == 201
    assert outlook(client, false_match_rate="0.3")["subjects"] == 12
    ended = job(client, "calibrate", false_match_rate="0.3", **QUICK)
    assert ended["state"] == "done", ended["result"]


@pytest.mark.parametrize("at_once", [1, 2, 7, 10_000])
def test_counts_do_not_depend_on_the_parts(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(store, "_COUNTED_AT_ONCE", at_once)
    for people, cameras, counted in ((5, "a", 1), (12, "abc", 2)):
        enrol(client, people, cameras)
        assert outlook(client)["subjects"] == people
        assert outlook(client)["cameras"] == counted


def test_one_camera_is_a_caution(client: TestClient) -> None:
    enrol(client, 12, "a")
    report = outlook(client, false_match_rate="0.3")
    assert (report["refusal"], report["caution"]) == ("", ONE_CAMERA)


def test_a_gallery_that_is_only_read_says_so(tiny: Bundle, settings: ServeSettings) -> None:
    with access_point(tiny, settings) as services:
        assert services.gallery.wait_ready(30)
        enrol(rest_over(services).client, 12, "ab")
    read_only = GallerySettings(read_only=True)
    with access_point(tiny, ServeSettings(data_dir=settings.data_dir, gallery=read_only)) as read:
        report = outlook(rest_over(read).client, false_match_rate="0.3")
    assert "without --read-only" in report["refusal"]


def test_image_size_that_is_told_is_the_one_that_is_taken(
    tiny: Bundle, settings: ServeSettings
) -> None:
    limited = ServeSettings(data_dir=settings.data_dir, body_bytes=200 * 1024)
    with access_point(tiny, limited) as services:
        client = rest_over(services).client
        assert client.get("/v1/state").json()["image_bytes_max"] == (200 - 64) * 1024
