"""No line, no acknowledgement; and no line is ever half a line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from accesspoint.api.audit import Audit
from accesspoint.api.auth import LOCAL
from accesspoint.api.enrolment import Candidate, Enrolled, Source
from accesspoint.assembly import Services, access_point
from accesspoint.errors import StorageError
from accesspoint.settings import ServeSettings
from airreid.bundle import Bundle

from .conftest import DIM

ROOT = Path(__file__).resolve().parents[3]


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def candidate(services: Services, subject: str, seed: int) -> Candidate:
    feature = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)
    return Candidate(subject, "c", Source(feature=feature, space_id=services.gallery.space_id))


@pytest.fixture
def full(settings: ServeSettings) -> Iterator[Callable[[], None]]:
    """Gives the audit log a device that is always full; the call gives it a disk again."""
    path, aside = settings.data_dir / "audit.jsonl", settings.data_dir / "aside"

    def mend() -> None:
        path.unlink()
        if aside.exists():
            aside.rename(path)

    def fill() -> Callable[[], None]:
        if path.exists():
            path.rename(aside)
        path.symlink_to("/dev/full")
        return mend

    rights = Path("/dev/full").stat().st_mode
    yield fill  # type: ignore[misc]
    assert Path("/dev/full").stat().st_mode == rights


def test_no_change_is_acknowledged_without_its_line(
    services: Services, settings: ServeSettings, full: Callable[[], Callable[[], None]]
) -> None:
    service, search = services.rest.service, services.rest.search_service
    for name, seed in (("a", 1), ("b", 2), ("c", 3), ("d", 4)):
        [verdict] = service.enrol(LOCAL, [candidate(services, name, seed)])
        assert isinstance(verdict, Enrolled)
    changes: dict[str, Callable[[], object]] = {
        "put_subject": lambda: service.put_subject(LOCAL, "new", None, None, None),
        "patch_subject": lambda: service.patch_subject(LOCAL, "a", note="x"),
        "delete_subject": lambda: service.delete_subject(LOCAL, "b"),
        "merge_subjects": lambda: service.merge_subjects(LOCAL, "c", "a"),
        "enrol": lambda: service.enrol(LOCAL, [candidate(services, "e", 5)]),
        "delete_entries": lambda: service.delete_entries(LOCAL, [4]),
        "set_match_policy": lambda: search.set_policy(LOCAL, "{}", ""),
        "start_job": lambda: services.rest.jobs.start(LOCAL, "backup", {}),
    }
    for action, change in changes.items():
        mend = full()
        with pytest.raises(StorageError, match="not acknowledged"):
            change()
        done = services.gallery.counts()
        for other in changes.values():  # and nothing more is begun
            with pytest.raises(StorageError, match="nothing is changed until it can"):
                other()
        assert services.gallery.counts() == done
        assert "audit log cannot be written" in services.rest.not_ready()
        mend()
        assert services.rest.not_ready() == ""
        assert lines(settings.data_dir / "audit.jsonl")[-1]["action"] == action
    service.put_subject(LOCAL, "later", None, None, None)
    actions = [line["action"] for line in lines(settings.data_dir / "audit.jsonl")]
    assert actions == ["enrol"] * 4 + list(changes) + ["put_subject"]


CUT = '{"time": 1.5, "who": "ops", "by": "token", "action": "delete_subject", "subject": "ada"}\n'


@pytest.mark.parametrize("left", [1, 20, len(CUT) - 3, len(CUT) - 1])
def test_a_torn_last_line_is_told_and_made_whole_at_the_start(
    tiny: Bundle, settings: ServeSettings, left: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings.data_dir.mkdir()
    path = settings.data_dir / "audit.jsonl"
    path.write_text(CUT * 2 + CUT[:left])
    with access_point(tiny, settings) as services:
        services.gallery.wait_ready(30)
        assert "audit_line_torn" in [record.message for record in caplog.records]
        services.rest.service.put_subject(LOCAL, "bob", None, None, None)
    *whole, last, put = lines(path)
    assert whole == [json.loads(CUT)] * 2
    assert put["subject"] == "bob"
    if left == len(CUT) - 1:  # nothing but the newline was lost
        assert last == json.loads(CUT)
    else:
        assert (last["action"], last["text"]) == ("torn_line", CUT[:left])


def test_a_line_that_does_not_fit_leaves_no_part_of_itself(tmp_path: Path) -> None:
    """In a process whose files may grow to 1,000 bytes."""
    script = f"""
import resource, signal
from pathlib import Path
from accesspoint.api.audit import Audit
from accesspoint.api.auth import LOCAL
from accesspoint.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
audit = Audit(Path({str(tmp_path)!r}))
taken = 0
try:
    while True:
        audit.record(LOCAL, "put_subject", subject="x" * 100)
        taken += 1
except StorageError:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(taken, len((Path({str(tmp_path)!r}) / "audit.jsonl").read_text().splitlines()))
audit.check()
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
    )
    taken, written = map(int, ended.stdout.split())
    assert taken == written > 2, ended.stderr
    assert len(lines(tmp_path / "audit.jsonl")) == taken + 1


def test_many_writers_make_whole_lines(tmp_path: Path) -> None:
    def write(number: int) -> None:
        audit = Audit(tmp_path)  # as another process has one
        for i in range(20):
            audit.record(LOCAL, "put_subject", subject=f"{number}-{i}", text="ü" * 50)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    subjects = [line["subject"] for line in lines(tmp_path / "audit.jsonl")]
    assert len(subjects) == len(set(subjects)) == 80
    os.truncate(tmp_path / "audit.jsonl", (tmp_path / "audit.jsonl").stat().st_size - 7)
    Audit(tmp_path).record(LOCAL, "put_subject", subject="after")  # another's torn line
    assert [line["action"] for line in lines(tmp_path / "audit.jsonl")][-2:] == [
        "torn_line",
        "put_subject",
    ]
