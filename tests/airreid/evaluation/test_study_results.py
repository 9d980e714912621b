"""Results of a study that go from one folder to another: what they hold, and what is refused."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from airreid.errors import InputError
from airreid.evaluation.study.cells import Cell, read_cell, write_cell
from airreid.evaluation.study.claims import judged
from airreid.evaluation.study.figures import figures_of, write_figure
from airreid.evaluation.study.page import page_parts
from airreid.evaluation.study.plan import Plan, write_plan
from airreid.evaluation.study.results import joined, read_results, shared_cell, write_results
from airreid.evaluation.study.table import table_of

from .study_cells import QUERIES, made_up

ABOUT = {"data_digest": "d1", "network": "n1", "digests": {"test.npz": "t1"}}
SHARED = {"snrs_db": [-10.0, 0.0, 10.0], "training_seeds": 2, "noise_seeds": 3}
NAMES = [each.name for each in made_up()]


def study(folder: Path, *only: str, about: dict[str, Any] = ABOUT, **fields: Any) -> Path:
    """Writes the folder of a study as ``study run`` leaves it, with some cells or all."""
    shared = SHARED | fields.pop("shared", {})
    plan = Plan(
        **{"study": "frozen", "cells": tuple(NAMES), "shared": shared, "about": about, **fields}
    )
    write_plan(folder, plan)
    for each in made_up():
        if not only or each.name in only:
            settings = shared if each.name == "closed-256" else {"name": each.name}
            update = {"settings": settings, "key": plan.key(settings)}
            write_cell(each.model_copy(update=update), folder / "cells" / f"{each.name}.json")
    return folder


def texts(folder: Path) -> dict[str, str]:
    """Reads the JSON of every packed cell."""
    return {path.name: lzma.decompress(path.read_bytes()).decode() for path in folder.glob("*.xz")}


def test_results_tell_who_was_found_and_nothing_of_a_feature(tmp_path: Path) -> None:
    out = tmp_path / "given"
    paths = write_results(read_results(study(tmp_path / "study")), out)
    assert sorted(path.name for path in paths) == sorted(f"{name}.json.xz" for name in NAMES)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["study.json", *(path.name for path in paths)]
    )
    for before in read_results(tmp_path / "study").cells.values():
        second = read_cell(out / f"{before.name}.json.xz")
        assert (second.key, second.curves) == (before.key, before.curves)
        for ours, latents in zip(before.latents, second.latents, strict=True):
            assert ours.messages
            assert (latents.messages, latents.crc_seed) == ((), "")
            assert (latents.hits, latents.bits) == (ours.hits, ours.bits)
    assert '"messages":["' not in "".join(texts(out).values())
    contents = {path: path.read_bytes() for path in paths}
    assert write_results(read_results(tmp_path / "study"), out) == paths
    assert {path: path.read_bytes() for path in paths} == contents


def test_results_do_not_say_who_the_people_are() -> None:
    bound = made_up()[0].model_copy(update={"facts": {"people": [1403, 7, 1403, 88]}})
    assert shared_cell(bound).facts == {"people": [2, 0, 2, 1]}


def test_figures_claims_and_page_of_results_are_those_of_the_cells(tmp_path: Path) -> None:
    folders = [study(tmp_path / "study"), tmp_path / "given"]
    write_results(read_results(folders[0]), folders[1])
    drawn = []
    for folder in folders:
        table, about = table_of(read_results(folder)), read_results(folder).plan.about
        claims = judged(table)
        (figure,) = (figure for figure in figures_of(table) if figure.name == "4a")
        files = [path.read_bytes() for path in write_figure(figure, table, about, folder)]
        drawn.append((files, claims, page_parts(table, claims, about)))
    assert drawn[0] == drawn[1]
    assert drawn[0][1]


def test_of_a_cell_that_two_have_the_first_counts_and_others_are_added(tmp_path: Path) -> None:
    first = study(tmp_path / "mine", "noiseless", "closed-256")
    second = study(tmp_path / "theirs", cells=(*NAMES, "nested"))
    changed = read_cell(second / "cells" / "closed-256.json").model_copy(update={"device": "cuda"})
    write_cell(changed, second / "cells" / "closed-256.json")
    results = joined(read_results(first), read_results(second))
    assert list(results.cells) == sorted(NAMES)
    assert results.cells["closed-256"].device == "cpu"
    assert results.plan.cells == (*NAMES, "nested")
    assert results.notes == ()
    assert table_of(results).missing == ("nested",)
    assert joined(read_results(second), read_results(first)).cells["closed-256"].device == "cuda"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"about": {**ABOUT, "data_digest": "d2"}}, "data_digest d2, not d1"),
        ({"about": {**ABOUT, "network": "n2"}}, "network n2, not n1"),
        ({"study": "joint"}, "study joint, not frozen"),
        ({"quick": True}, "quick True, not False"),
        ({"shared": {"noise_seeds": 5}}, "noise_seeds 5, not 3"),
    ],
)
def test_results_of_another_study_are_refused(
    tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    first, second = study(tmp_path / "mine"), study(tmp_path / "theirs", "closed-256", **fields)
    with pytest.raises(InputError, match=words):
        joined(read_results(first), read_results(second))
    out = tmp_path / "given"
    write_results(read_results(first), out)
    with pytest.raises(InputError, match="not the study of"):
        write_results(read_results(second), out)


def test_features_of_another_machine_are_joined_and_said(tmp_path: Path) -> None:
    first = study(tmp_path / "mine", "noiseless")
    second = study(tmp_path / "theirs", about={**ABOUT, "digests": {"test.npz": "t2"}})
    results = joined(read_results(first), read_results(second))
    assert list(results.cells) == sorted(NAMES)
    assert [note for note in results.notes if "theirs: same data" in note] == list(results.notes)
    assert len(results.notes) == 1
    assert results.plan.about == {**ABOUT, "digests_2": {"test.npz": "t2"}}
    again = joined(results, read_results(second), read_results(study(tmp_path / "third")))
    assert again.plan.about == results.plan.about
    write_results(read_results(first), tmp_path / "given")
    with pytest.raises(InputError, match="features with other digests; give another folder"):
        write_results(read_results(second), tmp_path / "given")


@pytest.mark.parametrize("stale", ["features", "settings"])
def test_a_stale_cell_is_left_out_and_named(tmp_path: Path, stale: str) -> None:
    folder = study(tmp_path / "study")
    path = folder / "cells" / "closed-256.json"
    cell = read_cell(path)
    plan = read_results(folder).plan
    settings = cell.settings | {"noise_seeds": 9}
    other = {"key": "0" * 24} if stale == "features" else {"settings": settings}
    write_cell(cell.model_copy(update={"key": plan.key(settings), **other}), path)
    results = read_results(folder)
    assert sorted([*results.cells, "closed-256"]) == sorted(NAMES)
    assert table_of(results).missing == ("closed-256",)
    (note,) = results.notes
    assert note.endswith("left out, of other features or settings: closed-256")


def test_a_folder_that_never_said_of_which_data_is_read_and_not_given_away(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    plan = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({"cells": plan["cells"]}))
    assert list(read_results(folder).cells) == sorted(NAMES)
    with pytest.raises(InputError, match="study: does not say of which data"):
        joined(read_results(study(tmp_path / "mine")), read_results(folder))
    with pytest.raises(InputError, match="give --features"):
        write_results(read_results(folder), tmp_path / "given")
    features = tmp_path / "features"
    features.mkdir()
    (features / "features.json").write_text(json.dumps(ABOUT))
    assert write_results(read_results(folder, features), tmp_path / "given")
    (features / "features.json").write_text("{")
    with pytest.raises(InputError, match=r"features\.json: cannot be read"):
        read_results(folder, features)
    with pytest.raises(InputError, match="nowhere: no cells of a study"):
        read_results(tmp_path / "nowhere")


def packed(cell: Cell) -> bytes:
    return lzma.compress((cell.model_dump_json() + "\n").encode())


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"no xz",
        packed(made_up()[0])[:-20],
        packed(made_up()[0]) * 2,
        lzma.compress(b"[]"),
        lzma.compress(b"{}", format=lzma.FORMAT_ALONE),
    ],
)
def test_a_packed_cell_that_is_damaged_is_named(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "closed-256.json.xz"
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"closed-256\.json\.xz: "):
        read_cell(path)


def test_a_packed_cell_takes_no_more_memory_than_a_cell_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airreid.evaluation.study.cells._BYTES_MAX", 1 << 16)
    path = tmp_path / "closed-256.json.xz"
    path.write_bytes(lzma.compress(b" " * (1 << 20)))
    with pytest.raises(InputError, match="too long"):
        read_cell(path)


def test_results_of_other_queries_are_refused(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    path = folder / "cells" / "closed-256.json"
    cell = read_cell(path)
    curve = cell.curves[0]
    points = tuple(
        point.model_copy(update={"hits": tuple(row[:-1] for row in point.hits)})
        for point in curve.points
    )
    write_cell(
        cell.model_copy(update={"curves": (curve.model_copy(update={"points": points}),)}), path
    )
    with pytest.raises(InputError, match=f"pca-256 has {QUERIES - 1} queries"):
        table_of(read_results(folder))
