"""Everything in a data folder is its owner's alone, even where the umask forbids nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from accesspoint.api.audit import Audit
from accesspoint.api.auth import LOCAL
from accesspoint.api.jobs import JobKind, Jobs
from accesspoint.api.tokens import Scope, TokenFile
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.maintenance.backup import restore
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle


def test_a_data_folder_with_everything_in_it(bundle: Bundle, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        data = tmp_path / "new" / "data"
        _fill(data, bundle)
        restore(data / "copy.sqlite", tmp_path / "restored")
        Audit(tmp_path / "restored").record(LOCAL, "restore")
    finally:
        os.umask(before)
    names = set()
    for folder in (tmp_path / "new", tmp_path / "restored"):
        for path in (folder, *folder.rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path
            names.add(path.name)
    wanted = {"gallery.sqlite", "gallery.lock", "jobs.json", "tokens.json", "audit.jsonl"}
    assert wanted | {"everybody.zip", "copy.sqlite", "index", "manifest.json"} <= names


def _fill(data: Path, bundle: Bundle) -> None:
    store = Store(data / "gallery.sqlite")
    gallery = Gallery(store, bundle, threads=1)
    space, dim = bundle.backbone.space_id, bundle.backbone.feature_dim
    features = np.random.default_rng(0).standard_normal((3, dim)).astype(np.float32)
    gallery.enrol([NewEntry("ada", "cam", space, row) for row in features])
    gallery.search("features", features, 1, 1)
    gallery.maintenance.backup(data / "copy.sqlite")
    gallery.maintenance.export_archive(data / "everybody.zip")
    assert all(path.stat().st_mode & 0o077 == 0 for path in data.glob("gallery.sqlite*"))
    audit = Audit(data)
    TokenFile(data).add("ops", [Scope.ADMIN])
    jobs = Jobs(data, {"nothing": JobKind(run=lambda who, parameters, tick: {})}, audit)
    jobs.start(LOCAL, "nothing", {})
    jobs.close()
    gallery.close()
    store.close()
