"""Data sets as they lie on people's disks: archives' leftovers, a folder too high, two together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from airreid.crop_folder import list_crops
from airreid.datasets import open_data
from airreid.datasets.advice import advice
from airreid.datasets.cli import app
from airreid.errors import InputError

from . import published

RNG = np.random.default_rng(0)
PARTS = ("bounding_box_train", "query", "bounding_box_test")


def boxes(root: Path, names: list[str]) -> Path:
    """Market-1501's three folders with the same names in each."""
    for part in PARTS:
        for name in names:
            published.write(root / part / name, published.picture(RNG))
    return root


MARKET = [f"{person:04d}_c{camera}s1_000451_03.jpg" for person in (2, 7) for camera in (1, 2)]


def leftovers(root: Path) -> None:
    """Leaves in every folder what a Mac's archive and Windows do."""
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        for path in list(folder.glob("*.jpg")):
            (folder / f"._{path.name}").write_bytes(b"\x00\x05\x16\x07" + bytes(60))
        (folder / ".DS_Store").write_bytes(b"Bud1")
        (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (root / "__MACOSX").mkdir()


def test_leftovers_of_archives_are_skipped_and_counted(tmp_path: Path) -> None:
    plain = open_data(boxes(tmp_path / "Market", MARKET))
    leftovers(tmp_path / "Market")
    data = open_data(tmp_path / "Market")
    assert data.name == "Market-1501"
    assert data.digest() == plain.digest()
    assert data.left_out == ()
    assert data.leftovers == 3 * (len(MARKET) + 2)
    result = CliRunner().invoke(app, ["check", str(tmp_path / "Market")])
    assert result.exit_code == 0, result.output
    assert "note: 18 hidden files and leftovers of archives passed over" in result.output


@pytest.mark.parametrize(
    "name", ["0002_c{camera}s1_000451_03.jpg", "00002_c{camera}s1_000451_03.jpg"]
)
def test_cameras_over_nine_and_longer_ids_are_another_set_in_markets_folders(
    tmp_path: Path, name: str
) -> None:
    names = [name.format(camera=camera) for camera in (1, 12)]
    data = open_data(boxes(tmp_path / "mine", names))
    assert data.label == "folder mine, protocol market-1501"
    assert {sample.camera for sample in data["train"].samples} == {"c1", "c12"}
    assert data.expected == {}


def test_six_cameras_are_market_and_not_cuhk03(tmp_path: Path) -> None:
    names = [f"0002_c{camera}s1_000451_03.jpg" for camera in range(1, 7)]
    assert open_data(boxes(tmp_path / "six", names)).name == "Market-1501"
    other = open_data(boxes(tmp_path / "np", [f"0001_c{camera}_1.png" for camera in range(1, 7)]))
    assert other.name == "folder np"
    assert len({sample.camera for sample in other["gallery"].samples}) == 6


def test_one_wrong_name_does_not_make_it_another_set(tmp_path: Path) -> None:
    data = open_data(boxes(tmp_path, ["00_first.jpg", *MARKET]))
    assert data.name == "Market-1501"
    assert len(data.left_out) == 3
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert result.exit_code == 1
    assert "00_first.jpg: not called as in Market-1501" in result.stderr


def test_sets_that_are_not_read_are_named(tmp_path: Path) -> None:
    duke = boxes(tmp_path / "duke", ["0001_c2_f0046182.jpg", "0001_c5_f0046182.jpg"])
    with pytest.raises(InputError, match="DukeMTMC-reID, which its authors have withdrawn"):
        open_data(duke)
    strange = boxes(tmp_path / "strange", ["holiday.jpg"])
    with pytest.raises(InputError, match=r"names of neither, such as 'holiday'"):
        open_data(strange)


def test_the_version_of_cuhk03_is_known_by_its_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airreid.datasets import bounding_boxes
    from airreid.datasets.dataset import Count

    boxes(tmp_path / "np", ["0001_c1_1.png", "0001_c2_2.png"])
    with pytest.raises(InputError, match="say with --boxes whether it is labeled or detected"):
        open_data(tmp_path / "np")
    counts = {kind: {"train": Count(size, 1)} for kind, size in (("labeled", 9), ("detected", 2))}
    monkeypatch.setattr(bounding_boxes, "NEW", counts)
    data = bounding_boxes._boxes_by_count(tmp_path / "np")
    assert data == "detected"


def test_a_set_one_folder_down_or_up_is_found_and_told(tmp_path: Path) -> None:
    inside = boxes(tmp_path / "downloads" / "Market-1501-v15.09.15", MARKET)
    (tmp_path / "downloads" / "__MACOSX").mkdir()
    (tmp_path / "downloads" / "readme.txt").write_text("cite us")
    data = open_data(tmp_path / "downloads")
    assert data.name == "Market-1501"
    assert data.elsewhere == str(inside)
    below = open_data(inside / "bounding_box_train")
    assert below.digest() == data.digest()
    assert below.elsewhere == str(inside)
    assert open_data(inside).elsewhere == ""
    result = CliRunner().invoke(app, ["check", str(tmp_path / "downloads")])
    assert f"found at {inside}" in result.output
    people = tmp_path / "archive" / "people"
    for person in ("ann", "bob"):
        for camera in ("a", "b"):
            published.write(people / person / camera / "0.png", published.picture(RNG))
    assert open_data(tmp_path / "archive").elsewhere == str(people)


def test_two_sets_side_by_side_are_not_two_people(tmp_path: Path) -> None:
    boxes(tmp_path / "market", MARKET)
    boxes(tmp_path / "cuhk03-np", ["0001_c1_1.png", "0001_c2_2.png"])
    with pytest.raises(
        InputError, match=r"holds 2 data sets, cuhk03-np \(CUHK03-NP.*market \(Market-1501\)"
    ):
        open_data(tmp_path)


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("mask_train_v2", "mask_test_v2")])
def test_msmt17_without_its_lists_is_named(tmp_path: Path, train: str, test: str) -> None:
    for part in (train, test):
        for person in ("0000", "0001"):
            name = f"{person}_000_01_0303morning_0008_0.jpg"
            published.write(tmp_path / part / person / name, published.picture(RNG))
    with pytest.raises(InputError, match=r"MSMT17 without list_train\.txt, list_val\.txt"):
        open_data(tmp_path)


