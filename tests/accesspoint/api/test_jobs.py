"""Jobs: started once, followed, stopped, and honest after a restart."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from accesspoint.api.audit import Audit
from accesspoint.api.auth import LOCAL, Principal
from accesspoint.api.jobs import KEPT, PARAMETERS_MAX, Job, JobKind, Jobs, Tick
from accesspoint.errors import ConflictError, NotFoundError
from airreid.errors import InputError


class Work:
    """Kinds whose progress a test controls."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.began = threading.Event()

    def slow(self, who: Principal, parameters: Mapping[str, str], tick: Tick) -> dict[str, object]:
        self.began.set()
        for i in range(1000):
            tick(i, 1000)
            if self.go_on.wait(0.01):
                break
        return {"by": who.name, "for": parameters.get("whom", "")}

    def bad(self, who: Principal, parameters: Mapping[str, str], tick: Tick) -> dict[str, object]:
        raise InputError(parameters.get("why", "too few subjects"))

    def broken(
        self, who: Principal, parameters: Mapping[str, str], tick: Tick
    ) -> dict[str, object]:
        raise RuntimeError("secret words")

    @property
    def kinds(self) -> dict[str, JobKind]:
        return {
            "slow": JobKind(run=self.slow, parameters=frozenset({"whom"})),
            "bad": JobKind(run=self.bad, parameters=frozenset({"why"})),
            "broken": JobKind(run=self.broken),
        }


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def jobs(tmp_path: Path, work: Work) -> Iterator[Jobs]:
    started = Jobs(tmp_path, work.kinds, Audit(tmp_path))
    yield started
    work.go_on.set()
    started.close()


def finished(jobs: Jobs, job: Job) -> Job:
    until = time.monotonic() + 30
    while not jobs.get(job.id).over:
        assert time.monotonic() < until
        time.sleep(0.01)
    return jobs.get(job.id)


def test_a_job_runs_and_says_how_far_it_is(jobs: Jobs, work: Work, tmp_path: Path) -> None:
    job = jobs.start(LOCAL, "slow", {"whom": "me"})
    assert job.state in ("waiting", "running")
    assert work.began.wait(30)
    until = time.monotonic() + 30
    while jobs.get(job.id).total != 1000:
        assert time.monotonic() < until
        time.sleep(0.01)
    work.go_on.set()
    done = finished(jobs, job)
    assert (done.state, done.result) == ("done", '{"by": "local", "for": "me"}')
    assert done.finished_at is not None
    assert jobs.list() == [done]
    assert '"action": "start_job"' in (tmp_path / "audit.jsonl").read_text()


def test_one_of_a_kind_at_a_time_and_known_parameters_only(jobs: Jobs, work: Work) -> None:
    first = jobs.start(LOCAL, "slow", {})
    with pytest.raises(ConflictError, match="waits or runs already"):
        jobs.start(LOCAL, "slow", {})
    assert "waits or runs already" in jobs.busy("slow")
    assert jobs.busy("broken") == ""
    waiting = jobs.start(LOCAL, "bad", {})  # another kind waits behind it
    assert jobs.get(waiting.id).state == "waiting"
    with pytest.raises(InputError, match="no parameter 'x'; it takes whom"):
        jobs.start(LOCAL, "slow", {"x": "1"})
    with pytest.raises(InputError, match="use one of bad, broken, slow"):
        jobs.start(LOCAL, "dance", {})
    work.go_on.set()
    finished(jobs, first)
    assert finished(jobs, waiting).result == "too few subjects"
    assert jobs.busy("slow") == ""


def test_jobs_can_be_cancelled_running_or_waiting(jobs: Jobs, work: Work) -> None:
    running = jobs.start(LOCAL, "slow", {})
    waiting = jobs.start(LOCAL, "bad", {})
    assert work.began.wait(30)
    assert jobs.cancel(LOCAL, waiting.id).state == "cancelled"
    jobs.cancel(LOCAL, running.id)
    assert finished(jobs, running).state == "cancelled"
    with pytest.raises(ConflictError, match="is over"):
        jobs.cancel(LOCAL, running.id)
    with pytest.raises(NotFoundError):
        jobs.cancel(LOCAL, "job-none")


