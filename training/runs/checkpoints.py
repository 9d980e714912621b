"""Networks that a run has trained, as files from which a bundle can be made at any time."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from airreid.digital.crc import CrcBits
from airreid.errors import InputError
from airreid.scheme_kinds import kind_of
from airreid.validation import first_complaint
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
        backbone = Backbone(**self.settings)
        backbone.load_state_dict(self.weights)
        return backbone.eval()

    def shipped(self) -> nn.Module:
        """In evaluation mode, for crops of 256 x 128."""
        network = self.network()
        return network if self.size == (256, 128) else Sized(network, *self.size).eval()

    @property
    def space(self) -> str:
        """The id of its feature space."""
        state = dict(self.weights)
        if self.size != (256, 128):
            state["size"] = torch.tensor(self.size)
        return weights_digest(state)

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
    crc_bits: CrcBits = 11
    payload_sizes: int = 4
    step: str = ""
    """Kind of the step that trained it."""
    rate_lambda: float | None = None
    """The paper's λ of a digital scheme; None in files of before it was kept here."""

    def codec(self) -> Codec:
        """The JSCC network, in evaluation mode."""
        codec = Codec(**self.settings)
        codec.load_state_dict(self.weights)
        return codec.eval()

    def digital(self) -> Digital:
        """The digital head and its prior, in evaluation mode."""
        model = Digital(**self.settings)
        model.load_state_dict(self.weights)
        return model.eval()

    @property
    def is_digital(self) -> bool:
        return kind_of(self.id) == "digital"


def weights_digest(state: Weights) -> str:
    """16 hex digits over a network's weights; a backbone's name its feature space."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


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
    return _loaded(path, SavedBackbone, "not a trained backbone")


def load_scheme(path: Path) -> SavedScheme:
    """Raises :class:`InputError` for a file that is no scheme."""
    return _loaded(path, SavedScheme, "not a trained scheme")


T = TypeVar("T", SavedBackbone, SavedScheme)


def _loaded(path: Path, what: type[T], complaint: str) -> T:
    """Reads a file with every field checked against its type."""
    try:
        return TypeAdapter(what).validate_python(checkpoint.load(path))
    except ValidationError as error:
        raise InputError(f"{path}: {complaint} ({first_complaint(error)})") from None
