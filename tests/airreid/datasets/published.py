"""Small data sets in the forms that others have published theirs in; random pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from PIL import Image

PEOPLE = (4, 3, 1, 1, 1)
"""Number of people of each camera pair."""


def picture(rng: np.random.Generator, height: int = 20, width: int = 10) -> np.ndarray:
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def cells(empty: set[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """(pair, person, cell), all from 0, of every picture that there is."""
    for pair, people in enumerate(PEOPLE):
        for person in range(people):
            for cell in range(10):
                if (pair, person, cell) not in empty:
                    yield pair, person, cell


def cuhk03_mat(
    path: Path, empty: set[tuple[int, int, int]], tests: list[list[tuple[int, int]]]
) -> dict[str, np.ndarray]:
    """A file of the original's structure, as MATLAB writes it: arrays transposed, cells as
    references, an empty cell as its dimensions. Returns the labeled pictures by file name."""
    rng = np.random.default_rng(0)
    shown = {}
    with h5py.File(path, "w") as file:
        refs = file.create_group("#refs#")
        number = iter(range(10**6))

        def stored(values: np.ndarray) -> h5py.Reference:
            return refs.create_dataset(f"r{next(number)}", data=values).ref

        nothing = refs.create_dataset("nothing", data=np.zeros(2, np.uint64))
        nothing.attrs["MATLAB_empty"] = 1
        for boxes in ("labeled", "detected"):
            pairs = []
            for pair, people in enumerate(PEOPLE):
                grid = np.empty((10, people), dtype=h5py.ref_dtype)
                grid[:] = nothing.ref
                for p, person, cell in cells(empty):
                    if p == pair:
                        pixels = picture(rng, 20 + cell)
                        grid[cell, person] = stored(pixels.T)
                        if boxes == "labeled":
                            view = 1 if cell < 5 else 2
                            shown[f"{p + 1}_{person + 1:03d}_{view}_{cell + 1:02d}.png"] = pixels
                people_set = refs.create_dataset(f"{boxes}-{pair}", data=grid, dtype=h5py.ref_dtype)
                pairs.append(people_set.ref)
            outer = np.empty((1, 5), dtype=h5py.ref_dtype)
            outer[0] = pairs
            file.create_dataset(boxes, data=outer, dtype=h5py.ref_dtype)
        splits = np.empty((1, len(tests)), dtype=h5py.ref_dtype)
        splits[0] = [stored(np.asarray(test, np.float64).T) for test in tests]
        file.create_dataset("testsets", data=splits, dtype=h5py.ref_dtype)
    return shown


def config_v5(path: Path, files: list[str], labels: list[int], parts: dict[str, list[int]]) -> None:
    """The new protocol's configuration in MATLAB 5; ``parts`` hold positions from 1."""
    names = np.empty((len(files), 1), dtype=object)
    names[:, 0] = files
    content = {
        "filelist": names,
        "labels": np.asarray(labels, np.float64)[:, None],
        "camId": np.asarray([int(name.split("_")[2]) for name in files])[:, None],
        **{f"{part}_idx": np.asarray(positions)[None] for part, positions in parts.items()},
    }
    scipy.io.savemat(path, content)


def config_hdf5(
    path: Path, files: list[str], labels: list[int], parts: dict[str, list[int]]
) -> None:
    """The same in MATLAB 7.3."""
    with h5py.File(path, "w", userblock_size=512) as file:
        refs = file.create_group("#refs#")
        names = np.empty((1, len(files)), dtype=h5py.ref_dtype)
        for i, name in enumerate(files):
            codes = np.frombuffer(name.encode("utf-16-le"), np.uint16)[:, None]
            names[0, i] = refs.create_dataset(str(i), data=codes).ref
        file.create_dataset("filelist", data=names, dtype=h5py.ref_dtype)
        file.create_dataset("labels", data=np.asarray([labels], np.float64))
        for part, positions in parts.items():
            file.create_dataset(f"{part}_idx", data=np.asarray(positions, np.float64)[:, None])
    head = path.read_bytes()
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512, b" ") + head[512:])
