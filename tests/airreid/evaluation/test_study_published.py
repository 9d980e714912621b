"""Values of a study whose cells are gone, drawn alone and beside cells that are computed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airreid.errors import InputError
from airreid.evaluation.study.cells import Cell
from airreid.evaluation.study.claims import Claim, judged
from airreid.evaluation.study.figures import figures_of, write_figure
from airreid.evaluation.study.page import page_parts
from airreid.evaluation.study.plan import Plan
from airreid.evaluation.study.published import Published, read_published
from airreid.evaluation.study.results import Results, read_results
from airreid.evaluation.study.table import MATCHED, Table, table_of

from .study_cells import SNRS_DB, cell, curve, made_up

PLANNED = (*(each.name for each in made_up()), "fc-paper-256", "ae-retrieval-256")


def results(cells: list[Cell], published: Published | None = None) -> Results:
    by_name = {each.name: each for each in sorted(cells, key=lambda each: each.name)}
    return Results(Path("study"), Plan(cells=PLANNED), by_name, published=published or Published())


def drawn_json(table: Table, out: Path) -> str:
    (figure,) = (figure for figure in figures_of(table) if figure.name == "4a")
    return write_figure(figure, table, {}, out)[0].read_text()


@pytest.fixture(scope="module")
def whole() -> Table:
    """Table of all cells, before they are lost."""
    return table_of(results(made_up()))


@pytest.fixture(scope="module")
def claims(whole: Table) -> list[Claim]:
    return judged(whole)


@pytest.fixture(scope="module")
def published(whole: Table, claims: list[Claim]) -> Published:
    """Everything that page and figures show of the cells, and nobody's hits."""
    entries = [
        {
            **place._asdict(),
            "top1": entry.top1.value,
            "half_width": None if np.isnan(entry.top1.half_width) else entry.top1.half_width,
            "draws": entry.draws,
            "bits": entry.bits,
            "rate": entry.rate,
            "point": entry.point and {**entry.point.model_dump(), "hits": ()},
        }
        for place, entry in whole.entries.items()
    ]
    points = [p for c in whole.cells.values() for each in c.curves for p in each.points]
    fields: dict[str, Any] = {
        "cells": {
            name: {"key": each.key, "settings": each.settings} for name, each in whole.cells.items()
        },
        "entries": entries,
        "claims": [{**asdict(claim), "effect": claim.effect._asdict()} for claim in claims],
        "no_channel": round(whole.bound.top1.value, 5),
        "checks": {"points": sum(p.measured_snr_db is not None for p in points)},
    }
    return Published.model_validate(fields)


def test_values_alone_give_the_page_that_their_cells_gave(
    whole: Table, claims: list[Claim], published: Published
) -> None:
    table = table_of(results([], published))
    again = judged(table)
    assert len(claims) > 10
    assert again == claims
    assert page_parts(table, again, {}) == page_parts(whole, claims, {})
    assert table.missing == whole.missing == ("fc-paper-256", "ae-retrieval-256")


def test_claims_are_judged_among_cells_or_among_values_and_never_between(
    published: Published, claims: list[Claim], tmp_path: Path
) -> None:
    new = [cell("fc-paper-256", curves=(curve("fc-paper", 0.9, (snr, snr)),)) for snr in SNRS_DB]
    curves = tuple(each.curves[0] for each in new)
    computed = [
        made_up()[0],
        new[0].model_copy(update={"curves": curves}),
        cell("ae-retrieval-256", curves=(curve("ae-retrieval", 0.8, (0.0, 0.0)),)),
    ]
    table = table_of(results(computed, published))
    for scheme in ("ae-paper", "fc-paper"):
        assert table.get(scheme, MATCHED, 256, 10.0) is not None
    both = judged(table)
    assert [claim for claim in both if claim in claims] == claims  # none is judged anew
    numbers = {claim.number for claim in both if claim not in claims}
    assert numbers == {"3b", "5b"}  # the new code beside the new bound and itself: nothing old
    parts = page_parts(table, both, {})
    rows = {row.split("|")[1].strip(): row for row in parts["claims"].splitlines() if "256" in row}
    assert rows["1"].endswith("| not finished | | waits for `ae-paper-256` |")
    assert "waits for `digital-*` |" in rows["2d"]
    assert "Of 5 of them only values are there" in parts["finished"]
    assert "None is missing." in parts["finished"]
    assert '"values_alone": [\n  "' in drawn_json(table, tmp_path)


def test_the_bound_that_is_computed_anew_is_that_of_old_claims_if_it_is_the_same(
    published: Published, claims: list[Claim]
) -> None:
    assert [claim for claim in claims if claim.number == "3a"]
    assert judged(table_of(results([made_up()[0]], published))) == claims
    other = published.model_copy(update={"no_channel": 0.123})
    left = judged(table_of(results([made_up()[0]], other)))
    assert left == [claim for claim in claims if claim.number != "3a"]


def test_a_cell_that_is_computed_counts_in_place_of_its_values(published: Published) -> None:
    new = cell("closed-256", curves=(curve("pca", 0.4, None),))
    table = table_of(results([made_up()[0], new], published))
    (before,) = (e.top1 for e in published.entries if (e.scheme, e.snr_db) == ("pca", 0.0))
    entry = table.get("pca", "", 256, 0.0)
    assert entry is not None
    assert entry.top1.value == pytest.approx(np.mean(new.curves[0].points[1].top1))
    assert entry.top1.value > before + 0.2
    assert "closed-256" not in table.values_alone


def test_published_values_are_read_with_the_folder(tmp_path: Path, published: Published) -> None:
    assert read_published(tmp_path) == Published()
    (tmp_path / "published.json").write_text(published.model_dump_json())
    (tmp_path / "study.json").write_text('{"cells": []}')
    assert read_results(tmp_path).published == published
    (tmp_path / "published.json").write_text('{"entries": [{"scheme": "pca"}]}')
    with pytest.raises(InputError, match=r"published\.json: entries\.0\.training: Field required"):
        read_results(tmp_path)
