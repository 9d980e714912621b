"""Image files read and cut to the network's size by a thread that is a few files ahead."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from airreid.errors import InputError
from airreid.images import load

AHEAD = 4
"""Files read before they are asked for. Only one whole image is in memory at a time."""
Cut = Callable[[Image.Image], NDArray[np.uint8]]
"""Resizes an image to what the network takes: uint8 (height, width, 3) RGB."""


@dataclass(frozen=True)
class Crop:
    """A file's image at the network's size, or what is wrong with the file."""

    path: Path
    image: Image.Image | None
    error: str
    seconds: float
    """Time to read, decode and resize it."""


def read_crop(path: Path, cut: Cut) -> Crop:
    """Reads one file; any :class:`InputError` becomes its ``error``."""
    started = time.perf_counter()
    try:
        image, error = Image.fromarray(cut(load(path))), ""
    except InputError as wrong:
        image, error = None, str(wrong)
    return Crop(path, image, error, time.perf_counter() - started)


def read_ahead(paths: Sequence[Path], cut: Cut) -> Generator[Crop]:
    """Yields the files in order; the next ones are read while the caller is busy with one.

    Close it (or let it go) to end the reading early.
    """
    waiting: deque[Future[Crop]] = deque()
    rest = iter(paths)
    with ThreadPoolExecutor(1, "reader") as reader:
        try:
            for path in rest:
                waiting.append(reader.submit(read_crop, path, cut))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
