"""A folder's files: each one is taken, left out with its reason, or counted as a leftover."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from airreid.crop_folder import list_crops, read_folder
from airreid.datasets import open_data
from airreid.errors import InputError
from airreid.picture_files import picture_files


def picture(kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 64), (90, 20, 30)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def everyday(tmp_path: Path) -> Path:
    """A person's folder as a phone, a Mac and a colleague left it."""
    folder = tmp_path / "people"
    files = {
        "anna/door/a.jpg": picture("JPEG"),
        "anna/door/no suffix": picture("PNG"),
        "anna/door/scan.TIFF": picture("TIFF"),
        "anna/door/wrong.txt": picture("WEBP"),
        "anna/door/notes.md": b"anna came at ten",
        "anna/door/page.jpg": b"<!doctype html><html>404",
        "anna/door/empty.png": b"",
        "anna/portrait.png": picture(),
        "anna/door/._a.jpg": b"\x00\x05\x16\x07" + bytes(100),
        "anna/door/Thumbs.db": b"\xd0\xcf\x11\xe0",
        "__MACOSX/anna/door/a.jpg": picture(),
        "anna/.DS_Store": b"Bud1",
        "anna/door/a.jpg~": picture("JPEG"),
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "anna/door/pipe.png")
    (folder / "anna/door/gone.png").symlink_to(folder / "nowhere")
    return folder


def test_every_file_is_accounted_for_by_its_content(everyday: Path) -> None:
    files = picture_files(everyday)
    assert [path.name for path in files.images] == [
        *("a.jpg", "no suffix", "scan.TIFF", "wrong.txt"),
        "portrait.png",
    ]
    reasons = {file.path.name: file.reason for file in files.left_out}
    assert all(
        reason.startswith(str(file.path))
        for file, reason in zip(files.left_out, reasons.values(), strict=True)
    )
    expected = {
        "notes.md": "not an image",
        "page.jpg": "a web page",
        "empty.png": "an empty file",
        "pipe.png": "not a regular file",
        "gone.png": "cannot be read",
    }
    assert set(reasons) == set(expected)
    for name, words in expected.items():
        assert words in reasons[name]
    assert files.leftovers == 5
    everything = sum(len(names) for _, _, names in os.walk(everyday))
    assert len(files.images) + len(files.left_out) + files.leftovers == everything


def test_folders_far_too_deep_are_refused_in_a_sentence(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 100)
    deep.mkdir(parents=True)
    with pytest.raises(InputError, match=r"more than 64 folders in each other"):
        picture_files(tmp_path)
    with pytest.raises(InputError, match=r"more than 64 folders in each other"):
        open_data(tmp_path)
    assert len(picture_files(deep.parents[10]).images) == 0


def test_crops_of_a_folder_and_what_is_left_out(everyday: Path) -> None:
    folder = list_crops(everyday)
    assert [(crop.identity, crop.camera) for crop in folder.crops] == [("anna", "door")] * 4
    assert [file.path.name for file in folder.misplaced] == ["portrait.png"]
    assert len(folder.left_out) == 6
    assert folder.leftovers == 5
    with pytest.raises(InputError, match=r"portrait\.png: expected .*<identity>/<camera>/<image>"):
        read_folder(everyday)


def test_one_wrong_file_changes_nothing_for_the_others(tmp_path: Path) -> None:
    for person in range(30):
        (tmp_path / f"p{person:02d}" / "door").mkdir(parents=True)
        (tmp_path / f"p{person:02d}" / "door" / "a.png").write_bytes(picture())
    before = list_crops(tmp_path)
    assert before.left_out == []
    (tmp_path / "p15" / "door" / "a0.png").write_bytes(b"torn")
    after = list_crops(tmp_path)
    assert after.crops == before.crops
    assert [file.path.name for file in after.left_out] == ["a0.png"]
    assert read_folder(tmp_path) == before.crops


def test_a_folder_without_a_crop_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no images; expected <identity>/<camera>/<image>$"):
        list_crops(tmp_path)
    (tmp_path / "tour.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    with pytest.raises(InputError, match=r"no images.*tour\.mp4: not an image but a video"):
        list_crops(tmp_path)
    (tmp_path / "a.png").write_bytes(picture())
    with pytest.raises(InputError, match=r"a\.png: expected .*<identity>/<camera>/<image>"):
        list_crops(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        list_crops(tmp_path / "none")
