"""The files are those that the earlier code wrote; a rename or a new export must spare them."""

from __future__ import annotations

import hashlib

from .support import FILES


def test_nobody_has_touched_them() -> None:
    folder = FILES.parent
    lines = (folder / "files.sha256").read_text(encoding="ascii").splitlines()
    listed = dict(reversed(line.split("  ")) for line in lines)
    paths = [*(path for path in FILES.rglob("*") if path.is_file()), folder / "make_files.py.txt"]
    actual = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }
    assert actual == listed
