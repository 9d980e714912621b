"""Jobs: long work, one at a time, in a thread of its own.

The state of a job is kept in ``jobs.json`` of the data folder, so that a restart can
say of one that was under way: failed, interrupted. None goes on by itself after a
restart; a reindex that is started again continues where it was.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from accesspoint.api.audit import Audit
from accesspoint.api.auth import Principal
from accesspoint.errors import ConflictError, NotFoundError, RateLimitedError, StorageError
from airreid import log
from airreid.disk import open_private, read_regular
from airreid.errors import AirReidError, InputError

FILE_NAME = "jobs.json"
_BYTES_MAX = 256 << 20
"""Bytes of the file, at most."""
KEPT = 100
"""Finished jobs that are remembered, the newest."""
WAITING_MAX = 16
"""Jobs that may wait or run."""
PARAMETERS_MAX = 32_768
"""Characters of all parameters of a job, at most: the numbers of a thousand entries have room."""
_KEPT_MAX = 500
"""Characters that are remembered of each parameter, and of an error, of a job that has ended: all
jobs are written whenever one changes. The audit log has the parameters as they were."""
State = Literal["waiting", "running", "done", "failed", "cancelled"]
Tick = Callable[[int, int], None]
"""Reports progress, ``tick(done, total)``; raises when the job is cancelled."""
Runner = Callable[[Principal, Mapping[str, str], Tick], Mapping[str, object]]
"""Does the work for the principal that started it, and returns its result.

Raises :class:`AirReidError` for what went wrong."""


class Job(BaseModel):
    """State of a job."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: str
    parameters: dict[str, str]
    state: State
    done: int = 0
    total: int = 0
    result: str = ""
    """Result as a JSON document; of a failed job, what went wrong."""
    created_at: float
    finished_at: float | None = None

    @property
    def over(self) -> bool:
        """Whether the job has ended, one way or another."""
        return self.state in ("done", "failed", "cancelled")


class _File(BaseModel):
    jobs: list[Job] = []


class _CancelledError(Exception):
    """Raised in a job that has been told to stop."""


