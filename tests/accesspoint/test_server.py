"""An access point that cannot serve its gallery: it says why, and what it reads it only reads."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from accesspoint import server
from accesspoint.api.auth import LOCAL
from accesspoint.assembly import access_point
from accesspoint.errors import ConflictError
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store.store import Store
from accesspoint.settings import ServeSettings
from airreid.bundle import Bundle
from airreid.errors import InputError

from .gallery.damage import damaged_file


def test_a_gallery_that_cannot_be_loaded_ends_the_process_with_the_reason(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A large file is read to its end in the background only, when the ports are open."""
    monkeypatch.setattr("accesspoint.gallery.store.database._CHECKED_AT_ONCE", 1)
    path = damaged_file(tmp_path)
    settings = ServeSettings(data_dir=tmp_path, grpc="127.0.0.1:0", http="127.0.0.1:0")
    with pytest.raises(InputError, match=r"could not be loaded .* damaged .* restore a backup"):
        asyncio.run(server.run(bundle, settings))
    with pytest.raises(InputError, match="damaged"):
        Store(path).database.check()


def test_read_only_serves_searches_and_refuses_every_change(bundle: Bundle, tmp_path: Path) -> None:
    rows = np.random.default_rng(1).standard_normal((3, 2048)).astype(np.float32)
    with access_point(bundle, ServeSettings(data_dir=tmp_path)) as services:
        services.gallery.wait_ready(30)
        writable = services.gallery.writable
        assert writable is not None
        writable.enrol([NewEntry("ada", "c", writable.space_id, row) for row in rows])
    read = ServeSettings(data_dir=tmp_path, gallery=GallerySettings(read_only=True))
    with access_point(bundle, read) as services:
        assert services.gallery.wait_ready(30), services.gallery.not_ready
        service = services.rest.service
        [result] = services.gallery.search("features", rows[:1], 1, 1)
        assert result.matches[0].subject == "ada"
        assert [entry.id for entry in service.entries("", "", 10, "")[0]] == [1, 2, 3]
        with pytest.raises(ConflictError, match="--read-only"):
            service.delete_subject(LOCAL, "ada")
        with pytest.raises(ConflictError, match="--read-only"):
            services.rest.search_service.set_policy(LOCAL, "{}", "")
    db = sqlite3.connect(tmp_path / "gallery.sqlite")
    assert db.execute("SELECT count(*) FROM entries").fetchone() == (3,)
    db.close()
