"""One wrong file of each kind among crops: what somebody's copy, phone or archive leaves there."""

from __future__ import annotations

import io
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image

FRAMES = [Image.frombytes("L", (64, 128), random.Random(n).randbytes(64 * 128)) for n in (1, 2)]


def _truncated_jpeg(path: Path) -> None:
    buffer = io.BytesIO()
    FRAMES[0].save(buffer, "JPEG")
    path.write_bytes(buffer.getvalue()[: buffer.tell() // 2])


def _animated_gif(path: Path) -> None:
    FRAMES[0].save(path, save_all=True, append_images=FRAMES[1:])


KINDS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "text": ("notes.txt", lambda path: path.write_text("seen at ten")),
    "truncated JPEG": ("a.jpg", _truncated_jpeg),
    "animated GIF": ("a.gif", _animated_gif),
    "hidden leftover": ("._a.jpg", lambda path: path.write_bytes(b"\x00\x05\x16\x07" + bytes(50))),
    "empty": ("a.jpg", lambda path: path.touch()),
    "link to nowhere": ("a.jpg", lambda path: path.symlink_to("/nowhere/a.jpg")),
    "folder": ("a.jpg", lambda path: path.mkdir()),
}
"""By what it is: its name, and what puts it there."""
LEFTOVER = "hidden leftover"
NO_FAULTS = (LEFTOVER, "text")
"""Kinds that are plainly no pictures: named or counted, and nobody's fault."""


def beside(folder: Path, kind: str, base: Path) -> tuple[Path, Path]:
    """Copies a folder of crops into ``base``, and a second time with one wrong file in it.

    Returns both folders, of the same name, as what is measured may say its folder's.
    """
    clean, spoilt = base / "clean" / folder.name, base / "spoilt" / folder.name
    for copy in (clean, spoilt):
        shutil.copytree(folder, copy)
    name, put = KINDS[kind]
    crops = sorted(spoilt.rglob("*.png"))
    put(crops[len(crops) // 2].parent / name)
    return clean, spoilt
