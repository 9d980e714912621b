"""Market-1501, MSMT17, and the check of a whole data set."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from airreid.datasets import open_data
from airreid.datasets.cli import app
from airreid.errors import InputError

from . import published

RNG = np.random.default_rng(0)


def market(root: Path) -> Path:
    for folder, names in {
        "bounding_box_train": ["0002_c1s1_000451_03.jpg", "0002_c2s1_000551_01.jpg"],
        "query": ["0001_c1s1_001051_00.jpg"],
        "bounding_box_test": [
            "0001_c3s2_001051_01.jpg",
            "0000_c2s1_000001_01.jpg",
            "-1_c1s1_000401_03.jpg",
            "0001_c1s1_002301_02.jpg.jpg",
        ],
    }.items():
        for name in names:
            published.write(root / folder / name, published.picture(RNG))
    (root / "query" / "Thumbs.db").write_bytes(b"x")
    return root


def test_market_drops_junk_and_keeps_distractors(tmp_path: Path) -> None:
    data = open_data(market(tmp_path))
    assert data.name == "Market-1501"
    assert [len(data[part]) for part in ("train", "query", "gallery")] == [2, 1, 3]
    query, gallery = data.test_labels()
    assert query.identity.tolist() == [1]
    assert sorted(gallery.identity.tolist()) == [0, 1, 1]
    assert data.shortfall[:2] == ["train: 2 of 12936 images", "train: 1 of 751 identities"]
    assert "1 of 3819 junk images" in data.label
    published.write(tmp_path / "query" / "me.jpg", published.picture(RNG))
    [reason] = open_data(tmp_path).left_out
    assert "me.jpg: not called as in Market-1501" in reason
    assert open_data(tmp_path).digest() == data.digest()  # one wrong file changes nothing else


def msmt17(root: Path) -> Path:
    for part, kind, name in (
        ("train", "train", "0000/0000_000_01_0303morning_0008_0.jpg"),
        ("val", "train", "0000/0000_001_05_0303noon_0008_0.jpg"),
        ("query", "test", "0000/0000_002_07_0303noon_0008_0.jpg"),
        ("gallery", "test", "0000/0000_003_08_0303noon_0008_0.jpg"),
    ):
        published.write(root / kind / name, published.picture(RNG))
        (root / f"list_{part}.txt").write_text(f"{name} 0\n")
    return root


def test_msmt17_by_its_lists(tmp_path: Path) -> None:
    data = open_data(msmt17(tmp_path))
    assert data.name == "MSMT17"
    assert {name: len(images) for name, images in data.subsets.items()} == {
        "train": 1,
        "val": 1,
        "query": 1,
        "gallery": 1,
    }
    assert data["gallery"].samples[0].identity == "test-0000"
    assert data["gallery"].samples[0].camera == "c08"
    assert data["train"].samples[0].identity == "train-0000"
    with (tmp_path / "list_gallery.txt").open("a") as file:
        file.write("0001/0001_000_01_0303morning_0008_0.jpg 1\n")
    assert open_data(tmp_path).missing == ("test/0001/0001_000_01_0303morning_0008_0.jpg",)
    (tmp_path / "list_query.txt").write_text("what is this\n")
    with pytest.raises(InputError, match=r"list_query.txt: line 1"):
        open_data(tmp_path)


def test_check_data_names_what_is_missing_or_unreadable(tmp_path: Path) -> None:
    root = msmt17(tmp_path / "msmt")
    out = tmp_path / "found.json"
    result = CliRunner().invoke(app, ["check", str(root), "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert "MSMT17 list files and folders" in result.output
    assert "30248 images, 1041 identities" in result.output
    report = json.loads(out.read_text())
    assert report["problems"] == []
    assert str(tmp_path) not in out.read_text()
    with (root / "list_gallery.txt").open("a") as file:
        file.write("0001/0001_000_01_0303morning_0008_0.jpg 1\n")
    damaged = root / "test/0000/0000_002_07_0303noon_0008_0.jpg"
    damaged.write_bytes(damaged.read_bytes()[:200])
    result = CliRunner().invoke(app, ["check", str(root)])
    assert result.exit_code == 1
    for name in ("0001/0001_000_01_0303morning_0008_0.jpg", "0000_002_07_0303noon_0008_0.jpg"):
        assert any(name in line for line in result.stderr.splitlines()), result.stderr


def test_check_data_content_follows_pixels_and_names_people_of_one_camera(tmp_path: Path) -> None:
    for person, cameras in (("ann", "ab"), ("bob", "ab"), ("eve", "a")):
        for camera in cameras:
            path = tmp_path / "mine" / person / camera / "0.png"
            published.write(path, published.picture(RNG))
    contents = set()
    for _ in range(2):
        result = CliRunner().invoke(app, ["check", str(tmp_path / "mine")])
        assert result.exit_code == 0, result.output
        assert "never counted: eve" in result.output
        contents.add(next(s for s in result.output.splitlines() if s.startswith("content")))
        published.write(tmp_path / "mine" / "eve" / "a" / "0.png", published.picture(RNG))
    assert len(contents) == 2


def test_check_data_in_processes_finds_the_one_bad_file(tmp_path: Path) -> None:
    for number in range(70):
        path = tmp_path / f"p{number % 7}" / f"c{number % 2}" / f"{number}.png"
        published.write(path, published.picture(RNG))
    bad = tmp_path / "p3" / "c0" / "10.png"
    bad.write_bytes(b"not an image")
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert result.exit_code == 1
    assert f"{bad}: not an image" in result.stderr
    assert "1 missing or unreadable" in result.stderr


@pytest.mark.parametrize("content", [b"\xff\xfe", "0001/a_b_c.jpg ²\n".encode(), None])
def test_a_list_of_msmt17_that_is_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    root = msmt17(tmp_path)
    path = root / "list_train.txt"
    path.unlink()
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"list_train\.txt"):
        open_data(root)
