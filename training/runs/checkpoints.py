"""What a run has trained, as files from which a bundle can be made at any time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from airreid.errors import InputError
from airreid.scheme_kinds import kind_of
from training.export.heads import space_id
from training.models.backbone import Backbone, Sized
from training.models.codec import Codec
from training.models.digital import Digital
from training.runs import atomic_file as checkpoint

Weights = dict[str, Any]


@dataclass(frozen=True)
class SavedBackbone:
    """A trained backbone."""

    stem: str
    """Names its files: ``backbone``, or the id of the scheme that it belongs to."""
    settings: dict[str, Any]
    weights: Weights
    size: tuple[int, int]
    """Height and width of the images that it was trained on last."""
    origin: str
    """Where its initial weights came from."""
    seconds: float
    """Spent training it."""
    classifier: Weights | None = None

    def network(self) -> Backbone:
        """In evaluation mode, for images of its size."""
        made = Backbone(**self.settings)
        made.load_state_dict(self.weights)
        return made.eval()

    def shipped(self) -> nn.Module:
        """In evaluation mode, for crops of 256 x 128."""
        network = self.network()
        return network if self.size == (256, 128) else Sized(network, *self.size).eval()

    @property
    def space(self) -> str:
        """The id of its feature space."""
        own = dict(self.weights)
        if self.size != (256, 128):
            own["size"] = torch.tensor(self.size)
        return space_id(own)

    @property
    def dim(self) -> int:
        return Backbone(**self.settings).dim


@dataclass(frozen=True)
class SavedScheme:
    """A trained scheme."""

    id: str
    backbone: str
    """Stem of the backbone that it works on."""
    settings: dict[str, Any]
    """What its network is made with."""
    weights: Weights
    snr_db_train: tuple[float, float]
    crc_bits: int = 11
    payload_sizes: int = 4
    step: str = ""
    """Kind of the step that trained it."""

    def codec(self) -> Codec:
        made = Codec(**self.settings)
        made.load_state_dict(self.weights)
        return made.eval()

    def digital(self) -> Digital:
        made = Digital(**self.settings)
        made.load_state_dict(self.weights)
        return made.eval()

    @property
    def is_digital(self) -> bool:
        return kind_of(self.id) == "digital"


def backbone_path(out: Path, stem: str) -> Path:
    return out / "models" / f"{stem}.backbone.pt"


def scheme_path(out: Path, scheme_id: str, step: str = "") -> Path:
    """``step`` sets apart what a step leaves for a joint step to go on with."""
    return out / "models" / f"{scheme_id}{'.' + step if step else ''}.scheme.pt"


def save(path: Path, what: SavedBackbone | SavedScheme) -> None:
    """Raises :class:`InputError` when it cannot be written."""
    checkpoint.save(path, asdict(what))


def load_backbone(path: Path) -> SavedBackbone:
    """Raises :class:`InputError` for a file that is no backbone."""
    state = checkpoint.load(path)
    try:
        return SavedBackbone(**{**state, "size": tuple(state["size"])})
    except (TypeError, KeyError):
        raise InputError(f"{path}: not a trained backbone") from None


def load_scheme(path: Path) -> SavedScheme:
    """Raises :class:`InputError` for a file that is no scheme."""
    state = checkpoint.load(path)
    try:
        return SavedScheme(**{**state, "snr_db_train": tuple(state["snr_db_train"])})
    except (TypeError, KeyError):
        raise InputError(f"{path}: not a trained scheme") from None
