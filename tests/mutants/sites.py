"""Places where a fault can be put, and the faults of each."""

from __future__ import annotations

import ast
import difflib
import hashlib
import io
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).resolve().parents[2]


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


FROZEN = "tests/airreid/test_frozen.py"
"""A law of every package: what may change is named."""
QUICK = (
    *("api", "bundle", "frozen", "images", "model_card", "noise", "payload", "registry"),
    *("retrieval", "scheme_kinds", "signal"),
)
"""Tests of the top of airreid that start no process."""
PACKAGES = (
    Package(
        "airreid",
        (
            *("airreid/signal.py", "airreid/noise.py", "airreid/images.py", "airreid/payload.py"),
            *("airreid/jscc.py", "airreid/scheme*.py", "airreid/offline.py", "airreid/bundle.py"),
        ),
        (
            *(f"tests/airreid/test_{name}.py" for name in QUICK),
            "tests/legacy/test_bundle.py",
            "tests/legacy/test_demo.py",
        ),
    ),
    Package(
        "airreid/digital",
        ("airreid/digital/*.py",),
        ("tests/airreid/digital/test_*.py", FROZEN),
        tuple(
            (stem, "tests/airreid/digital/test_polar_design.py")
            for stem in ("polar_design", "density_evolution", "polar", "coding_tables")
        ),
    ),
    Package(
        "channel_sim",
        ("channel_sim/*.py", "airreid/channels/*.py"),
        (
            "tests/channel_sim/test_*.py",
            "tests/airreid/channels/test_*.py",
            "tests/legacy/test_channel.py",
            FROZEN,
        ),
    ),
    Package(
        "edge",
        ("edge/*.py",),
        ("tests/edge/test_*.py", "tests/legacy/test_spool.py", FROZEN),
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


@dataclass(frozen=True)
class Site:
    """A place where a fault can be put."""

    name: str
    """Its module, the kind of fault and the text of its line; the same in another place."""
    mutants: tuple[Mutant, ...]


def sites(package: Package) -> Iterator[Site]:
    """The sites of a package's modules."""
    operators = {}
    for name in sorted(cosmic_ray.plugins.operator_names()):
        operator = cosmic_ray.plugins.get_operator(name)
        if not operator.arguments():
            operators[name] = operator()
    for path in modules_of(package):
        source = path.read_text(encoding="utf-8")
        digest = hashlib.sha256(source.encode()).hexdigest()[:12]
        skipped, nodes = passed_over(source), list(ast_nodes(get_ast(source)))
        by_site: dict[tuple[str, tuple[int, int]], list[Mutant]] = {}
        module = path.relative_to(ROOT).as_posix()
        for name, operator in operators.items():
            positions = (place for node in nodes for place in operator.mutation_positions(node))
            for occurrence, (start, _) in enumerate(positions):
                if start not in skipped:
                    family = name.partition("/")[2].partition("_")[0]
                    mutant = Mutant(package.name, module, start[0], name, occurrence, digest)
                    by_site.setdefault((family, start), []).append(mutant)
        lines, counts = source.splitlines(), Counter[str]()
        for family, start in sorted(by_site):
            name = f"{module}:{family}:{lines[start[0] - 1].strip()}"
            counts[name] += 1
            yield Site(f"{name}:{counts[name]}", tuple(by_site[family, start]))


def sample(count: int, seed: int) -> list[Mutant]:
    """``count`` mutants: sites with equal chances, then one fault of each.

    A site is drawn by its name alone: a change elsewhere does not draw another sample.
    """

    def draw(name: str) -> bytes:
        return hashlib.sha256(f"{seed}:{name}".encode()).digest()

    everything = [site for package in PACKAGES for site in sites(package)]
    print(
        f"{len(everything)} sites in {len({site.mutants[0].module for site in everything})} modules"
    )
    chosen = sorted(everything, key=lambda site: draw(site.name))[:count]
    return [site.mutants[draw(f"fault:{site.name}")[0] % len(site.mutants)] for site in chosen]


def mutated(mutant: Mutant, source: str) -> str | None:
    """A module's source with the fault in it; None where it comes out as it was."""
    operator = cosmic_ray.plugins.get_operator(mutant.operator)()
    changed: str | None = mutate_code(source, operator, mutant.occurrence)
    return None if changed is None or _code(changed) == _code(source) else changed


def _code(source: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.string for token in tokens]


def changed_lines(before: str, after: str) -> tuple[str, ...]:
    """Lines taken away and put in, of a unified diff."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return tuple(line for line in list(lines)[2:] if not line.startswith("@@"))
