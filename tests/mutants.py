"""Puts small faults into the core packages, one at a time, and sees which the tests notice.

    make mutants                                # 200 of them, by the seed 0
    make mutants ARGS="--count 50 --seed 3"
    make mutants ARGS="--only edge --again"     # those of edge that were not seen, again

A *site* is a place where a fault can be put: an operator, a comparison, a number, a
condition, a decorator, a loop, an ``except``. Sites are drawn with equal chances, then one
fault of each. cosmic-ray knows the faults and rewrites the source; a copy of the working
tree for each worker keeps the tree itself untouched. A fault is *seen* when a test fails,
or when the tests do not end in time. What has been found out is kept in
``build/mutants/`` and not done twice: an interrupted run goes on, and a test that was added
is tried on the unseen ones with ``--again``.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import hashlib
import io
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tokenize
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "build" / "mutants"
SLOWER = 4.0
"""A worker that takes so many times as long as the tests do unharmed is stuck: seen."""
LEAST_SECONDS = 60.0


@dataclass(frozen=True)
class Package:
    """Modules that one set of tests stands for."""

    name: str
    modules: tuple[str, ...]
    """Globs of source files."""
    tests: tuple[str, ...]
    """Globs of test files, the quick ones; those of a module's own name go first."""
    beside: tuple[tuple[str, str], ...] = ()
    """Module stems and test files, not quick, that stand for them alone."""


PACKAGES = (
    Package(
        "airreid",
        (
            *("airreid/signal.py", "airreid/noise.py", "airreid/images.py", "airreid/payload.py"),
            *("airreid/jscc.py", "airreid/scheme*.py", "airreid/offline.py", "airreid/bundle.py"),
        ),
        ("tests/airreid/test_*.py", "tests/legacy/test_bundle.py", "tests/legacy/test_demo.py"),
    ),
    Package(
        "airreid/digital",
        ("airreid/digital/*.py",),
        ("tests/airreid/digital/test_*.py",),
        tuple(
            (stem, "tests/airreid/digital/test_polar_design.py")
            for stem in ("polar_design", "density_evolution", "polar", "coding_tables")
        ),
    ),
    Package(
        "channel_sim",
        ("channel_sim/*.py", "airreid/channels/*.py"),
        ("tests/channel_sim/test_*.py", "tests/airreid/channels/test_*.py"),
    ),
    Package(
        "edge",
        ("edge/*.py",),
        ("tests/edge/test_*.py", "tests/legacy/test_spool.py"),
        tuple(
            (stem, "tests/edge/test_processes.py")
            for stem in ("cli", "server", "printing", "contact_sheet", "stdin_source", "control")
        ),
    ),
)


