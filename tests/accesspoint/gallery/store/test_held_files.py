"""Files that are removed or replaced while they are served: noticed, refused, told."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from accesspoint.errors import NotReadyError, StorageError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.store.database import Database
from accesspoint.gallery.store.store import Store
from airreid.errors import InputError

from ..short_features import Opener, nearest, new, vector

ROOT = Path(__file__).resolve().parents[4]
FILES = ("gallery.sqlite", "gallery.lock", "gallery.sqlite-wal", "gallery.sqlite-shm")


def remove(path: Path) -> None:
    path.rename(path.with_name("away"))


def replace(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    remove(path)
    copy.rename(path)


def truth(gallery: Gallery) -> str:
    """Asks anew, whatever was known of the files a moment ago."""
    gallery.store.database._looked_at = 0.0
    return gallery.not_ready


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", [remove, replace])
def test_nothing_is_acknowledged_into_a_file_that_is_gone(
    store: Store, opened: Opener, name: str, change: Callable[[Path], None]
) -> None:
    gallery = opened("one")
    [first] = gallery.enrol([new("ada", 1)])
    path = store.path.with_name(name)
    change(path)
    assert f"{name} was {change.__name__}d while it was served" in truth(gallery)
    assert not gallery.ready
    for call in (
        lambda: gallery.enrol([new("bob", 2)]),
        lambda: gallery.delete_entries([first]),
        lambda: gallery.delete_subject("ada"),
        lambda: gallery.subjects.put("eve"),
        lambda: gallery.set_setting("key", "text"),
        lambda: gallery.search("features", vector(1)[None], 1, 1),
    ):
        with pytest.raises(StorageError, match=name):
            call()
    path.with_name("away").replace(path)  # it is put back
    assert truth(gallery) == ""
    assert nearest(gallery, 1) == ("ada", first)
    assert gallery.counts() == (1, 1)
    gallery.enrol([new("bob", 2)])


def test_a_change_under_way_when_the_file_goes_is_refused(store: Store, opened: Opener) -> None:
    opened("one").enrol([new("ada", 1)])

    def removed_within() -> None:
        with store.database.writing() as db:
            db.execute("DELETE FROM subjects")
            remove(store.path)

    with pytest.raises(StorageError, match="was removed"):
        removed_within()
    store.path.with_name("away").rename(store.path)
    assert store.counts() == (1, 1)


def test_no_second_one_starts_though_the_lock_is_gone(store: Store) -> None:
    store.path.with_suffix(".lock").unlink()
    script = (
        "import sys; from pathlib import Path\n"
        "from accesspoint.gallery.store.store import Store\n"
        "from airreid.errors import InputError\n"
        "try: Store(Path(sys.argv[1]))\n"
        "except InputError as error: print(error)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(store.path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert "in use by another access point" in ended.stdout, ended.stderr


@pytest.mark.parametrize("empty", [False, True])
def test_no_gallery_of_nobody_is_made_beside_a_full_index(
    store: Store, opened: Opener, empty: bool
) -> None:
    gallery = opened("one")
    gallery.enrol([new("ada", 1)])
    nearest(gallery, 1)
    opened("one")  # the index is written on the way
    store.close()
    whole = store.path.read_bytes()
    store.path.unlink()
    if empty:
        store.path.touch()
    with pytest.raises(InputError, match="is gone, or empty, and index beside it"):
        Database(store.path)
    assert not store.path.exists() or not store.path.stat().st_size
    store.path.write_bytes(whole)
    Database(store.path).close()
    store.path.unlink()
    shutil.rmtree(store.path.parent / "index")  # the way out that the message names
    Database(store.path).close()


def test_no_gallery_is_made_over_the_log_of_one(tmp_path: Path) -> None:
    (tmp_path / "gallery.sqlite-wal").write_bytes(b"frames")
    with pytest.raises(InputError, match=r"gallery\.sqlite-wal beside it"):
        Database(tmp_path / "gallery.sqlite")
    assert (tmp_path / "gallery.sqlite-wal").read_bytes() == b"frames"


def test_the_files_are_let_go_on_closing_and_on_failing(tmp_path: Path) -> None:
    path = tmp_path / "gallery.sqlite"
    before = len(list(Path("/proc/self/fd").iterdir()))
    Database(path).close()
    path.write_bytes(b"not a database, and long enough to be looked at as one" * 20)
    for _ in range(3):
        with pytest.raises(InputError, match="cannot be used as a gallery"):
            Database(path)
    path.unlink()
    Database(path).close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_is_not_loaded_is_not_ready_and_says_why(store: Store, opened: Opener) -> None:
    gallery = opened("one")
    assert gallery.not_ready == ""
    assert gallery.load_failure == ""
    gallery._loading._failure = InputError("the gallery is damaged (page 7)")
    assert gallery.not_ready == "the gallery could not be loaded (the gallery is damaged (page 7))"
    assert gallery.load_failure == "the gallery is damaged (page 7)"
    with pytest.raises(NotReadyError, match="page 7"):
        gallery.search("features", vector(1)[None], 1, 1)
    gallery._loading._failure = None


def others_take_the_whole_file(path: Path) -> bool:
    """Tells whether another process can make the file its own, as SQLite's locks forbid."""
    code = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], timeout=0)\n"
        "try: print(db.execute('PRAGMA journal_mode = DELETE').fetchone()[0])\n"
        "except sqlite3.OperationalError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ("delete", "database is locked")
    return done.stdout.strip() == "delete"


def test_a_proof_of_deletion_keeps_sqlites_locks(store: Store, opened: Opener) -> None:
    gallery = opened("one")
    ids = gallery.enrol([new("ada", 1), new("bob", 2)])
    gallery.delete_entries(ids[:1])
    assert not others_take_the_whole_file(store.path)
    report = gallery.maintenance.prove_deleted(ids[1:], [vector(2).tobytes()[:24]])
    assert (report.store, report.files) == (2, 1)  # it is there, and was read
    assert report.searched_bytes > store.path.stat().st_size / 2
    assert not others_take_the_whole_file(store.path)
    with store.path.open("rb"):  # what the proof must not do
        pass
    assert others_take_the_whole_file(store.path)


def test_want_of_descriptors_is_no_damage(store: Store, opened: Opener) -> None:
    gallery = opened("one")
    gallery.enrol([new("ada", 1)])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(StorageError, match="cannot be looked through now"):
            store.database.verdict()
        with pytest.raises(InputError, match="cannot be used as a gallery"):
            Database(store.path.with_name("other.sqlite"))
        assert nearest(gallery, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert store.database.verdict() == "ok"
    assert store.database.files_problem() == ""
