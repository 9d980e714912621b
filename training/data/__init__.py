"""Person images: where they come from and how they are held."""

from training.data.dataset import DataSet
from training.data.open import open_data

__all__ = ["DataSet", "open_data"]
