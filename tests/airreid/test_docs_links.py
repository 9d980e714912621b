"""Links and file names of the documentation lead to files that exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRACKED = frozenset(
    subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")[:-1]
)
PAGES = sorted(name for name in TRACKED if name.endswith(".md") and (ROOT / name).exists())
OURS = (
    "airreid",
    "edge",
    "channel_sim",
    "accesspoint",
    "training",
    "simulation",
    "benchmarks",
    "tests",
    "docs",
    "examples",
    "proto",
    "models",
)
"""Top-level folders of the repository: a path below one of them is a path of ours."""
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
PLACEHOLDERS = ("NAME",)
CODE = re.compile(r"`([^`\n]+)`")


def text_of(page: str) -> str:
    """Returns a page without its fenced blocks, which hold commands and output."""
    return FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))


def links(text: str) -> list[str]:
    """Returns the relative targets of a text's links and pictures, without their anchors."""
    text = CODE.sub("", text)
    targets = [unquote(target.partition("#")[0]) for target in LINK.findall(text)]
    return [target for target in targets if target and not re.match(r"[a-z]+:", target)]


def file_names(text: str) -> list[str]:
    """Returns what stands in backticks and looks like a file or folder of ours.

    Capitals alone stand for a name that the reader chooses: ``airreid/datasets/NAME.py``.
    """
    names = [name.strip() for name in CODE.findall(text)]
    return [
        name
        for name in names
        if re.fullmatch(r"[\w./-]+", name)
        and "/" in name
        and name.partition("/")[0] in OURS
        and not any(Path(part).stem in PLACEHOLDERS for part in name.split("/"))
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    assert [target for target in links(text_of(page)) if not (folder / target).exists()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_every_file_that_is_named_exists(page: str) -> None:
    """CHANGELOG.md names files that once were."""
    roots = (ROOT, (ROOT / page).parent)
    names = file_names(text_of(page))
    assert [name for name in names if not any((root / name).exists() for root in roots)] == []


def test_dead_links_and_names_are_seen() -> None:
    text = (
        "[a](docs/a.md#part) ![b](b.png) [c](https://example.org/c.md) [d](#here) "
        "`edge/gone.py` `edge serve --to HOST:PORT` `[not](a-link)` `models/demo/` `a/b`"
    )
    assert links(text) == ["docs/a.md", "b.png"]
    assert file_names(text) == ["edge/gone.py", "models/demo/"]
    assert {"README.md", "CONTRIBUTING.md", "docs/README.md"} <= set(PAGES)


@pytest.mark.parametrize("page", ["README.md", "docs/edge.md"])
def test_what_the_commands_write_is_not_committed(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    commands = "\n".join(line for line in text.splitlines() if line.startswith(".venv/bin/airreid"))
    folders = set(re.findall(r"(?:--data-dir|--spool|--out|airreid people) ([\w/-]+)", commands))
    assert folders
    files = [f"{folder.rstrip('/')}/features.sqlite" for folder in sorted(folders)]
    ignored = subprocess.run(
        ["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    assert ignored == files
