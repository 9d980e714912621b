"""Configuration of the new protocol, ``cuhk03_new_protocol_config_{labeled,detected}.mat``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.errors import InputError

_HDF5_HEADER = b"MATLAB 7.3"
_PARTS = {"train": "train_idx", "query": "query_idx", "gallery": "gallery_idx"}


@dataclass(frozen=True)
class Config:
    """Subset of each picture."""

    path: Path
    files: tuple[str, ...]
    labels: tuple[int, ...]
    """Identity of each file, as the authors number them."""
    subsets: Mapping[str, tuple[int, ...]]
    """Positions in ``files``, from 0."""


def find_config(folder: Path, boxes: str) -> Config | None:
    """Reads the configuration of ``boxes`` in ``folder`` or the one above it; None without one."""
    name = f"cuhk03_new_protocol_config_{boxes}.mat"
    for place in (folder, folder.resolve().parent):
        if (place / name).is_file():
            return read_config(place / name)
    return None


def read_config(path: Path) -> Config:
    """Reads a configuration in MATLAB's format 5 or 7.3.

    Raises :class:`InputError` for a file that cannot be read, lacks a variable, or
    whose subsets point outside its list or overlap in identities.
    """
    try:
        with path.open("rb") as file:
            hdf5 = file.read(len(_HDF5_HEADER)) == _HDF5_HEADER
        raw = _read_hdf5(path) if hdf5 else _read_v5(path)
    except InputError:
        raise
    except KeyError as error:
        raise InputError(f"{path}: has no variable {error.args[0]}") from None
    except Exception as error:
        raise InputError(f"{path}: not a whole MATLAB file ({error}); copy it again") from None
    files, labels = tuple(raw["filelist"]), tuple(int(label) for label in raw["labels"])
    if len(files) != len(labels):
        raise InputError(f"{path}: {len(files)} files and {len(labels)} labels")
    subsets = {}
    for part, name in _PARTS.items():
        positions = [int(number) - 1 for number in raw[name]]
        if any(not 0 <= position < len(files) for position in positions):
            raise InputError(f"{path}: {name} points outside the list of {len(files)} files")
        subsets[part] = tuple(positions)
    learned = {labels[i] for i in subsets["train"]}
    if learned & {labels[i] for part in ("query", "gallery") for i in subsets[part]}:
        raise InputError(f"{path}: identities are in train and in query or gallery")
    return Config(path, files, labels, subsets)


def _read_v5(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    content = loadmat(str(path))
    names = [str(np.ravel(cell)[0]) for cell in np.ravel(content["filelist"])]
    numbers = {name: np.ravel(content[name]) for name in ("labels", *_PARTS.values())}
    return {"filelist": names, **numbers}


def _read_hdf5(path: Path) -> dict[str, Any]:
    import h5py

    with h5py.File(path, "r") as file:
        for name in ("filelist", "labels", *_PARTS.values()):
            if name not in file:
                raise KeyError(name)
        names = [_text(file[ref][()]) for ref in np.ravel(file["filelist"][()])]
        numbers = {name: np.ravel(file[name][()]) for name in ("labels", *_PARTS.values())}
    return {"filelist": names, **numbers}


def _text(codes: NDArray[np.generic]) -> str:
    return "".join(chr(int(code)) for code in np.ravel(codes))
