"""A data folder written before is served as it was: people, policy, tokens and answers."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from simulation.processes import Role

from .support import ANY_PORT, FILES, airreid, assert_as_recorded

SCHEMES = ["", "jscc-ae-24", "jscc-fc-16", "digital-64-r1", "features"]
QUERIED = [0, 3, 4, 7, 10, 11]
"""Numbers of the people whose pictures by a third camera were searched for."""


class Served:
    """An access point over a data folder, asked through REST."""

    def __init__(self, data: Path, token: str) -> None:
        arguments = ["ap", "serve", "--data-dir", str(data), "--bundle", str(FILES / "bundle")]
        arguments += ["--grpc", ANY_PORT, "--http", ANY_PORT]
        self.role = Role("access point", [*arguments, *(["--require-token"] if token else [])])
        headers = {"authorization": f"Bearer {token}"} if token else {}
        base = f"http://127.0.0.1:{self.role.ready['http_port']}"
        self.client = httpx.Client(base_url=base, headers=headers, timeout=60)
        until = time.monotonic() + 60
        while self.client.get("/v2/health/ready").status_code != 200:
            assert time.monotonic() < until, "not ready"
            time.sleep(0.05)

    def get(self, path: str, **query: object) -> Any:
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def search(self, scheme: str, person: int) -> Any:
        image = (FILES / f"people/p{person:02d}/c2/0.png").read_bytes()
        query = {"scheme": scheme, "top_k": 4, "top_entries": 6}
        answer = self.client.post("/v1/search", params=query, files={"image": image})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def stop(self) -> None:
        self.client.close()
        self.role.stop()


@pytest.fixture(scope="module")
def served(expected: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("legacy") / "data"
    shutil.copytree(FILES / "data", data)
    access_point = Served(data, expected["tokens"]["reader"])
    yield access_point
    access_point.stop()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FILES / "data", tmp_path / "data"))


def test_people_policy_and_jobs_are_as_they_were(served: Served, expected: dict[str, Any]) -> None:
    gallery = expected["gallery"]
    subjects = served.get("/v1/subjects", page_size=100)["subjects"]
    assert_as_recorded(subjects, gallery["subjects"])
    entries = served.get("/v1/entries", page_size=100)["entries"]
    assert_as_recorded(entries, gallery["entries"])
    assert_as_recorded(served.get("/v1/policy"), gallery["policy"])
    assert_as_recorded(served.get("/v1/jobs")["jobs"], gallery["jobs"][::-1])
    assert (len(subjects), len(entries)) == (11, 22)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_searches_and_decisions_are_as_they_were(
    served: Served, expected: dict[str, Any], scheme: str
) -> None:
    for person, recorded in zip(QUERIED, expected["gallery"]["searches"][scheme], strict=True):
        assert_as_recorded(served.search(scheme, person), recorded, f"{scheme} p{person:02d}")


def test_tokens_open_what_they_opened(served: Served, expected: dict[str, Any]) -> None:
    for token, status in ((expected["tokens"]["camera"], 403), ("airreid_no", 401)):
        headers = {"authorization": f"Bearer {token}"}
        assert served.client.get("/v1/subjects", headers=headers).status_code == status


def test_indexes_on_disk_are_used_and_not_made_anew(data: Path) -> None:
    before = sorted(path.name for path in (data / "index").rglob("*.segment"))
    assert len(before) == 5
    access_point = Served(data, "")
    for scheme in SCHEMES:
        access_point.search(scheme, 3)
    access_point.stop()
    assert sorted(path.name for path in (data / "index").rglob("*.segment")) == before


def test_a_backup_is_restored(expected: dict[str, Any], tmp_path: Path) -> None:
    backup, data = FILES / "data/backups/legacy.sqlite", tmp_path / "data"
    airreid("ap", "restore", backup, "--data-dir", data)
    access_point = Served(data, "")
    subjects = access_point.get("/v1/subjects", page_size=100)["subjects"]
    assert_as_recorded(subjects, expected["gallery"]["subjects"])
    assert_as_recorded(access_point.get("/v1/policy"), expected["gallery"]["policy"])
    assert_as_recorded(
        [access_point.search("features", person) for person in QUERIED],
        expected["gallery"]["searches"]["features"],
    )
    access_point.stop()


def test_an_archive_is_imported(expected: dict[str, Any], tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "archives").mkdir(parents=True)
    shutil.copy(FILES / "data/archives/legacy.zip", data / "archives")
    access_point = Served(data, "")
    body = {"kind": "import", "parameters": {"name": "legacy"}}
    job = access_point.client.post("/v1/jobs", json=body).json()
    until = time.monotonic() + 60
    while job["state"] not in ("done", "failed"):
        assert time.monotonic() < until
        job = access_point.get(f"/v1/jobs/{job['id']}")
        time.sleep(0.02)
    result = json.loads(job["result"])
    assert (result["subjects"], result["entries"]) == (11, 22)
    for kind, stays in (
        ("subjects", ("id", "display_name", "note", "entries", "expires_at")),
        ("entries", ("subject", "camera", "key", "space_id", "quality", "has_thumbnail")),
    ):
        rows = access_point.get(f"/v1/{kind}", page_size=100)[kind]
        recorded = [{key: row[key] for key in stays} for row in expected["gallery"][kind]]
        assert_as_recorded(rows, recorded, kind)
    for person, recorded in zip(QUERIED, expected["gallery"]["searches"]["features"], strict=True):
        subjects = [
            {key: hit[key] for key in ("subject", "camera", "score")}
            for hit in recorded["subjects"]
        ]
        assert_as_recorded(access_point.search("features", person)["subjects"], subjects)
    access_point.stop()


def test_thumbnails_are_the_same_bytes(served: Served, expected: dict[str, Any]) -> None:
    data = served.client.get("/v1/entries/1/thumbnail").content
    assert hashlib.sha256(data).hexdigest() == expected["gallery"]["thumbnail"]
    assert served.client.get("/v1/entries/3/thumbnail").status_code == 404
