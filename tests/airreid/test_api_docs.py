"""The API describes itself: every public name has an example, and all of them are run."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import airreid

from .conftest import Services

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = {"127.0.0.1:50052": "access_point", "127.0.0.1:50051": "channel"}
"""Addresses that examples say, and the service of the test that answers in their place."""


def public() -> Iterator[tuple[str, object]]:
    """Every public name, and every public method and property of the API's own classes."""
    for name in airreid.__all__:
        thing = getattr(airreid, name)
        yield name, thing
        if inspect.isclass(thing) and thing.__module__.startswith("airreid.api."):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                    yield f"{name}.{member}", value


NAMES = dict(public())
IDS = list(NAMES)


def here(text: str, services: Services) -> str:
    for address, service in DEFAULTS.items():
        text = text.replace(address, getattr(services, service))
    return text


def run(name: str, text: str, services: Services) -> None:
    test = doctest.DocTestParser().get_doctest(here(text, services), {}, name, None, None)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    output: list[str] = []
    runner.run(test, out=output.append)
    assert not runner.failures, "".join(output)


@pytest.mark.parametrize("name", IDS)
def test_every_public_name_says_what_it_is(name: str) -> None:
    text = inspect.getdoc(NAMES[name])
    assert text, f"airreid.{name} has no docstring"
    assert not re.match(r"(What|Whose|Of|Who|Where|How|Why)\b", text), name
    assert "+SKIP" not in text
    if not isinstance(NAMES[name], property) and not name.endswith(".close"):
        assert ">>>" in text, f"airreid.{name} has no example"


@pytest.mark.parametrize("name", [name for name in IDS if ">>>" in (NAMES[name].__doc__ or "")])
def test_examples_give_what_they_say(name: str, services: Services) -> None:
    run(name, NAMES[name].__doc__ or "", services)


def test_the_packages_own_example(services: Services) -> None:
    run("airreid", airreid.__doc__ or "", services)


def test_names_are_listed_once_each_for_people_types_and_python() -> None:
    """``__all__``, the lazy table and what type checkers import are the same names."""
    tree = ast.parse(Path(airreid.__file__).read_text())
    checked = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airreid.")
        for alias in node.names
    }
    table = [name for names in airreid._MODULES.values() for name in names]
    assert sorted(table) == sorted(set(table)) == sorted(airreid.__all__) == sorted(checked)
    assert set(airreid.__all__) <= set(dir(airreid))


def blocks(page: Path) -> list[str]:
    """The Python blocks of a page of documentation."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S)


@pytest.mark.parametrize(("page", "least"), [("python.md", 9), ("channel.md", 1)])
def test_a_page_runs_from_top_to_bottom(
    page: str, least: int, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    snippets = blocks(ROOT / "docs" / page)
    assert len(snippets) >= least
    for number, snippet in enumerate(snippets):
        code = compile(here(snippet, services), f"docs/{page}, block {number}", "exec")
        exec(code, names)


def test_the_page_mentions_every_public_name() -> None:
    text = (ROOT / "docs" / "python.md").read_text()
    missing = [name for name in airreid.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not missing