def test_parts_of_a_set_are_nobodys_names(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for person in ("0000", "0001"):
            published.write(tmp_path / part / person / "a.jpg", published.picture(RNG))
    with pytest.raises(
        InputError, match=r"holds test, train: parts of .* missing: query, gallery\)"
    ):
        open_data(tmp_path)


@pytest.mark.parametrize(
    "parts",
    [("bbox_train", "bbox_test"), ("Train", "Test"), ("training", "probe"), ("image_query", "VAL")],
    ids=" ".join,
)
def test_parts_of_any_set_are_neither_people_nor_cameras(
    tmp_path: Path, parts: tuple[str, str]
) -> None:
    for part in parts:
        for person in range(8):
            path = tmp_path / part / f"{person:04d}" / f"{person:04d}C1T0001F001.jpg"
            published.write(path, published.picture(RNG))
    with pytest.raises(InputError, match="parts of a data set, and nobody's names"):
        open_data(tmp_path)


def test_one_person_may_be_called_as_a_part_is(tmp_path: Path) -> None:
    for person in ("ann", "Val"):
        published.write(tmp_path / person / "door" / "0.png", published.picture(RNG))
    assert open_data(tmp_path)["train"].identities == ["Val", "ann"]


@pytest.mark.parametrize("cameras", [("cam1", "cam2"), ("cam_a", "cam_b"), ("Camera 1",)])
def test_cameras_in_the_place_of_people_are_not_people(
    tmp_path: Path, cameras: tuple[str, ...]
) -> None:
    for camera in cameras:
        for person in ("ann", "bob", "eve"):
            published.write(tmp_path / camera / person / "0.png", published.picture(RNG))
    with pytest.raises(InputError, match=f"the first folders, {cameras[0]}.*as cameras are"):
        list_crops(tmp_path)
    if len(cameras) == 1:
        with pytest.raises(InputError, match="as cameras are"):
            open_data(tmp_path)
        return
    data = open_data(tmp_path)
    assert data.protocols == ("tracks",)
    assert len(data["train"].identities) == 6
    [_, shared] = advice(data)
    assert shared.startswith("3 names of tracks come back below another camera")


def test_cameras_below_people_are_in_their_place(tmp_path: Path) -> None:
    for person in ("cam1", "ann"):
        published.write(tmp_path / person / "cam2" / "0.png", published.picture(RNG))
    assert {crop.identity for crop in list_crops(tmp_path).crops} == {"cam1", "ann"}


def test_a_set_several_folders_down_is_found(tmp_path: Path) -> None:
    people = tmp_path / "backup" / "site A" / "2024" / "people"
    for person in ("ann", "bob"):
        published.write(people / person / "door" / "0.png", published.picture(RNG))
    (tmp_path / "backup" / "loop").symlink_to(tmp_path)
    (tmp_path / "backup" / "#recycle").mkdir()
    assert open_data(tmp_path).elsewhere == str(people)
    assert list_crops(tmp_path).root == people


def test_a_form_that_is_not_known_says_where_its_images_lie(tmp_path: Path) -> None:
    for person in ("ann", "bob"):
        path = tmp_path / person / "door" / "2024-05-01" / "0.jpg"
        published.write(path, published.picture(RNG))
    with pytest.raises(InputError, match=r"images lie at level 4, such as \w+/door/2024-05-01/"):
        open_data(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"known: it holds no images \("):
        open_data(tmp_path / "empty")


def test_folders_of_people_without_cameras_are_told_what_is_missing(tmp_path: Path) -> None:
    for person in ("ann", "bob"):
        published.write(tmp_path / person / "0.png", published.picture(RNG))
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert "note: the images lie in 2 folders: if each is a person, put a folder" in result.output


def test_a_web_page_in_place_of_the_mat_file_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "cuhk-03.mat"
    path.write_text("<!DOCTYPE html><html><body>Please log in</body></html>")
    with pytest.raises(InputError, match="a web page, not CUHK03's HDF5 file; it was saved in"):
        open_data(path)
    path.write_bytes(b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(200))
    with pytest.raises(InputError, match=r"a MATLAB file.*version 7\.3"):
        open_data(path)


def test_people_of_one_camera_are_listed_once(tmp_path: Path) -> None:
    for person in ("ann", "bob", "eve"):
        published.write(tmp_path / person / "a" / "0.png", published.picture(RNG))
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert result.output.count("ann, bob, eve") == 1
