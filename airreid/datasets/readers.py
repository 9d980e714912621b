"""Readers of all forms of data sets, the project's own and those of other packages."""

from __future__ import annotations

from airreid.datasets.bounding_boxes import BoundingBoxReader, Cuhk03NpReader, Market1501Reader
from airreid.datasets.camera_pair import CameraPairReader
from airreid.datasets.cuhk03 import Cuhk03FilesReader
from airreid.datasets.cuhk03_mat import Cuhk03MatReader
from airreid.datasets.folder import FolderReader, SplitFolderReader
from airreid.datasets.mixed import MixedReader
from airreid.datasets.msmt17 import Msmt17Reader
from airreid.datasets.reader import Reader
from airreid.datasets.synthetic.reader import SyntheticReader
from airreid.datasets.tracks import TrackReader
from airreid.registry import Registry

READERS: Registry[Reader] = Registry("data set reader")
"""Readers by name. Of readers that are equally sure, the one registered first is taken."""


def register_reader(reader: Reader) -> Reader:
    """Adds a reader and returns it. Raises :class:`ValueError` for a name that is taken."""
    return READERS.register(reader.name, reader)


for _reader in (
    SyntheticReader(),
    Cuhk03MatReader(),
    Market1501Reader(),
    Cuhk03NpReader(),
    BoundingBoxReader(),
    Msmt17Reader(),
    Cuhk03FilesReader(),
    CameraPairReader(),
    SplitFolderReader(),
    MixedReader(),
    TrackReader(),
    FolderReader(),
):
    register_reader(_reader)
