"""Values do not change once they are made: a dataclass is frozen unless it is named here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("airreid", "edge", "channel_sim")
CHANGING = {
    "airreid/datasets/bounding_boxes.py": {"_Read"},
    "airreid/folder_enrolment.py": {"Outcome", "_Person"},
    "airreid/nested/pacing.py": {"_UnderWay"},
    "airreid/nested/sending.py": {"_UnderWay"},
    "airreid/payload.py": {"HeardCoded"},  # grows with every piece
    "edge/blocks.py": {"BlockMaker"},
    "edge/folder_source.py": {"_Seen"},
    "channel_sim/stats.py": {"LinkStats"},
}
"""Counters and the state of something under way."""


def dataclasses(path: Path) -> Iterator[tuple[str, bool]]:
    """Name of each dataclass of a module, and whether it is frozen."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for decorator in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            if isinstance(decorator, ast.Name) and decorator.id == "dataclass":
                yield node.name, False
            elif isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "dataclass":
                options = {option.arg: ast.unparse(option.value) for option in decorator.keywords}
                yield node.name, options.get("frozen") == "True"


def test_dataclasses_are_frozen() -> None:
    frozen, changing = 0, dict[str, set[str]]()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for name, is_frozen in dataclasses(path):
                frozen += is_frozen
                if not is_frozen:
                    changing.setdefault(path.relative_to(ROOT).as_posix(), set()).add(name)
    assert changing == CHANGING
    assert frozen > 40
