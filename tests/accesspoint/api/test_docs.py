"""The pages say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from accesspoint.api import openapi, problems
from accesspoint.api.tokens import Scope
from airreid.v1 import common_pb2

from .conftest import Rest

DOCS = Path(__file__).resolve().parents[3] / "docs"


def rows(page: str, header: str) -> list[list[str]]:
    """The cells of the table whose first header cell is ``header``."""
    lines = (DOCS / page).read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {header} |"))
    documented = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        documented.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
    return documented


def test_errors_are_those_of_the_table() -> None:
    kinds = [*problems.TABLE.values(), problems.METHOD, problems.INTERNAL]
    listed = {row[0]: row for row in rows("accesspoint.md", "code")}
    assert set(listed) == {kind.code for kind in kinds}
    for kind in kinds:
        _, http, grpc, item, _ = listed[kind.code]
        assert str(kind.http) in http
        assert grpc == kind.grpc.name
        assert item in ("", common_pb2.Code.Name(kind.wire))


def test_jobs_and_their_parameters_are_all_there(rest: Rest) -> None:
    listed = {
        row[0]: set(re.findall(r"[a-z_]{4,}", row[1])) for row in rows("accesspoint.md", "kind")
    }
    kinds = rest.services.rest.jobs.kinds
    assert set(listed) == set(kinds)
    for name, kind in kinds.items():
        assert kind.parameters <= listed[name]


def test_scopes_and_paths_are_all_there(rest: Rest) -> None:
    assert {row[0] for row in rows("security.md", "scope")} == set(Scope)
    text = (DOCS / "accesspoint.md").read_text()
    for path in openapi.describe(rest.app)["paths"]:
        start = path.split("{")[0].rstrip("/")
        assert start in text, path
