"""Reader of synthetic people, which a word stands for."""

from __future__ import annotations

from pathlib import Path

from airreid.datasets.dataset import DataSet
from airreid.datasets.reader import Boxes, Certainty, Reader, Recognition
from airreid.datasets.synthetic.population import open_synthetic

SYNTHETIC = "synthetic"


class SyntheticReader(Reader):
    """The word ``synthetic`` in place of a path."""

    name = "synthetic people"
    looks_for_files = False
    looks_for = f"the word {SYNTHETIC}"
    protocols = ("demo", "demo-N")

    def recognises(self, path: Path) -> Recognition:
        if str(path) == SYNTHETIC:
            return Recognition(Certainty.SURE, "the word itself")
        return Recognition(Certainty.NO, f"not the word {SYNTHETIC}")

    def open(self, path: Path, protocol: str | None, boxes: Boxes | None) -> DataSet:
        return open_synthetic(protocol)