class JobKind(BaseModel):
    """A kind of work: how it is done, and its parameters' names."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    run: Runner
    parameters: frozenset[str] = frozenset()


class Jobs:
    """The jobs of an access point; safe in any thread."""

    def __init__(self, data_dir: Path, kinds: Mapping[str, JobKind], audit: Audit) -> None:
        self.path = data_dir / FILE_NAME
        self.kinds = kinds
        self._audit = audit
        self._lock = threading.Lock()
        self._jobs = {job.id: job for job in self._read()}
        self._stop: set[str] = set()
        self._starters: dict[str, Principal] = {}
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    def _read(self) -> list[Job]:
        """Reads the jobs of earlier processes; what was under way has been interrupted."""
        try:
            jobs = _File.model_validate_json(read_regular(self.path, _BYTES_MAX)).jobs
        except FileNotFoundError:
            return []
        except ValidationError:
            log.warning("jobs_unreadable", path=str(self.path))
            return []
        ended = {"state": "failed", "result": "interrupted", "finished_at": time.time()}
        return [_kept(job if job.over else job.model_copy(update=ended)) for job in jobs]

    def start(self, who: Principal, kind: str, parameters: Mapping[str, str]) -> Job:
        """Puts a job into the queue. Raises :class:`InputError` for an unknown kind or
        parameter and for too long ones, :class:`ConflictError` if one of this kind waits or
        runs."""
        if kind not in self.kinds:
            raise InputError(f"job kind {kind[:40]!r}: use one of {', '.join(sorted(self.kinds))}")
        unknown = sorted(set(parameters) - self.kinds[kind].parameters)
        if unknown:
            known = ", ".join(sorted(self.kinds[kind].parameters)) or "none"
            raise InputError(f"job {kind}: no parameter {unknown[0][:40]!r}; it takes {known}")
        if (size := sum(map(len, parameters.values()))) > PARAMETERS_MAX:
            raise InputError(
                f"job {kind}: parameters of {size} characters; {PARAMETERS_MAX} at most"
            )
        job = Job(
            id="job-" + secrets.token_hex(8),
            kind=kind,
            parameters=dict(parameters),
            state="waiting",
            created_at=time.time(),
        )
        self._audit.check()
        with self._lock:
            if busy := self._busy(kind):
                raise ConflictError(busy)
            open_jobs = [other for other in self._jobs.values() if not other.over]
            if len(open_jobs) >= WAITING_MAX:
                raise RateLimitedError(f"{len(open_jobs)} jobs wait already")
            self._jobs[job.id] = job
            self._starters[job.id] = who
            self._write()
        try:
            self._audit.record(who, "start_job", job=job.id, kind=kind, parameters=job.parameters)
        except StorageError as error:
            self._finish(job.id, state="failed", result=str(error))
            raise
        self._queue.put(job.id)
        return job

    def busy(self, kind: str) -> str:
        """Returns why no other job of a kind can be started now; empty where one can."""
        with self._lock:
            return self._busy(kind)

    def _busy(self, kind: str) -> str:
        if any(job.kind == kind and not job.over for job in self._jobs.values()):
            return f"a job {kind} waits or runs already; cancel it or let it end"
        return ""

    def get(self, job_id: str) -> Job:
        """Returns a job. Raises :class:`NotFoundError`."""
        with self._lock:
            if job_id not in self._jobs:
                raise NotFoundError(f"no job {job_id[:40]!r}")
            return self._jobs[job_id]

    def list(self) -> list[Job]:
        """Returns all jobs, the newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: -job.created_at)

    def cancel(self, who: Principal, job_id: str) -> Job:
        """Tells a job to stop; a running one does so at its next step.

        Raises :class:`NotFoundError`, and :class:`ConflictError` for one that is over.
        """
        job = self.get(job_id)
        with self._lock:
            job = self._jobs[job.id]
            if job.over:
                raise ConflictError(f"job {job_id} is over: {job.state}")
            self._stop.add(job_id)
            if job.state == "waiting":
                self._starters.pop(job_id, None)
                self._end(job_id, state="cancelled")
            cancelled = self._jobs[job_id]
        self._audit.record(who, "cancel_job", job=job_id)
        return cancelled

    def put_in_force(self, match_policy: str) -> None:
        """Says in the result of the calibration that made a match policy that it is applied.

        The newest one with this policy; nothing where no job that is remembered made it.
        """
        policy = json.loads(match_policy)
        with self._lock:
            for job in sorted(self._jobs.values(), key=_age):
                if job.kind != "calibrate" or job.state != "done":
                    continue
                result = _result(job)
                if result.get("policy") == policy:
                    self._set(job.id, result=json.dumps(result | {"applied": True}))
                    self._write()
                    return

    def close(self) -> None:
        """Stops the running job at its next step and ends the thread."""
        with self._lock:
            self._stop.update(job.id for job in self._jobs.values() if not job.over)
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job_id := self._queue.get()) is not None:
            with self._lock:
                job = self._jobs.get(job_id)
                if job is None or job.state != "waiting" or job_id in self._stop:
                    continue
                self._set(job_id, state="running")
                self._write()
            self._finish(job_id, **self._outcome(job))

    def _outcome(self, job: Job) -> dict[str, object]:
        """Runs a job; returns the changes to its state."""

        def tick(done: int, total: int) -> None:
            with self._lock:
                if job.id in self._stop:
                    raise _CancelledError
                self._set(job.id, done=done, total=total)

        try:
            who = self._starters.pop(job.id)
            result = self.kinds[job.kind].run(who, job.parameters, tick)
            return {"state": "done", "result": json.dumps(result)}
        except _CancelledError:
            return {"state": "cancelled"}
        except (AirReidError, OSError) as error:
            return {"state": "failed", "result": str(error)}
        except Exception as error:  # the thread must outlive one bad job
            log.warning("job_failed", job=job.id, kind=job.kind, error=repr(error))
            return {"state": "failed", "result": f"{type(error).__name__}; see the log"}

    def _finish(self, job_id: str, **changes: object) -> None:
        with self._lock:
            self._end(job_id, **changes)

    def _end(self, job_id: str, **changes: object) -> None:
        """Ends a job; the lock must be held."""
        self._set(job_id, finished_at=time.time(), **changes)
        self._jobs[job_id] = _kept(self._jobs[job_id])
        self._stop.discard(job_id)
        over = sorted((job for job in self._jobs.values() if job.over), key=_age)
        for job in over[KEPT:]:
            del self._jobs[job.id]
        self._write()

    def _set(self, job_id: str, **changes: object) -> None:
        self._jobs[job_id] = self._jobs[job_id].model_copy(update=changes)

    def _write(self) -> None:
        """Writes the state of all jobs; a disk that cannot take it does not stop the work."""
        temporary = self.path.with_suffix(".new")
        try:
            with open_private(temporary, "w") as file:
                file.write(_File(jobs=list(self._jobs.values())).model_dump_json())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError as error:
            log.warning("jobs_write_failed", error=str(error))


def _age(job: Job) -> float:
    return -(job.finished_at or 0.0)


def _kept(job: Job) -> Job:
    """Returns a job that has ended as it is remembered."""
    changes: dict[str, object] = {
        "parameters": {name: _short(text) for name, text in job.parameters.items()}
    }
    if job.state == "failed":
        changes["result"] = _short(job.result)
    return job.model_copy(update=changes)


def _short(text: str) -> str:
    return text if len(text) <= _KEPT_MAX else text[: _KEPT_MAX - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _result(job: Job) -> dict[str, Any]:
    """Returns the result of a job; empty where the file of an earlier process has none."""
    try:
        result = json.loads(job.result)
    except (ValueError, RecursionError):
        return {}
    return result if isinstance(result, dict) else {}
