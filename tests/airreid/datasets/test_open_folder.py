"""A user's own images and synthetic people through the one way in."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airreid.datasets import open_data
from airreid.datasets.check import check_images, images_of
from airreid.errors import InputError


def people(root: Path, count: int, cameras: int = 2, shots: int = 2) -> Path:
    rng = np.random.default_rng(0)
    for i in range(count):
        for c in range(cameras):
            folder = root / f"p{i:02d}" / f"c{c}"
            folder.mkdir(parents=True)
            for k in range(shots):
                picture = rng.integers(0, 256, (16, 8, 3), dtype=np.uint8)
                Image.fromarray(picture).save(folder / f"{k}.png")
    return root


def test_a_folder_searches_itself_by_default(tmp_path: Path) -> None:
    data = open_data(people(tmp_path / "mine", 3))
    assert data.label == "folder mine, protocol all"
    assert data.protocols == ("all", "holdout")
    assert [len(data[name]) for name in ("train", "query", "gallery")] == [12, 12, 12]
    query, gallery = data.test_labels()
    assert query.identity.tolist() == gallery.identity.tolist() == [1] * 4 + [2] * 4 + [3] * 4
    assert query.camera.tolist() == [0, 0, 1, 1] * 3
    assert data["query"].samples[0].load().size == (8, 16)


def test_holdout_keeps_people_apart_and_does_not_move_them(tmp_path: Path) -> None:
    folder = people(tmp_path / "mine", 20, shots=1)
    data = open_data(folder, "holdout")
    train, test = set(data["train"].identities), set(data["query"].identities)
    assert len(test) == 4
    assert not train & test
    assert len(train | test) == 20
    before = data.digest()
    assert open_data(folder, "holdout").digest() == before != open_data(folder).digest()


def test_no_absolute_path_enters_names_or_digest(tmp_path: Path) -> None:
    first = open_data(people(tmp_path / "a" / "mine", 3))
    second = open_data(people(tmp_path / "b" / "mine", 3))
    assert first.digest() == second.digest()
    for sample in first["train"].samples:
        assert str(tmp_path) not in sample.name


def test_names_that_are_no_utf8_are_names(tmp_path: Path) -> None:
    folder = people(tmp_path / "mine", 6)
    (folder / "p00").rename(folder / os.fsdecode(b"p\xff"))
    (folder / "p01" / "c0" / "0.png").rename(folder / "p01" / "c0" / os.fsdecode(b"\xfe.png"))
    for protocol in ("all", "holdout"):
        data = open_data(folder, protocol)
        assert data.digest() == open_data(folder, protocol).digest()
        assert data["train"].digest() == open_data(folder, protocol)["train"].digest()
    images = images_of(open_data(folder))
    checked = check_images(images, workers=1)
    assert (len(images), checked.problems) == (24, [])


def test_folders_that_the_user_has_split(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("query", 2), ("gallery", 2)):
        people(tmp_path / part, count, shots=1)
    data = open_data(tmp_path)
    assert (data.protocol, len(data["train"]), len(data["query"])) == ("given", 6, 4)
    assert data.unanswerable() == []


def test_identities_without_a_counterpart_are_named(tmp_path: Path) -> None:
    folder = people(tmp_path, 3)
    for path in (folder / "p01" / "c1").iterdir():
        path.unlink()
    assert open_data(folder).unanswerable() == ["p01"]


def test_synthetic_people_are_those_of_the_simulation(tmp_path: Path) -> None:
    from simulation.people import synthetic

    data = open_data("synthetic", "demo-3")
    drawn = synthetic(3, tmp_path)
    for subset, crops in (("query", drawn.queries), ("gallery", drawn.gallery)):
        samples = data[subset].samples
        assert [s.identity for s in samples] == [c.identity for c in crops]
        pixels = [np.asarray(s.load()) for s in samples]
        np.testing.assert_array_equal(pixels, [np.asarray(Image.open(c.path)) for c in crops])
    default = open_data("synthetic")
    assert (default.protocol, len(default["query"]), len(default["gallery"])) == ("demo", 300, 200)
    assert not default.unanswerable()


def test_mistakes_get_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        open_data(tmp_path / "nowhere")
    folder = people(tmp_path / "mine", 3)
    with pytest.raises(InputError, match=r"no protocol 'new'; there are: all, holdout"):
        open_data(folder, "new")
    with pytest.raises(InputError, match="at least four"):
        open_data(folder, "holdout")
    with pytest.raises(InputError, match="demo-N"):
        open_data("synthetic", "demo-0")
    with pytest.raises(InputError, match=r"no validation images; it has: train, query, gallery"):
        open_data(folder)["validation"]
