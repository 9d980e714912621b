"""One way in: a folder, a file or a word becomes a :class:`DataSet`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from airreid.errors import InputError
from training.data.dataset import DataSet
from training.data.folder import has_parts, open_folder, open_parts
from training.data.synthetic import open_synthetic

SYNTHETIC = "synthetic"
Boxes = Literal["labeled", "detected"]
"""How CUHK03's people were cut out: by hand or by a detector. Never mixed."""


def open_data(
    source: Path | str, protocol: str | None = None, boxes: Boxes | None = None
) -> DataSet:
    """The data set at ``source``, its form recognised, under ``protocol``.

    ``source``: a folder, CUHK03's ``.mat`` file, or ``synthetic``. ``protocol`` None
    means the data set's first one, ``boxes`` None the only ones that there are.
    Images are not read. Raises :class:`InputError` for a form that is not known and
    for a protocol or boxes that the source has not.
    """
    if str(source) == SYNTHETIC:
        return open_synthetic(protocol)
    path = Path(source)
    if not path.exists():
        raise InputError(f"{path}: no such folder or file")
    if has_parts(path):
        return open_parts(path, protocol)
    return open_folder(path, protocol)