@dataclass(frozen=True)
class Mutant:
    """One fault at one site."""

    package: str
    module: str
    """Path of the source file below the root."""
    line: int
    operator: str
    occurrence: int
    """Number of the operator's place in the module, as cosmic-ray counts."""
    source_digest: str

    @property
    def key(self) -> str:
        return f"{self.module}:{self.source_digest}:{self.operator}:{self.occurrence}"


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant."""

    key: str
    seen: bool
    reason: str
    """The first test that failed, or ``timeout``."""
    seconds: float


def modules_of(package: Package) -> list[Path]:
    paths = {path for pattern in package.modules for path in ROOT.glob(pattern)}
    return sorted(path for path in paths if path.name != "__init__.py")


def passed_over(source: str) -> set[tuple[int, int]]:
    """Positions where a fault changes nothing that runs: ``|`` in annotations, text."""
    places = set()
    for node in ast.walk(ast.parse(source)):
        annotations: list[ast.expr | None] = []
        if isinstance(node, ast.arg | ast.AnnAssign):
            annotations = [node.annotation]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            annotations = [node.returns]
        for annotation in annotations:
            for inner in ast.walk(annotation) if annotation is not None else ():
                if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.BitOr):
                    places |= _between(source, inner)
        if isinstance(node, ast.JoinedStr):
            places |= _span(node)
    return places


def _span(node: ast.expr) -> set[tuple[int, int]]:
    """Every position on the lines and columns of a node."""
    last_line, last_column = node.end_lineno or node.lineno, node.end_col_offset or 0
    return {
        (line, column)
        for line in range(node.lineno, last_line + 1)
        for column in range(
            node.col_offset if line == node.lineno else 0,
            last_column if line == last_line else 400,
        )
    }


def _between(source: str, node: ast.BinOp) -> set[tuple[int, int]]:
    """Positions from the end of the left side to the beginning of the right one."""
    return {
        place
        for place in _span(node)
        if (node.left.end_lineno, node.left.end_col_offset) <= place
        and place < (node.right.lineno, node.right.col_offset)
    }


def sites(package: Package) -> Iterator[list[Mutant]]:
    """The faults of each site."""
    operators = {}
    for name in sorted(cosmic_ray.plugins.operator_names()):
        operator = cosmic_ray.plugins.get_operator(name)
        if not operator.arguments():
            operators[name] = operator()
    for path in modules_of(package):
        source = path.read_text(encoding="utf-8")
        digest = hashlib.sha256(source.encode()).hexdigest()[:12]
        skipped, nodes = passed_over(source), list(ast_nodes(get_ast(source)))
        found: dict[tuple[str, tuple[int, int]], list[Mutant]] = {}
        module = path.relative_to(ROOT).as_posix()
        for name, operator in operators.items():
            positions = (place for node in nodes for place in operator.mutation_positions(node))
            for occurrence, (start, _) in enumerate(positions):
                if start not in skipped:
                    family = name.partition("/")[2].partition("_")[0]
                    mutant = Mutant(package.name, module, start[0], name, occurrence, digest)
                    found.setdefault((family, start), []).append(mutant)
        yield from (found[key] for key in sorted(found))


def sample(count: int, seed: int) -> list[Mutant]:
    """``count`` mutants: sites with equal chances, then one fault of each."""
    everything = [mutants for package in PACKAGES for mutants in sites(package)]
    rng = random.Random(seed)
    chosen = rng.sample(everything, min(count, len(everything)))
    print(f"{len(everything)} sites in {len({m[0].module for m in everything})} modules")
    return [rng.choice(mutants) for mutants in chosen]


def mutated(mutant: Mutant) -> str | None:
    """The module's source with the fault in it; None where it comes out as it was."""
    source = (ROOT / mutant.module).read_text(encoding="utf-8")
    operator = cosmic_ray.plugins.get_operator(mutant.operator)()
    changed: str | None = mutate_code(source, operator, mutant.occurrence)
    return None if changed is None or _code(changed) == _code(source) else changed


def _code(source: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.string for token in tokens]


def diff(mutant: Mutant) -> list[str]:
    """Changed lines, as a unified diff without its head."""
    before = (ROOT / mutant.module).read_text(encoding="utf-8").splitlines()
    after = (mutated(mutant) or "").splitlines()
    return list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]


# Trees to break and tests to run in them.


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


def tests_of(package: Package, module: str) -> list[str]:
    """Test files, those of the module's own name first."""
    stem = Path(module).stem
    files = sorted({p for pattern in package.tests for p in ROOT.glob(pattern)})
    slow = {name for _, name in package.beside}
    names = [path.relative_to(ROOT).as_posix() for path in files]
    own = [name for name in names if Path(name).stem == f"test_{stem}"]
    rest = [name for name in names if name not in own and name not in slow]
    return own + rest + [name for other, name in package.beside if other == stem]


def run_tests(tree: Path, files: list[str], limit: float) -> tuple[bool, str, float]:
    """(passed, the first failure, seconds). Whatever was started is ended with it."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no"]
    command += ["-p", "no:cacheprovider", "--hypothesis-seed=1", *files]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
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
        """Seconds of the package's tests without a fault; they must pass."""
        tree = self.trees.get()
        try:
            passed, reason, seconds = run_tests(tree, tests_of(package, ""), 1800)
        finally:
            self.trees.put(tree)
        if not passed:
            sys.exit(f"{package.name}: its tests fail without a fault: {reason}")
        self.limits[package.name] = max(LEAST_SECONDS, SLOWER * seconds)
        return seconds

    def judge(self, mutant: Mutant) -> Verdict:
        package = next(p for p in PACKAGES if p.name == mutant.package)
        source = mutated(mutant)
        if source is None:
            return Verdict(mutant.key, True, "no change: not counted", 0.0)
        tree = self.trees.get()
        target = tree / mutant.module
        before = target.read_text(encoding="utf-8")
        try:
            target.write_text(source, encoding="utf-8")
            files, limit = tests_of(package, mutant.module), self.limits[package.name]
            slow = any(stem == Path(mutant.module).stem for stem, _ in package.beside)
            passed, reason, seconds = run_tests(tree, files, limit * (1 + 2 * slow))
        finally:
            target.write_text(before, encoding="utf-8")
            self.trees.put(tree)
        return Verdict(mutant.key, not passed, reason, round(seconds, 1))


