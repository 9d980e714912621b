"""CUHK03 in its three forms, which must be read alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from airreid.datasets import DataSet, open_data
from airreid.errors import InputError

from . import published

EMPTY = {(0, 1, 3), (0, 1, 4), (1, 0, 9), (2, 0, 5), (2, 0, 6), (2, 0, 7), (2, 0, 8), (2, 0, 9)}
TESTS = [[(1, 2), (2, 1)], [(1, 1), (3, 1)]]


def contents(data: DataSet) -> dict[str, set[tuple[str, str, str]]]:
    """Lists each subset: file name without folder, identity, camera."""
    return {
        name: {(s.name.rpartition("/")[2], s.identity, s.camera) for s in images.samples}
        for name, images in data.subsets.items()
    }


def config(names: list[str]) -> tuple[list[str], list[int], dict[str, list[int]]]:
    """Pair 1 trains; of the others view 1 searches view 2."""
    people = sorted({name[:5] for name in names})
    labels = [people.index(name[:5]) + 1 for name in names]
    parts: dict[str, list[int]] = {"train": [], "query": [], "gallery": []}
    for position, name in enumerate(names, 1):
        view = {"1": "query", "2": "gallery"}[name.split("_")[2]]
        parts["train" if name.startswith("1_") else view].append(position)
    return names, labels, parts


@pytest.fixture
def original(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    path = tmp_path / "release" / "cuhk-03.mat"
    path.parent.mkdir()
    return path, published.cuhk03_mat(path, EMPTY, TESTS)


def test_old_protocol_of_the_original_file(original: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, pictures = original
    data = open_data(path, "old-1", "labeled")
    assert data.protocols == ("old-1", "old-2", "all")
    assert data.single_shot
    assert data["query"].identities == data["gallery"].identities == ["1-0002", "2-0001"]
    assert (len(data["query"]), len(data["gallery"])) == (3 + 5, 5 + 4)
    assert set(data["query"].identities) & set(data["train"].identities) == set()
    loaded = {s.name: s for images in data.subsets.values() for s in images.samples}
    assert "labeled/1_002_1_04.png" not in loaded
    for name, sample in loaded.items():
        np.testing.assert_array_equal(
            np.asarray(sample.load()), pictures[name.removeprefix("labeled/")]
        )
    assert "query: 2 of 100 identities" in data.label
    assert open_data(path, "old-2").unanswerable() == ["3-0001"]


def test_labeled_and_detected_are_never_mixed(
    original: tuple[Path, dict[str, np.ndarray]],
) -> None:
    path, pictures = original
    published.config_v5(path.parent / f"{CONFIG}_detected.mat", *config(sorted(pictures)))
    detected, labeled = (open_data(path, None, kind) for kind in ("detected", "labeled"))
    assert detected.protocols[0] == "new"
    assert "new" not in labeled.protocols
    assert {s.name.split("/")[0] for s in detected["train"].samples} == {"detected"}
    first, other = (data["train"].samples[0].load() for data in (detected, labeled))
    assert first.size == other.size
    assert np.any(np.asarray(first) != np.asarray(other))


CONFIG = "cuhk03_new_protocol_config"


@pytest.mark.parametrize("save", [published.config_v5, published.config_hdf5])
def test_new_protocol_is_the_same_from_every_form(
    original: tuple[Path, dict[str, np.ndarray]], tmp_path: Path, save: object
) -> None:
    path, pictures = original
    files, labels, parts = config(sorted(pictures))
    assert callable(save)
    save(path.parent / f"{CONFIG}_labeled.mat", files, labels, parts)
    save(tmp_path / f"{CONFIG}_labeled.mat", files, labels, parts)
    for name, pixels in pictures.items():
        published.write(tmp_path / "labeled" / name, pixels)
    stored, folder = open_data(path, "new"), open_data(tmp_path / "labeled")
    assert folder.protocol == "new"
    assert contents(stored) == contents(folder)
    wanted = {part: {files[i - 1] for i in positions} for part, positions in parts.items()}
    names = {part: {name for name, _, _ in rows} for part, rows in contents(stored).items()}
    assert names == wanted
    same = {s.name: np.asarray(s.load()) for s in folder["gallery"].samples}
    for sample in stored["gallery"].samples:
        pixels = same[sample.name.removeprefix("labeled/")]
        np.testing.assert_array_equal(np.asarray(sample.load()), pixels)


def test_files_that_the_configuration_lists_and_that_are_not_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"{p}_001_{v}_{c:02d}.png" for p in (1, 2) for v, c in ((1, 1), (2, 6))]
    for name in names[:-1]:
        published.write(tmp_path / "images_labeled" / name, published.picture(rng))
    published.config_v5(tmp_path / f"{CONFIG}_labeled.mat", *config(names))
    data = open_data(tmp_path / "images_labeled")
    assert data.missing == ("2_001_2_06.png",)
    assert "1 listed files missing" in data.label
    assert "camera pair 1, 2 of 5" in data.label


def test_np_folders(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("labeled", "detected"):
        for folder, names in {
            "bounding_box_train": ["0001_c1_1.png", "0001_c2_6.png"],
            "query": ["0002_c1_1.png"],
            "bounding_box_test": ["0002_c1_2.png", "0002_c2_7.png"],
        }.items():
            for name in names:
                published.write(tmp_path / kind / folder / name, published.picture(rng))
    with pytest.raises(InputError, match="choose one with --boxes"):
        open_data(tmp_path)
    data = open_data(tmp_path, boxes="detected")
    assert data.form == "CUHK03-NP folders"
    assert data.name == "CUHK03 detected"
    assert [len(data[part]) for part in ("train", "query", "gallery")] == [2, 1, 2]
    assert data.expected["gallery"].images == 5332
    query, gallery = data.test_labels()
    assert query.camera.tolist() == [0]
    assert gallery.camera.tolist() == [0, 1]
    (tmp_path / "other").mkdir()
    (tmp_path / "labeled").rename(tmp_path / "other" / "mine")
    with pytest.raises(InputError, match=r"say with --boxes"):
        open_data(tmp_path / "other" / "mine")
    with pytest.raises(InputError, match=r"called detected, but --boxes says labeled"):
        open_data(tmp_path / "detected", boxes="labeled")


def test_damaged_files_get_one_clear_error(
    original: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    path, pictures = original
    whole = path.read_bytes()
    for size in (len(whole) // 2, 100, 0):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cuhk-03.mat: truncated"):
            open_data(path)
    path.write_bytes(whole)
    data = open_data(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cuhk-03.mat: truncated"):
        data["train"].samples[0].load()
    settings = tmp_path / f"{CONFIG}_labeled.mat"
    published.config_v5(settings, *config(sorted(pictures)))
    for length in (200, 20, 0):
        settings.write_bytes(settings.read_bytes()[:length])
        with pytest.raises(InputError, match=r"config_labeled.mat: "):
            _config(settings)


def _config(path: Path) -> None:
    from airreid.datasets.cuhk03_config import read_config

    read_config(path)


def test_a_configuration_that_contradicts_itself(tmp_path: Path) -> None:
    names = ["1_001_1_01.png", "1_001_2_06.png", "2_001_1_01.png", "2_001_2_06.png"]
    path = tmp_path / f"{CONFIG}_labeled.mat"
    published.config_v5(path, names, [1, 1, 2, 2], {"train": [1, 9], "query": [3], "gallery": [4]})
    with pytest.raises(InputError, match="train_idx points outside the list of 4"):
        _config(path)
    published.config_v5(path, names, [1, 1, 1, 2], {"train": [1], "query": [3], "gallery": [4]})
    with pytest.raises(InputError, match="identities are in train and in query or gallery"):
        _config(path)


def test_camera_pair_as_flat_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, people in (("train", 3), ("val", 2)):
        for person in range(people):
            for index in (0, 3, 5, 9):
                name = f"{person:04d}_{index:02d}.jpg"
                published.write(tmp_path / part / name, published.picture(rng))
    data = open_data(tmp_path)
    assert data.form == "CUHK03 camera pair, flat files"
    assert data.label.startswith("CUHK03 camera pair, protocol query-camera-1 [subset: one camera")
    assert [len(data[part]) for part in ("train", "query", "gallery")] == [12, 4, 4]
    assert {s.camera for s in data["query"].samples} == {"camera-1"}
    assert {s.name for s in data["query"].samples} >= {"val/0000_03.jpg", "val/0001_00.jpg"}
    assert not set(data["train"].identities) & set(data["query"].identities)
    assert {s.camera for s in open_data(tmp_path, "query-camera-2")["query"].samples} == {
        "camera-2"
    }
    published.write(tmp_path / "val" / "zwei.jpg", published.picture(rng))
    again = open_data(tmp_path)
    assert again.digest() == data.digest()  # one wrong file changes nothing else
    [reason] = again.left_out
    assert "zwei.jpg: not called" in reason
