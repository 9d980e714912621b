"""Places where ``make mutants`` puts faults, and where it does not."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("cosmic_ray", reason="make mutants installs it")

SOURCE = """from __future__ import annotations
LIMIT = 5
def small(x: int | None) -> str:
    if x is not None and x < LIMIT:
        return f"{x >> 1} of {LIMIT - 1}"
    return ""
"""


@pytest.fixture
def sites(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent / "mutants"), *sys.path])
    module = importlib.import_module("sites")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "PACKAGES", (module.Package("here", ("*.py",), ()),))
    return module


def faults(sites: ModuleType, path: Path, source: str) -> dict[str, set[str]]:
    """The changed line of every fault, by the line as it was."""
    path.write_text(source)
    lines: dict[str, set[str]] = {}
    for site in sites.sites(sites.PACKAGES[0]):
        for mutant in site.mutants:
            after = sites.mutated(mutant, source)
            if after is not None:
                before, changed = sites.changed_lines(source, after)
                lines.setdefault(before[1:].strip(), set()).add(changed[1:].strip())
    return lines


def test_operators_numbers_and_conditions_are_sites_and_text_and_types_are_not(
    sites: ModuleType, tmp_path: Path
) -> None:
    lines = faults(sites, tmp_path / "a.py", SOURCE)
    assert set(lines) == {"LIMIT = 5", "if x is not None and x < LIMIT:"}
    assert lines["LIMIT = 5"] == {"LIMIT = 6", "LIMIT = 4"}
    assert "if x is not None or x < LIMIT:" in lines["if x is not None and x < LIMIT:"]
    assert "if x is not None and x <= LIMIT:" in lines["if x is not None and x < LIMIT:"]


def test_a_sample_depends_on_the_seed_and_not_on_other_code(
    sites: ModuleType, tmp_path: Path
) -> None:
    def drawn(seed: int) -> list[str]:
        return [f"{m.module}:{m.operator}" for m in sites.sample(3, seed)]

    (tmp_path / "a.py").write_text(SOURCE)
    first = drawn(0)
    assert len(first) == 3
    (tmp_path / "a.py").write_text("# a comment\n\n" + SOURCE)
    assert drawn(0) == first
    assert any(drawn(seed) != first for seed in range(1, 6))
