"""Tests run over one fault at a time, in copies of the working tree."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sites import PACKAGES, ROOT, Mutant, Package, changed_lines, mutated

SLOWER = 4.0
"""Tests that take so many times as long as they do unharmed are stuck: the fault is seen."""
LEAST_SECONDS = 60.0


@dataclass(frozen=True)
class Verdict:
    """Result of a mutant."""

    key: str
    seen: bool
    reason: str
    """The first test that failed, or ``timeout``."""
    seconds: float
    diff: tuple[str, ...] = ()
    """Changed lines of the source."""


def copy_tree(folder: Path) -> Path:
    """The working tree's tracked and new files; the models as links, for their size."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if not name or not (ROOT / name).is_file():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.startswith("models/"):
            (folder / name).symlink_to(ROOT / name)
        else:
            shutil.copyfile(ROOT / name, folder / name)
    return folder


_seconds = itertools.count(1_000_000_000)


def write(path: Path, source: str) -> None:
    """Writes a module with a time of its own: compiled code goes by the second and the size."""
    path.write_text(source, encoding="utf-8")
    second = next(_seconds)
    os.utime(path, (second, second))


def tests_of(tree: Path, package: Package, module: str) -> list[list[str]]:
    """Test files in the order in which they are run: those of the module's own name, then
    the package's others, then the slow ones that stand for the module."""
    stem = Path(module).stem
    files = sorted({path for pattern in package.tests for path in tree.glob(pattern)})
    slow = {name for _, name in package.beside}
    names = [path.relative_to(tree).as_posix() for path in files]
    named = [name for name in names if Path(name).stem == f"test_{stem}"]
    others = [name for name in names if name not in named and name not in slow]
    beside = [name for other, name in package.beside if other == stem and name not in named]
    return [stage for stage in (named, others, beside) if stage]


def run_tests(tree: Path, files: list[str], limit: float) -> tuple[bool, str, float]:
    """(passed, the first failure, seconds). Whatever was started is ended with it."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no"]
    command += ["-p", "no:cacheprovider", "--hypothesis-seed=1", *files]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit)
        reason = _first_failure(output)
    except subprocess.TimeoutExpired:
        reason = "timeout"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode == 0, reason, time.monotonic() - started


def _first_failure(output: str) -> str:
    for line in output.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            return line.split(" - ")[0]
    return (output.strip().splitlines() or ["nothing was said"])[-1]


class Runner:
    """Judges mutants, each in one of a few copies of the tree."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.trees: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(workers):
            self.trees.put(copy_tree(folder / f"tree-{number}"))
        self.limits: dict[str, float] = {}

    def baseline(self, package: Package) -> float:
        """Seconds of the package's tests without a fault; they must pass, if only at the
        second run: a busy machine is no reason to give up an hour's work."""
        tree = self.trees.get()
        try:
            [files] = tests_of(tree, package, "")
            passed, reason, seconds = run_tests(tree, files, 1800)
            if not passed:
                print(f"{package.name}: failed without a fault, once more: {reason}", flush=True)
                passed, reason, seconds = run_tests(tree, files, 1800)
        finally:
            self.trees.put(tree)
        if not passed:
            sys.exit(f"{package.name}: its tests fail without a fault: {reason}")
        self.limits[package.name] = max(LEAST_SECONDS, SLOWER * seconds)
        return seconds

    def judge(self, mutant: Mutant) -> Verdict:
        """Runs the package's tests over one fault."""
        package = next(p for p in PACKAGES if p.name == mutant.package)
        tree = self.trees.get()
        target = tree / mutant.module
        before = target.read_text(encoding="utf-8")
        try:
            after = mutated(mutant, before)
            assert after is not None, mutant
            write(target, after)
            seconds = 0.0
            for files in tests_of(tree, package, mutant.module):
                passed, reason, spent = run_tests(tree, files, self.limits[package.name])
                seconds += spent
                if not passed:
                    break
        finally:
            write(target, before)
            self.trees.put(tree)
        lines = changed_lines(before, after)
        return Verdict(mutant.key, not passed, "" if passed else reason, round(seconds, 1), lines)
