"""A full disk: nobody is enrolled, deletions go on, everybody is found, and it starts again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")
PRELUDE = """
import os, signal, sys
from pathlib import Path
import numpy as np
from accesspoint.errors import StorageError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store.store import Store
from accesspoint.gallery.store.disk_room import DiskRoom
from accesspoint.gallery.records import NewEntry
from airreid.bundle import Bundle, load_bundle

data = Path(sys.argv[1]) / "data"
bundle = load_bundle()
space, dim = bundle.backbone.space_id, bundle.backbone.feature_dim
rows = np.random.default_rng(1).standard_normal((400, dim)).astype(np.float32)

def fill(path):
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass

def finds(gallery, i):
    [result] = gallery.search("features", rows[i][None], 1, 1)
    return result.matches[0].subject if result.matches else None
"""
FILL = (
    PRELUDE
    + """
store = Store(data / "gallery.sqlite")
gallery = Gallery(store, bundle, threads=1, settings=GallerySettings(snapshots=False))
assert gallery.wait_ready(), gallery.not_ready
gallery.enrol([NewEntry(f"p{i}", "c", space, rows[i]) for i in range(300)])
fill(Path(sys.argv[1]) / "filler")
store.database._looked_at = 0
assert "free; nobody is enrolled" in gallery.not_ready, gallery.not_ready
assert not gallery.ready
for change in (lambda: gallery.enrol([NewEntry("new", "c", space, rows[399])]),
               lambda: gallery.subjects.put("new"),
               lambda: store.add_entries([NewEntry("new", "c", space, rows[399])])):
    try:
        change()
    except StorageError as error:
        assert "disk" in str(error), error
    else:
        raise AssertionError("it was acknowledged")
for i in range(0, 200):
    assert gallery.delete_subject(f"p{i}") == 1
assert [finds(gallery, i) for i in (250, 299)] == ["p250", "p299"]
assert finds(gallery, 7) != "p7"
assert gallery.counts() == (100, 100), gallery.counts()
fill(Path(sys.argv[1]) / "filler-2")
print("filled", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
)
AGAIN = (
    PRELUDE
    + """
read = Store(data / "gallery.sqlite", read_only=True)
gallery = Gallery(read, bundle, 1, GallerySettings(read_only=True))
assert gallery.wait_ready(), gallery.not_ready
assert gallery.counts() == (100, 100), gallery.counts()
assert finds(gallery, 250) == "p250"
gallery.close()
read.close()
filler = Path(sys.argv[1]) / "filler-2"
os.truncate(filler, filler.stat().st_size - (4 << 20))
store = Store(data / "gallery.sqlite")
gallery = Gallery(store, bundle, threads=1, settings=GallerySettings(snapshots=False))
assert not gallery.wait_ready()
assert "nobody is enrolled" in gallery.not_ready
assert gallery.delete_subject("p250") == 1
assert finds(gallery, 251) == "p251"
(Path(sys.argv[1]) / "filler").unlink()
store.database._looked_at = 0
assert gallery.ready, gallery.not_ready
gallery.close()
store.close()  # with its reserve again: full, killed and started
fill(Path(sys.argv[1]) / "filler")
store = Store(data / "gallery.sqlite")
gallery = Gallery(store, bundle, threads=1, settings=GallerySettings(snapshots=False))
gallery.wait_ready()
assert gallery.delete_subject("p252") == 1
(Path(sys.argv[1]) / "filler").unlink()
store.database._looked_at = 0
assert gallery.ready, gallery.not_ready
gallery.enrol([NewEntry("new", "c", space, rows[399])])
assert finds(gallery, 399) == "new"
assert (data / "reserve").stat().st_size == 16 << 20
gallery.close()
store.close()
print("again", flush=True)
"""
)


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    probe = ("mount", "-t", "tmpfs", "-o", "size=1m", "none", str(tmp_path))
    if shutil.which("unshare") is None or subprocess.run([*UNSHARE, *probe]).returncode:
        pytest.skip("no right to mount a small disk of its own")
    for name, script in (("fill.py", FILL), ("again.py", AGAIN)):
        (tmp_path / name).write_text(script)
    disk = tmp_path / "disk"
    disk.mkdir()
    commands = (
        f"mount -t tmpfs -o size=72m none {disk}",
        f"{sys.executable} {tmp_path}/fill.py {disk}",  # it ends by a kill
        f"{sys.executable} {tmp_path}/again.py {disk}",
    )
    ended = subprocess.run(
        [*UNSHARE, "sh", "-c", "; ".join(commands)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert ended.stdout.split() == ["filled", "again"], ended.stderr
