"""The folder of a run: one run at a time, and no images that are read beside its results."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from airreid.errors import InputError
from airreid.picture_files import is_leftover

_LOCK = ".lock"


def check_outside(out: Path, sources: Sequence[Path]) -> None:
    """Raises :class:`InputError` for a run within a folder of images.

    The pictures of its report would be read as crops when the run goes on.
    """
    place = out.resolve()
    for source in sources:
        folder = source.resolve()
        inside = folder.is_dir() and place.is_relative_to(folder)
        if inside and not is_leftover(place.relative_to(folder)):
            raise InputError(
                f"--out {out}: lies in the images of {source}; give a folder elsewhere"
            )


@contextmanager
def held(out: Path, *, wait: bool = False) -> Iterator[None]:
    """Makes a run's folder and keeps other processes out of it.

    Where another run is at work, ``wait`` waits for its end; without it, raises
    :class:`InputError`. The lock ends with the process, and processes that it starts do not have
    it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / _LOCK).open("w", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise InputError(
                f"{out}: another run is at work there; wait for it, or give another --out"
            ) from None
        yield
