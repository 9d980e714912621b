"""Folders of tracks, told from folders of people."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from airreid.datasets import open_data
from airreid.datasets.check import remarks
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