# What is known, and what is said of it.


def known() -> dict[str, Verdict]:
    path = RESULTS / "verdicts.jsonl"
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["key"]: Verdict(**row) for row in rows}


def report(mutants: list[Mutant], verdicts: dict[str, Verdict]) -> None:
    """A table by package, and the unseen with their places in ``unseen.md``."""
    unseen = []
    print(f"\n{'package':18}{'faults':>8}{'seen':>8}{'unseen':>8}{'share':>9}")
    total = [0, 0]
    for package in PACKAGES:
        judged = [m for m in mutants if m.package == package.name and m.key in verdicts]
        seen = [m for m in judged if verdicts[m.key].seen]
        unseen += [m for m in judged if not verdicts[m.key].seen]
        total = [total[0] + len(judged), total[1] + len(seen)]
        _print_row(package.name, len(judged), len(seen))
    _print_row("all", *total)
    lines = ["# Faults that no test has seen", ""]
    for mutant in sorted(unseen, key=lambda m: (m.module, m.line)):
        lines += [f"{mutant.module}:{mutant.line}  {mutant.operator.partition('/')[2]}", ""]
        lines += ["    " + line for line in diff(mutant)] + [""]
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "unseen.md").write_text("\n".join(lines), encoding="utf-8")
    print(f"\n{len(unseen)} unseen: {(RESULTS / 'unseen.md').relative_to(ROOT)}")


def _print_row(name: str, count: int, seen: int) -> None:
    share = f"{seen / count:9.1%}" if count else f"{'-':>9}"
    print(f"{name:18}{count:8}{seen:8}{count - seen:8}{share}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="faults (200)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    parser.add_argument("--workers", type=int, default=2, help="at once (2)")
    parser.add_argument("--only", help="package or module path that a fault must be in")
    parser.add_argument("--again", action="store_true", help="try the unseen ones again")
    options = parser.parse_args()
    mutants = [mutant for mutant in sample(options.count, options.seed) if mutated(mutant)]
    if options.only:
        mutants = [m for m in mutants if options.only in (m.package, m.module)]
    verdicts = known()
    todo = [
        mutant
        for mutant in mutants
        if mutant.key not in verdicts or (options.again and not verdicts[mutant.key].seen)
    ]
    print(f"{len(mutants)} faults, {len(todo)} of them to be tried")
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as folder,
        (RESULTS / "verdicts.jsonl").open("a", encoding="utf-8") as log,
        ThreadPoolExecutor(options.workers) as pool,
    ):
        if todo:
            runner = Runner(Path(folder), options.workers)
            for package in PACKAGES:
                if any(mutant.package == package.name for mutant in todo):
                    seconds = runner.baseline(package)
                    print(f"{package.name}: {seconds:.0f} s of tests", flush=True)
            futures = {pool.submit(runner.judge, mutant): mutant for mutant in todo}
            for number, future in enumerate(as_completed(futures), 1):
                mutant, verdict = futures[future], future.result()
                verdicts[mutant.key] = verdict
                log.write(json.dumps(verdict.__dict__) + "\n")
                log.flush()
                word = "seen  " if verdict.seen else "UNSEEN"
                place = f"{mutant.module}:{mutant.line}"
                print(
                    f"{number:4}/{len(todo)} {word} {verdict.seconds:6.1f} s  {place}  "
                    f"{verdict.reason}",
                    flush=True,
                )
    report(mutants, verdicts)


if __name__ == "__main__":
    main()
