"""Folders of tracks, told from folders of people."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from airreid.datasets import open_data
from airreid.datasets.check import remarks
from airreid.datasets.cli import app
from airreid.datasets.mixed import with_tracks
from airreid.errors import InputError


def fill(root: Path, first: list[str], second: list[str]) -> Path:
    for outer in first:
        for inner in second:
            path = root / outer / inner / "0.png"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (8, 16)).save(path)
    return root


def test_few_cameras_of_many_tracks_are_tracks(tmp_path: Path) -> None:
    data = open_data(fill(tmp_path / "crops", ["door", "yard"], [f"t{i}" for i in range(9)]))
    assert data.form == "folder of <camera>/<track>/<image>"
    images = data["train"]
    assert len(images.identities) == 18
    assert {sample.camera for sample in images.samples} == {"door", "yard"}
    assert images.identities[0] == "door/t0"
    assert "18 tracks: nobody is known by two cameras" in remarks(data)[0]
    with pytest.raises(InputError, match="no query images"):
        data["query"]


def test_many_people_of_few_cameras_are_people(tmp_path: Path) -> None:
    data = open_data(fill(tmp_path / "crops", [f"p{i}" for i in range(9)], ["door", "yard"]))
    assert data.form == "folder of <identity>/<camera>/<image>"
    assert len(data["train"].identities) == 9


def people(root: Path, count: int, shots: int = 1) -> Path:
    for shot in range(shots):
        for name in (f"p{i}" for i in range(count)):
            for camera in ("door", "yard"):
                path = root / name / camera / f"{shot}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 16), (shot, 0, 0)).save(path)
    return root


def tracks(root: Path, count: int, shots: int = 2) -> Path:
    for number in range(count):
        for shot in range(shots):
            path = root / "gate" / f"t{number}" / f"{shot}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 16), (shot, 9, 0)).save(path)
    return root


def test_identities_and_tracks_lie_in_one_folder_or_in_two(tmp_path: Path) -> None:
    people(tmp_path / "site" / "identities", 10)
    beside = tracks(tmp_path / "site" / "tracks", 20)
    together = open_data(tmp_path / "site")
    apart = with_tracks(open_data(tmp_path / "site" / "identities"), beside)
    for data in (together, apart):
        assert len(data["train"].identities) == 10
        assert len(data["tracks"].identities) == 20
        assert data["tracks"].identities[0] == "tracks/gate/t0"
        assert {sample.camera for sample in data["tracks"].samples} == {"gate"}
        assert len(data["query"]) == len(data["gallery"]) == 20
    assert together.form == "folders identities and tracks"
    assert len(open_data(tmp_path / "site", "holdout")["train"].identities) == 8
    with pytest.raises(InputError, match="has tracks already"):
        with_tracks(together, beside)
    others = open_data(people(tmp_path / "others", 3))
    with pytest.raises(InputError, match=r"2 names of tracks below 10 cameras; tracks are <camera"):
        with_tracks(others, tmp_path / "site" / "identities")


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (5, ("5 people to train on", "too few to train a network", "needs 8", "fits PCA")),
        (20, ("20 people to train on", "was measured from 40 people on", "'airreid adopt'")),
        (45, ("45 people to train on", "can train a network of others here", "without torch")),
    ],
)
def test_the_number_of_people_decides_what_is_advised(
    count: int, words: tuple[str, ...], tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, ["check", str(people(tmp_path / "crops", count))])
    assert result.exit_code == 0, result.output
    (note,) = [line for line in result.output.splitlines() if line.startswith("note:")]
    for part in words:
        assert part in note


@pytest.mark.parametrize(
    ("count", "words"), [(20, "learns from both together"), (9, "too few to train on (16 are")]
)
def test_the_check_sees_tracks_beside_people(count: int, words: str, tmp_path: Path) -> None:
    given = [str(people(tmp_path / "crops", 8)), "--tracks", str(tracks(tmp_path / "more", count))]
    result = CliRunner().invoke(app, ["check", *given])
    assert result.exit_code == 0, result.output
    assert f"{count} tracks beside them" in result.output
    assert words in result.output
    assert f"all {16 + 2 * count} images can be read" in result.output


def test_few_tracks_are_too_few_to_train_on(tmp_path: Path) -> None:
    data = open_data(fill(tmp_path / "crops", ["door", "yard"], [f"t{i}" for i in range(9)]))
    assert "0 of them have two images or more, and training needs 16" in remarks(data)[0]


def test_crops_of_nobody_are_counted_and_advised(tmp_path: Path) -> None:
    for number in range(3):
        Image.new("RGB", (8, 16)).save(tmp_path / f"{number}.png")
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "form       folder of crops without identities" in result.output
    assert "nobody's identity: 'airreid adopt --no-identities --preset NAME' fits PCA" in (
        result.output
    )
    assert "all 3 images can be read" in result.output
    (tmp_path / "4.png").write_bytes(b"no image")
    assert CliRunner().invoke(app, ["check", str(tmp_path)]).exit_code == 1