def test_a_broken_job_ends_and_the_next_one_runs(jobs: Jobs) -> None:
    broken = finished(jobs, jobs.start(LOCAL, "broken", {}))
    assert (broken.state, broken.result) == ("failed", "RuntimeError; see the log")
    assert finished(jobs, jobs.start(LOCAL, "bad", {})).state == "failed"


def test_what_a_kill_interrupts_is_said_to_have_failed(tmp_path: Path, work: Work) -> None:
    before = Jobs(tmp_path, work.kinds, Audit(tmp_path))
    job = before.start(LOCAL, "slow", {})
    assert work.began.wait(30)
    after = Jobs(tmp_path, work.kinds, Audit(tmp_path))  # as if the first had been killed
    interrupted = after.get(job.id)
    assert (interrupted.state, interrupted.result) == ("failed", "interrupted")
    after.start(LOCAL, "bad", {})
    work.go_on.set()
    after.close()
    before.close()


def test_a_damaged_file_is_no_reason_not_to_start(tmp_path: Path, work: Work) -> None:
    (tmp_path / "jobs.json").write_text("{")
    jobs = Jobs(tmp_path, work.kinds, Audit(tmp_path))
    assert jobs.list() == []
    jobs.close()


def test_old_jobs_are_forgotten(jobs: Jobs) -> None:
    first = finished(jobs, jobs.start(LOCAL, "bad", {}))
    for _ in range(KEPT):
        finished(jobs, jobs.start(LOCAL, "bad", {}))
    assert len(jobs.list()) == KEPT
    with pytest.raises(NotFoundError):
        jobs.get(first.id)


def test_long_parameters_are_refused_and_shortened_once_a_job_has_ended(
    jobs: Jobs, work: Work, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"{PARAMETERS_MAX + 1} characters; {PARAMETERS_MAX} at"):
        jobs.start(LOCAL, "slow", {"whom": "x" * (PARAMETERS_MAX + 1)})
    assert jobs.list() == []
    work.go_on.set()
    job = jobs.start(LOCAL, "slow", {"whom": "x" * PARAMETERS_MAX})
    assert len(job.parameters["whom"]) == PARAMETERS_MAX
    done = finished(jobs, job)
    assert json.loads(done.result)["for"] == "x" * PARAMETERS_MAX
    assert done.parameters["whom"] == "x" * 499 + "\u2026"
    failed = finished(jobs, jobs.start(LOCAL, "bad", {"why": "y" * PARAMETERS_MAX}))
    assert (failed.result, len(failed.parameters["why"])) == ("y" * 499 + "\u2026", 500)
    assert (tmp_path / "jobs.json").stat().st_size < 2 * PARAMETERS_MAX


def test_long_parameters_of_an_earlier_version_are_shortened(tmp_path: Path, work: Work) -> None:
    long = {"whom": "x" * 900_000}
    job = Job(id="j", kind="slow", parameters=long, state="running", created_at=1.0)
    (tmp_path / "jobs.json").write_text(json.dumps({"jobs": [job.model_dump()]}))
    jobs = Jobs(tmp_path, work.kinds, Audit(tmp_path))
    assert len(jobs.get("j").parameters["whom"]) == 500
    jobs.close()


@pytest.mark.parametrize("result", ["", "no JSON", "[]", "[" * 100_000])
def test_a_policy_is_put_in_force_beside_a_job_whose_result_is_damaged(
    tmp_path: Path, work: Work, result: str
) -> None:
    job = Job(id="j", kind="calibrate", parameters={}, state="done", result=result, created_at=1.0)
    (tmp_path / "jobs.json").write_text(json.dumps({"jobs": [job.model_dump()]}))
    jobs = Jobs(tmp_path, work.kinds, Audit(tmp_path))
    jobs.put_in_force("{}")
    assert jobs.get("j").result == result
    jobs.close()


def test_a_device_in_place_of_the_jobs_is_named(tmp_path: Path, work: Work) -> None:
    (tmp_path / "jobs.json").symlink_to("/dev/null")
    with pytest.raises(OSError, match=r"Not a regular file.*jobs\.json"):
        Jobs(tmp_path, work.kinds, Audit(tmp_path))
