"""Words of the code: docstrings that stand alone, and names that say what they hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "airreid",
    "edge",
    "channel_sim",
    "accesspoint",
    "training",
    "simulation",
    "benchmarks",
)
SUMMARIES = ("What", "Whose", "Of", "Who")
"""First words that make a summary a fragment: it needs the name beside it to mean anything."""
NAMES = frozenset(
    "one ones made found kept own there of some more at said told seen it".split()  # noqa: SIM905
)
"""Names that fit any value, so that they say nothing of the one they hold."""


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Yields path below the root and syntax tree; stubs of the protocol are generated."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith("airreid/v1/"):
                yield name, ast.parse(path.read_text(encoding="utf-8"))


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yields line and text of the docstrings of module, classes, functions and fields."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            match statement:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield statement.lineno, text


def fragments(tree: ast.Module) -> list[str]:
    return [
        f"{line}: {text.splitlines()[0]}"
        for line, text in docstrings(tree)
        if text.split(maxsplit=1)[:1] and text.split(maxsplit=1)[0] in SUMMARIES
    ]


def bound(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yields line and name of local variables, loop variables and arguments.

    A field or method is named beside its class (``trace.at``) and may be short.
    """
    fields = {
        id(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in fields:
            continue
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield node.lineno, name


@pytest.mark.parametrize("folder", [*PACKAGES, "examples", "tests"])
def test_no_summary_is_a_fragment(folder: str) -> None:
    wrong = [f"{name}:{text}" for name, tree in modules(folder) for text in fragments(tree)]
    assert wrong == []


@pytest.mark.parametrize("folder", [*PACKAGES, "examples", "tests"])
def test_names_say_what_they_hold(folder: str) -> None:
    wrong = [
        f"{path}:{line}: {name}"
        for path, tree in modules(folder)
        for line, name in bound(tree)
        if name in NAMES
    ]
    assert wrong == []


def test_the_rules_see_what_they_forbid() -> None:
    tree = ast.parse(
        '"""What it is."""\n'
        "class A:\n"
        "    at: int = 1\n"
        '    """Of the class."""\n'
        "    def of(self, made):\n"
        '        """Who is it?"""\n'
        "        found = [one for one in made]\n"
        "        try:\n"
        "            return found\n"
        "        except OSError as told:\n"
        '            """Offers nothing."""\n'
    )
    assert [text.partition(": ")[2] for text in fragments(tree)] == [
        "What it is.",
        "Of the class.",
        "Who is it?",
    ]
    assert {name for _, name in bound(tree)} & NAMES == {"made", "found", "one", "told"}
