"""A watched folder's files, and the names that they get when they are moved."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airreid.errors import InputError
from edge.folder import WatchedFolder


@pytest.fixture
def watched(tmp_path: Path):  # type: ignore[no-untyped-def]
    folder = WatchedFolder(tmp_path)
    yield folder
    folder.close()


def put(folder: WatchedFolder, name: str, text: str = "x") -> None:
    (folder.path / name).write_text(text)


def test_plain_files_alone_are_seen(watched: WatchedFolder, tmp_path: Path) -> None:
    put(watched, "a.png", "1234")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert [(name, stat.st_size) for name, stat in watched.files()] == [("a.png", 4)]
    assert {name: what.split(";")[0] for name, what in watched.passed_over.items()} == {
        "folder.png": "a folder",
        "link.png": "a link, which is not followed",
        "pipe.png": "a pipe or a device",
    }
    assert (tmp_path / "done").is_dir()
    assert (tmp_path / "rejected").is_dir()


def test_a_name_that_is_taken_gets_the_mark(watched: WatchedFolder, tmp_path: Path) -> None:
    for text, mark, name in (("1", "~1", "a.png"), ("2", "~2", "a~2.png"), ("3", "", "a.png")):
        put(watched, "a.png", text)
        assert watched.move("a.png", "done", mark) == tmp_path / "done" / name
        assert (tmp_path / "done" / name).read_text() == text
    assert watched.move("gone.png", "done", "") == tmp_path / "done" / "gone.png"
    (tmp_path / "done" / "a.png").unlink()
    watched.delete("a.png")  # it is not there, which is no error
    put(watched, "b.png")
    watched.delete("b.png")
    assert list(watched.files()) == []
    watched.sync()


def test_a_rejected_file_has_its_reason_beside_it(watched: WatchedFolder, tmp_path: Path) -> None:
    for text, name in (("1", "a.png"), ("2", "a~1.png"), ("3", "a~2.png")):
        put(watched, "a.png", text)
        assert watched.reject("a.png", f"reason {text}") == tmp_path / "rejected" / name
        assert (tmp_path / "rejected" / name).read_text() == text
        assert (tmp_path / "rejected" / f"{name}.reason").read_text() == f"reason {text}\n"


def test_long_names_are_cut_to_200_bytes_before_their_suffix(
    watched: WatchedFolder, tmp_path: Path
) -> None:
    exact, longer = "n" * 196 + ".png", "n" * 210 + ".png"
    for name in (exact, longer):
        put(watched, name)
    assert watched.move(exact, "done", "").name == exact
    assert watched.move(longer, "done", "").name == "n" * 200 + ".png"
    put(watched, "n" * 197 + ".png")  # 201 bytes: what stays of the stem is shorter than 200
    assert watched.move("n" * 197 + ".png", "done", "").name == "n" * 197 + ".png"


def test_a_name_that_is_all_suffix_is_cut_too(watched: WatchedFolder, tmp_path: Path) -> None:
    name = "a." + "s" * 253
    for text in ("1", "2"):
        put(watched, name, text)
        target = watched.reject(name, "no image")
        assert target.read_text() == text
        assert target.with_name(target.name + ".reason").exists()
    assert len(list((tmp_path / "rejected").iterdir())) == 4


def test_a_folder_is_held_until_it_is_closed(watched: WatchedFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="watched by another edge"):
        WatchedFolder(tmp_path)
    watched.reopen()  # the same one: nothing happens
    watched.close()
    watched.close()
    WatchedFolder(tmp_path).close()
    with pytest.raises(InputError, match="no such folder; make it, or mend --watch"):
        WatchedFolder(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be watched"):
        WatchedFolder(tmp_path / "file")


def test_a_folder_that_was_replaced_is_taken_hold_of_anew(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.mkdir()
    folder = WatchedFolder(path)
    path.rename(tmp_path / "old")
    with pytest.raises(FileNotFoundError):
        folder.reopen()
    path.mkdir()
    folder.reopen()
    assert (path / "done").is_dir()
    with pytest.raises(InputError, match="watched by another edge"):
        WatchedFolder(path)
    WatchedFolder(tmp_path / "old").close()
    folder.close()
