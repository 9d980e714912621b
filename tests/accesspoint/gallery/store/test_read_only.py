"""A gallery that is only read: every file stays as it is, and no room is needed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from accesspoint.errors import ConflictError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle
from airreid.errors import InputError

from ..damage import flip
from ..short_features import DIM, Opener, nearest, new

ROOT = Path(__file__).resolve().parents[4]
READ = GallerySettings(read_only=True)


def fingerprints(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def tiny(bundle: Bundle) -> Bundle:
    backbone = bundle.backbone.model_copy(update={"space_id": "one", "feature_dim": DIM})
    manifest = bundle.manifest.model_copy(update={"backbones": (backbone,)})
    return Bundle(bundle.path, manifest, "tiny")


def filled(store: Store, opened: Opener) -> None:
    gallery = opened("one")
    gallery.enrol([new(f"p{i}", i, expires_at=9e9) for i in range(5)])
    nearest(gallery, 1)
    opened("one")


KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.store.store import Store
store = Store(Path(sys.argv[1]))
rng = np.random.default_rng(1003)
rows = rng.standard_normal((40, 16)).astype(np.float32)
store.add_entries([NewEntry("late", "c1", "one", row) for row in rows])
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("killed", [False, True])
def test_everything_is_served_and_nothing_is_written(
    store: Store, opened: Opener, bundle: Bundle, killed: bool
) -> None:
    filled(store, opened)
    store.close()
    if killed:  # what it had enrolled is in the write-ahead log alone
        subprocess.run([sys.executable, "-c", KILLED, str(store.path)], cwd=ROOT, check=False)
        assert store.path.with_name("gallery.sqlite-wal").stat().st_size
    before = fingerprints(store.path.parent)
    read = Store(store.path, read_only=True)
    gallery = Gallery(read, tiny(bundle), threads=1, settings=READ)
    assert gallery.wait_ready(), gallery.not_ready
    for i in range(5):
        assert nearest(gallery, i)[0] == f"p{i}"
    assert gallery.counts() == ((6, 45) if killed else (5, 5))
    refused: list[Callable[[], object]] = [
        lambda: gallery.enrol([new("x", 9)]),
        lambda: gallery.delete_entries([1]),
        lambda: gallery.delete_subject("p1"),
        lambda: gallery.merge_subjects("p1", "p2"),
        lambda: gallery.subjects.put("x"),
        lambda: gallery.subjects.patch("p1", note="x"),
        lambda: gallery.set_setting("match_policy", "{}"),
        lambda: gallery.maintenance.expire_due(1e10),
    ]
    for call in refused:
        with pytest.raises(ConflictError, match="only reads its gallery"):
            call()
    assert nearest(gallery, 1)[0] == "p1"
    gallery.maintenance.run_now()
    gallery.close()
    read.close()
    assert fingerprints(store.path.parent) == before


def test_damage_is_kept_from_answers_though_it_cannot_be_noted(
    store: Store, opened: Opener, bundle: Bundle
) -> None:
    filled(store, opened)
    flip(store.path, 2, 5)
    store.close()
    for path in (store.path.parent / "index").rglob("*.segment"):
        path.unlink()
    read = Store(store.path, read_only=True)
    gallery = Gallery(read, tiny(bundle), threads=1, settings=READ)
    gallery.wait_ready()
    assert nearest(gallery, 2 + 1)[0] == "p3"
    assert 2 in read.quarantine
    gallery.close()
    read.close()


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no gallery there to read"):
        Store(tmp_path / "none" / "gallery.sqlite", read_only=True)
    assert not list(tmp_path.iterdir())


def test_one_that_reads_and_one_that_writes_do_not_meet(store: Store) -> None:
    with pytest.raises(InputError, match="in use by another access point"):
        Store(store.path, read_only=True)
