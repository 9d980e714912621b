"""One damaged image among many: left out, counted and named, and nobody else is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from airreid.adopt.images import open_images, readable_images
from airreid.datasets import open_data
from airreid.datasets.readable import readable
from airreid.errors import InputError

from . import published

RNG = np.random.default_rng(4)
PEOPLE = 10


class Phases:
    """Counts the images that are decoded."""

    def __init__(self) -> None:
        self.steps = 0

    def __call__(self, name: str, steps: int) -> Callable[[], object]:
        def tick() -> None:
            self.steps += 1

        return tick


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for person in range(PEOPLE):
        for number in range(6):
            path = tmp_path / "crops" / f"p{person}" / f"c{number % 2}" / f"{number}.png"
            published.write(path, published.picture(RNG))
    return tmp_path / "crops"


def truncate(path: Path) -> str:
    """Cuts a file in half: its first bytes are still an image's."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return str(path)


def test_a_damaged_image_is_left_out_of_every_subset_and_named(
    folder: Path, tmp_path: Path
) -> None:
    whole = open_data(folder)
    bad = truncate(folder / "p3" / "c0" / "2.png")
    phases = Phases()
    data = readable(open_data(folder), tmp_path, phases)
    assert phases.steps == 6 * PEOPLE
    [reason] = data.left_out
    assert reason.startswith(f"{bad}: damaged or truncated image")
    for name, images in whole.subsets.items():
        expected = [sample.name for sample in images.samples if sample.name != "p3/c0/2.png"]
        assert [sample.name for sample in data[name].samples] == expected
    again = Phases()
    assert readable(open_data(folder), tmp_path, again).left_out == data.left_out
    assert again.steps == 0, "what was found is kept"
    record = next(tmp_path.glob("unreadable-*.json"))
    record.write_text("{")
    assert readable(open_data(folder), tmp_path, again).left_out == data.left_out
    assert again.steps == 6 * PEOPLE, "a damaged record is no record"


def test_images_of_an_adoption_keep_their_labels_without_the_damaged_one(
    folder: Path, tmp_path: Path
) -> None:
    bad = truncate(folder / "p3" / "c0" / "2.png")
    opened = open_images(str(folder))
    images = readable_images(opened, tmp_path / "none", Phases())
    assert images.labels is not None
    assert opened.test is not None
    assert images.test is not None
    assert len(images.everything) == len(opened.everything) - 1
    assert len(images.labels) == len(images.fit)
    names = [sample.name for sample in images.fit.samples]
    assert [images.fit.identities[i] for i in images.labels.identity] == [
        name.split("/")[0] for name in names
    ]
    in_test = sum(len(opened.test[part]) - len(images.test[part]) for part in ("query", "gallery"))
    assert len(opened.fit) - len(images.fit) == (0 if in_test else 1)
    assert [reason.split(": ")[0] for reason in images.left_out] == [bad]
    assert not (tmp_path / "none").exists()


def test_more_than_a_hundredth_is_a_damaged_data_set(folder: Path, tmp_path: Path) -> None:
    bad = truncate(folder / "p1" / "c0" / "0.png")
    truncate(folder / "p3" / "c0" / "2.png")
    message = rf"2 of 60 images cannot be read \({bad}: damaged .*\); up to 1% are left out"
    with pytest.raises(InputError, match=message):
        readable(open_data(folder), tmp_path, Phases())
