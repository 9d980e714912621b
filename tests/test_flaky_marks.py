"""Every test that may fail once is listed, with its reason, in tests/README.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent


def marked() -> dict[str, str]:
    """Marked tests by ``file::name``, with the arguments of their marks."""
    marks = {}
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            for decorator in node.decorator_list:
                text = ast.unparse(decorator)
                if text.startswith("pytest.mark.flaky"):
                    name = f"{path.relative_to(TESTS).as_posix()}::{node.name}"
                    marks[name] = text.removeprefix("pytest.mark.flaky")
    return marks


def test_flaky_tests_are_listed_and_run_again_once() -> None:
    readme = (TESTS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\S+::\S+)` \| \S.*\|$", readme, re.MULTILINE)
    marks = marked()
    assert sorted(listed) == sorted(marks)
    assert set(marks.values()) == {"(reruns=1)"}
