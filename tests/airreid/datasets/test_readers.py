"""Forms of data sets: told apart, listed, and added to from outside the package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from airreid.datasets import (
    Boxes,
    Certainty,
    DataSet,
    Reader,
    Recognition,
    Splits,
    open_data,
    open_splits,
    register_reader,
)
from airreid.datasets.cli import app
from airreid.datasets.folder import file_sample
from airreid.datasets.open import families_of, recognised
from airreid.datasets.readers import READERS
from airreid.datasets.samples import ImageSet
from airreid.errors import InputError

from . import published


class Corridor(Reader):
    """Files ``corridor-<identity>-<camera>.png`` in one folder."""

    name = "Corridor"
    looks_for = "files like corridor-3-a.png"
    protocols = ("round-N",)
    families = ("rounds",)

    def recognises(self, path: Path) -> Recognition:
        if any(path.glob("corridor-*-*.png")):
            return Recognition(Certainty.SURE, self.looks_for)
        return Recognition(Certainty.NO, f"no {self.looks_for}")

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        chosen = protocol or "round-1"
        train, test = ("a", "b") if chosen == "round-1" else ("b", "a")
        samples = [
            file_sample(path, file, *file.stem.split("-")[1:])
            for file in sorted(path.glob("*.png"))
        ]

        def by(camera: str) -> ImageSet:
            return ImageSet(camera, tuple(s for s in samples if s.camera == camera))

        subsets = {"train": by(train), "query": by(train), "gallery": by(test)}
        return DataSet("Corridor", "flat files", chosen, ("round-1", "round-2"), subsets)

    def splits(self, path: Path, family: str, boxes: Boxes | None) -> Splits:
        rounds = tuple(self.open(path, f"round-{n}", boxes) for n in (1, 2))
        samples = rounds[0]["query"].samples + rounds[0]["gallery"].samples
        return Splits(family, ImageSet("everybody", samples), rounds)


@pytest.fixture
def corridor() -> Iterator[Reader]:
    reader = Corridor()
    with READERS.registered(reader.name, reader):
        yield reader


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for identity in range(3):
        for camera in "ab":
            pixels = published.picture(np.random.default_rng(identity))
            published.write(folder / f"corridor-{identity}-{camera}.png", pixels)
    return folder


def test_a_reader_of_another_package_opens_its_data(corridor: Reader, pictures: Path) -> None:
    data = open_data(pictures, "round-2")
    assert recognised(pictures) is corridor
    assert data.label == "Corridor, protocol round-2"
    assert {sample.camera for sample in data["query"].samples} == {"b"}
    assert families_of(pictures) == ("rounds",)
    splits = open_splits(pictures, "rounds")
    assert [data.protocol for data in splits.data_sets] == ["round-1", "round-2"]
    assert len(splits.everybody) == 6
    result = CliRunner().invoke(app, ["check", str(pictures)])
    assert result.exit_code == 0, result.output
    assert "flat files" in result.output
    result = CliRunner().invoke(app, ["forms"])
    assert "Corridor: files like corridor-3-a.png" in result.output
    assert "protocols round-N; all splits: rounds" in result.output


def test_a_name_is_taken_once(corridor: Reader) -> None:
    with pytest.raises(ValueError, match="'Corridor' is registered already"):
        register_reader(Corridor())


def test_splits_that_another_form_has_are_named(corridor: Reader, pictures: Path) -> None:
    with pytest.raises(InputError, match=r"protocol old needs CUHK03's cuhk-03\.mat, which has"):
        open_data(pictures, "old")
    with pytest.raises(InputError, match="protocol old needs CUHK03's"):
        open_splits(pictures, "old")
    with pytest.raises(InputError, match="'new' is no family of splits of Corridor"):
        open_splits(pictures, "new")


def test_what_nobody_recognises_is_answered_with_what_was_missed(pictures: Path) -> None:
    with pytest.raises(InputError) as raised:
        open_data(pictures)
    text = str(raised.value)
    assert text.startswith(
        f"{pictures}: no form of data set that is known: its images lie at level "
    )
    for missed in (
        "CUHK03, the original: no cuhk-03.mat",
        "Market-1501: no folder bounding_box_train",
        "MSMT17: no list_train.txt",
        "CUHK03 extracted files: no files like 1_001_1_01.png",
        "your own: no images at <identity>/<camera>/<image>",
    ):
        assert missed in text
    assert "synthetic" not in text
    assert len(text) < 800
    file = next(pictures.iterdir())
    with pytest.raises(InputError, match=r"CUHK03, the original: not a \.mat file"):
        open_data(file)


def test_a_folder_called_like_the_word_is_opened_by_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for identity in "xy":
        pixels = published.picture(np.random.default_rng(0))
        published.write(tmp_path / "synthetic" / identity / "c" / "0.png", pixels)
    assert open_data("synthetic", "demo-2").name == "synthetic people"
    for source in ("./synthetic", tmp_path / "synthetic"):
        assert open_data(source).name == "folder synthetic"


def test_a_folder_is_checked_without_torch_and_without_h5py(tmp_path: Path) -> None:
    for identity in "xy":
        pixels = published.picture(np.random.default_rng(0))
        published.write(tmp_path / identity / "c" / "0.png", pixels)
    code = (
        "import sys\n"
        "for name in ('torch', 'h5py', 'scipy', 'onnxruntime'): sys.modules[name] = None\n"
        "from airreid.datasets.cli import app\n"
        f"app(['check', {str(tmp_path)!r}])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "all 2 images can be read" in result.stdout
