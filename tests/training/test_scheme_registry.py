"""A scheme kind from outside: one module and two registrations train and export it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from airreid import scheme_kinds
from airreid.errors import InputError
from airreid.scheme_info import FileRef, SchemeInfo
from airreid.scheme_kinds import SchemeKind
from training.export.onnx import export_onnx
from training.export.scheme import export_scheme
from training.models.codec import Codec, normalise_power
from training.models.scheme_network import SchemeNetwork, Transmitted
from training.recipes.steps import JointScheme
from training.runs.checkpoints import load_scheme, scheme_path
from training.schemes import registry
from training.schemes.registry import TrainedKind, trained_kind
from training.steps.joint import run_joint

from .test_joint import STEP, context


class TanhInfo(SchemeInfo):
    kind: str = "tanh"
    encoder: FileRef
    gallery: str = "encoder"


class Squash(nn.Module):
    def __init__(self, features: int, bandwidth: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, bandwidth)

    def forward(self, features: Tensor) -> Tensor:
        return normalise_power(torch.tanh(self.linear(features)))


class TanhNetwork(SchemeNetwork):
    """Symbols are squashed, so that none is much larger than another."""

    def __init__(self, features: int, bandwidth: int) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {"features": features, "bandwidth": bandwidth}
        self.embedding_dim = bandwidth
        self.encoder = Squash(features, bandwidth)

    def transmit(self, features, channel, draws, gallery=True):  # type: ignore[no-untyped-def]
        symbols = self.encoder(features)
        return Transmitted(channel(symbols, draws)[0], symbols)

    def init_from_pca(self, features, spread):  # type: ignore[no-untyped-def]
        raise InputError("a tanh scheme starts at random")


def export(scheme, folder, features, space):  # type: ignore[no-untyped-def]
    path = folder / f"{scheme.id}.onnx"
    export_onnx(scheme.network(TanhNetwork).encoder, torch.from_numpy(features[:2]), path)
    info = {"id": scheme.id, "space_id": space, "bandwidth": 12, "embedding_dim": 12}
    return TanhInfo.model_validate({**info, "encoder": FileRef.of(path)})


SERVED = SchemeKind("tanh", "tanh", TanhInfo, lambda *parts: None, ("analog",))  # type: ignore[arg-type,return-value]
TRAINED = TrainedKind(
    "tanh", TanhNetwork, lambda step, scheme, features: TanhNetwork(features, 12), export
)


def test_a_kind_of_another_package_is_trained_and_exported(tmp_path: Path) -> None:
    with (
        scheme_kinds._KINDS.registered("tanh", SERVED),
        registry._KINDS.registered("tanh", TRAINED),
    ):
        step = STEP.model_copy(update={"schemes": (JointScheme(id="tanh-12", snr_db=5.0),)})
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        run_joint(step, context(tmp_path, step))
        torch.set_num_threads(threads)
        saved = load_scheme(scheme_path(tmp_path, "tanh-12"))
        features = np.random.default_rng(0).standard_normal((4, 512)).astype(np.float32)
        info = export_scheme(saved, tmp_path, features, "space")
        with pytest.raises(TypeError, match="a TanhNetwork, no Codec"):
            saved.network(Codec)
        with pytest.raises(ValueError, match="dimensions and rate_lambda are for digital"):
            JointScheme(id="tanh-12", rate_lambda=2.0)
    assert isinstance(info, TanhInfo)
    assert (info.id, info.embedding_dim) == ("tanh-12", 12)
    assert (tmp_path / "tanh-12.onnx").exists()


def test_a_kind_that_is_served_and_not_trained_is_named() -> None:
    with (
        scheme_kinds._KINDS.registered("tanh", SERVED),
        pytest.raises(InputError, match="scheme kind in training 'tanh': use one of"),
    ):
        trained_kind("tanh-12")
