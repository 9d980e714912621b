"""Person images: where they come from and how they are held."""

from airreid.datasets.dataset import DataSet
from airreid.datasets.open import open_data

__all__ = ["DataSet", "open_data"]
