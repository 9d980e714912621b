"""Images of a set as one array on disk, decoded and resized once."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from airreid.datasets.samples import ImageSet, Sample
from airreid.disk import make_private, private_folder
from airreid.images import CROP_HEIGHT, CROP_WIDTH, to_crop
from airreid.worker_processes import worker_processes


def _decode(sample: Sample, height: int, width: int) -> np.ndarray:
    return to_crop(sample.load(), height, width)


def pixels(
    images: ImageSet,
    cache: Path,
    tick: Callable[[], object] = lambda: None,
    workers: int = 0,
    height: int = CROP_HEIGHT,
    width: int = CROP_WIDTH,
) -> np.ndarray:
    """Decodes the images, in order: uint8 (N, height, width, 3), memory-mapped from ``cache``.

    Networks that are trained here take 256 x 128, which is therefore the default. The file is
    named by the set's digest and another size, so a changed set gets another file; it is
    written beside and renamed, so a killed run leaves no half-filled one. ``workers``
    0 means one process per core.
    """
    size = "" if (height, width) == (CROP_HEIGHT, CROP_WIDTH) else f"-{height}x{width}"
    path = cache / f"pixels-{images.digest()}{size}.npy"
    if not path.exists():
        private_folder(cache)
        partial_path = path.with_suffix(f".{os.getpid()}.part")
        make_private(partial_path)
        shape = (len(images), height, width, 3)
        decode = partial(_decode, height=height, width=width)
        out = np.lib.format.open_memmap(partial_path, mode="w+", dtype=np.uint8, shape=shape)
        try:
            with worker_processes(workers) as pool:
                for i, image in enumerate(pool.map(decode, images.samples, chunksize=32)):
                    out[i] = image
                    tick()
            out.flush()
            partial_path.replace(path)
        finally:
            partial_path.unlink(missing_ok=True)
    loaded: np.ndarray = np.load(path, mmap_mode="r")
    return loaded
