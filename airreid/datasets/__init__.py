"""Person images: where they come from and how they are held."""

from airreid.datasets.dataset import DataSet
from airreid.datasets.open import open_data, open_splits
from airreid.datasets.reader import Boxes, Certainty, Reader, Recognition, Splits
from airreid.datasets.readers import register_reader

__all__ = [
    "Boxes",
    "Certainty",
    "DataSet",
    "Reader",
    "Recognition",
    "Splits",
    "open_data",
    "open_splits",
    "register_reader",
]
