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
from training.models.scheme_network import SchemeNetwork
from training.runs import atomic_file as checkpoint
from training.schemes.registry import trained_kind

Weights = dict[str, Any]
N = TypeVar("N", bound=SchemeNetwork)


@dataclass(frozen=True)
class SavedBackbone:
    """A trained backbone."""

    name: str
    """Name of its files: ``backbone``, or the id of the scheme that it belongs to."""
    settings: dict[str, Any]
    weights: Weights
    size: tuple[int, int]
    """Height and width of the images that it was trained on last."""
    origin: str
    """Source of its initial weights, in words."""
    seconds: float
    """Seconds spent training it."""
    classifier: Weights | None = None

    def network(self) -> Backbone:
        """Builds it in evaluation mode, for images of its size."""
        backbone = Backbone(**self.settings)
        backbone.load_state_dict(self.weights)
        return backbone.eval()

    def shipped(self) -> nn.Module:
        """Builds it in evaluation mode, for crops of 256 x 128."""
        network = self.network()
        return network if self.size == (256, 128) else Sized(network, *self.size).eval()

    @property
    def space(self) -> str:
        """Id of its feature space."""
        state = dict(self.weights)
        if self.size != (256, 128):
            state["size"] = torch.tensor(self.size)
        return weights_digest(state)

    @property
    def dim(self) -> int:
        """D, values of a feature."""
        return Backbone(**self.settings).dim


@dataclass(frozen=True)
class SavedScheme:
    """A trained scheme."""

    id: str
    backbone: str
    """Name of the backbone that it works on."""
    settings: dict[str, Any]
    """Arguments of its network's constructor."""
    weights: Weights
    snr_db_train: tuple[float, float]
    crc_bits: CrcBits = 11
    payload_sizes: int = 4
    step: str = ""
    """Kind of the step that trained it."""
    channel_code: str = "polar"
    rate_lambda: float | None = None
    """The paper's λ of a digital scheme; None in files of before it was kept here."""
    stopping: dict[str, Any] | None = None
    """Stopping rule of a nested scheme, as JSON has it."""

    def network(self, kind: type[N]) -> N:
        """Builds its network, in evaluation mode. Raises ``TypeError`` for one of another class."""
        network = trained_kind(self.id).build(**self.settings)
        if not isinstance(network, kind):
            raise TypeError(f"scheme {self.id}: a {type(network).__name__}, no {kind.__name__}")
        network.load_state_dict(self.weights)
        return network.eval()

    @property
    def is_digital(self) -> bool:
        """Whether the scheme sends bits."""
        return kind_of(self.id) == "digital"


def weights_digest(state: Weights) -> str:
    """Digests a network's weights to 16 hex digits; a backbone's name its feature space."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def cpu_weights(module: nn.Module) -> Weights:
    """Copies a module's weights to the CPU, contiguous: what is kept in files."""
    return {
        key: value.detach().cpu().contiguous().clone() for key, value in module.state_dict().items()
    }


def backbone_path(out: Path, name: str) -> Path:
    """Returns the file of a finished backbone in a run's folder."""
    return out / "models" / f"{name}.backbone.pt"


def scheme_path(out: Path, scheme_id: str, step: str = "") -> Path:
    """Returns the file of a finished scheme in a run's folder.

    ``step`` sets apart what a step leaves for a joint step to go on with.
    """
    return out / "models" / f"{scheme_id}{'.' + step if step else ''}.scheme.pt"


def save(path: Path, what: SavedBackbone | SavedScheme) -> None:
    """Writes a checkpoint. Raises :class:`InputError` when it cannot be written."""
    checkpoint.save(path, asdict(what))


def load_backbone(path: Path) -> SavedBackbone:
    """Reads a backbone. Raises :class:`InputError` for a file that is none."""
    return _loaded(path, SavedBackbone, "not a trained backbone")


def load_scheme(path: Path) -> SavedScheme:
    """Reads a scheme. Raises :class:`InputError` for a file that is none."""
    return _loaded(path, SavedScheme, "not a trained scheme")


T = TypeVar("T", SavedBackbone, SavedScheme)


def _loaded(path: Path, what: type[T], complaint: str) -> T:
    """Reads a file with every field checked against its type."""
    try:
        return TypeAdapter(what).validate_python(_with_new_names(checkpoint.load(path)))
    except ValidationError as error:
        raise InputError(f"{path}: {complaint} ({first_complaint(error)})") from None


def _with_new_names(state: dict[str, Any]) -> dict[str, Any]:
    """Renames what files of earlier versions call otherwise: a backbone's name, a code's path."""
    renamed = dict(state)
    if "stem" in renamed:
        renamed["name"] = renamed.pop("stem")
    weights = renamed.get("weights")
    if isinstance(weights, dict):
        renamed["weights"] = {
            str(key).replace(".curve.", ".residual."): value for key, value in weights.items()
        }
    return renamed
