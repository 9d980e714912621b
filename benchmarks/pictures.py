"""Pictures for the benchmarks: synthetic people, as a camera's files."""

from __future__ import annotations

import io

from airreid.datasets.synthetic.cameras import render

_PICTURES, _SEED = 16, 77


def jpegs() -> list[bytes]:
    """Renders JPEG files of different people."""
    files = []
    for number in range(_PICTURES):
        file = io.BytesIO()
        render(_SEED, number, 0, 0).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files
