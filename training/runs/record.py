"""Record of a finished run: what an export needs beside the networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from airreid.disk import read_regular
from airreid.errors import InputError
from airreid.model_card import ModelCard
from airreid.validation import loaded
from training.runs.checkpoints import SavedScheme, weights_digest

RECORD = "run.json"
_BYTES_MAX = 16 * 1024 * 1024


class RunRecord(BaseModel):
    """Contents of ``run.json``."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Name of the recipe, and of the bundle unless another is given."""
    schemes: tuple[str, ...]
    """Ids of the schemes that the run ends with, in the order of a bundle."""
    codec_images: int
    """Images whose features the schemes were trained on."""
    weights: dict[str, str] = {}
    """Scheme id to the digest of its network's weights."""
    provenance: ModelCard
    bundle: str | None = None
    """Id of the bundle in the run's folder, once it is whole."""

    def same_weights(self, schemes: list[SavedScheme]) -> bool:
        """Whether the record is of networks with these weights."""
        return self.weights == digests_of(schemes)


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and its record."""

    out: Path
    record: RunRecord


def digests_of(schemes: list[SavedScheme]) -> dict[str, str]:
    """Scheme id to the digest of its network's weights."""
    return {scheme.id: weights_digest(scheme.weights) for scheme in schemes}


def open_run(out: Path) -> Run:
    """Opens a finished run. Raises :class:`InputError` for a folder that holds none."""
    path = out / RECORD
    try:
        text = read_regular(path, _BYTES_MAX)
    except OSError:
        state = "is not finished: give 'airreid train run' the same --out again"
        begun = (out / "recipe.json").exists()
        raise InputError(f"{out}: {state if begun else 'holds no run'}") from None
    way_out = "it is damaged: delete it and run the recipe again"
    return Run(out, loaded(RunRecord, text, path, way_out=way_out, error=InputError))


def save_record(out: Path, record: RunRecord) -> None:
    """Writes the record into the run's folder."""
    (out / RECORD).write_text(record.model_dump_json(indent=2), encoding="utf-8")
