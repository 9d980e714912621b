"""Files of people's data are their owner's alone, whatever the umask: one helper makes them."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airreid.disk import make_private, open_private, private_folder, read_regular

ROOT = Path(__file__).resolve().parents[2]
BARE = re.compile(
    r"""\.mkdir\(|\.touch\(|write_text\(|write_bytes\(|copyfile\(|os\.open\([^)]*O_CREAT|np\.save\((?!file)"""
    r"""|\.open\(["'][wax]"""
)
"""Ways to make a file or folder that leave its rights to the umask."""


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_umask_makes_no_difference(umask: int, tmp_path: Path) -> None:
    private_folder(tmp_path / "a" / "b")
    assert {rights(tmp_path / name) for name in ("a", "a/b")} == {0o700}
    with open_private(tmp_path / "file") as file:
        file.write(b"x")
    make_private(tmp_path / "empty")
    assert {rights(tmp_path / name) for name in ("file", "empty")} == {0o600}


def test_a_file_that_others_could_read_is_theirs_no_more(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("x")
    old.chmod(0o644)
    with open_private(old, "a") as file:
        file.write("y")
    assert (rights(old), old.read_text()) == (0o600, "xy")
    old.chmod(0o666)
    make_private(old)
    assert (rights(old), old.read_text()) == (0o600, "xy")


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o750)
    private_folder(shared / "own")
    assert (rights(shared), rights(shared / "own")) == (0o750, 0o700)


@pytest.mark.parametrize("package", ["accesspoint", "edge"])
def test_nothing_else_makes_files_where_people_are_kept(package: str) -> None:
    allowed = {"edge/printing.py"}  # the folder of a picture, where the user says
    for path in sorted((ROOT / package).rglob("*.py")):
        name = str(path.relative_to(ROOT))
        bare = BARE.findall(path.read_text(encoding="utf-8"))
        assert not bare or name in allowed, f"{name}: {bare}; use airreid.disk"


def test_only_files_are_read_and_no_more_than_they_may_have(tmp_path: Path) -> None:
    file, pipe, link = tmp_path / "file", tmp_path / "pipe", tmp_path / "link"
    file.write_bytes(b"four")
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    assert read_regular(file, 4) == b"four"
    for path, most, reason in ((file, 3, "Over 3 bytes"), (pipe, 9, "Not a"), (link, 9, "Not a")):
        with pytest.raises(OSError, match=reason):
            read_regular(path, most)


def test_a_pipe_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    pipe, errors = tmp_path / "pipe", list[OSError]()
    os.mkfifo(pipe)

    def write() -> None:
        try:
            open_private(pipe)
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    thread.join(60)
    assert len(errors) == 1
