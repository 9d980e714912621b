"""Putting exported networks together into a bundle."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.bundle import BackboneInfo, Bundle, Manifest, write_manifest
from airreid.disk import file_sha256
from airreid.model_card import ModelCard
from airreid.scheme_info import FileRef, JsccInfo, SchemeInfo
from training.export.onnx import export_onnx, halve_weights, prove_parity
from training.models.codec import Codec

HEAD_TOLERANCE = 5e-3
"""Relative to the output's RMS: the heads' weights are stored as float16."""


def space_id(state: dict[str, torch.Tensor]) -> str:
    """Name of a backbone's feature space: a digest of its weights."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def file_ref(path: Path) -> FileRef:
    return FileRef(path=path.name, sha256=file_sha256(path))


def export_head(
    scheme_id: str,
    codec: Codec,
    folder: Path,
    features: NDArray[np.float32],
    space: str,
    snr_db_train: tuple[float, float],
) -> JsccInfo:
    """Exports a codec, proves it on ``features`` (n, D) and describes it.

    Raises :class:`training.export.onnx.ParityError` when a graph differs from PyTorch.
    """
    codec.eval()
    encoder_path = folder / f"{scheme_id}.encoder.onnx"
    export_onnx(codec.encoder, torch.from_numpy(features[:2]), encoder_path)
    halve_weights(encoder_path)
    prove_parity(codec.encoder, encoder_path, features, HEAD_TOLERANCE)
    decoder: FileRef | None = None
    embedding_dim = codec.bandwidth
    if codec.decoder is not None:
        with torch.no_grad():
            symbols = codec.encoder(torch.from_numpy(features)).numpy()
        decoder_path = folder / f"{scheme_id}.decoder.onnx"
        export_onnx(codec.decoder, torch.from_numpy(symbols[:2]), decoder_path)
        halve_weights(decoder_path)
        prove_parity(codec.decoder, decoder_path, symbols, HEAD_TOLERANCE)
        decoder = file_ref(decoder_path)
        embedding_dim = features.shape[1]
    return JsccInfo(
        id=scheme_id,
        kind="jscc-ae" if codec.kind == "jscc-ae" else "jscc-fc",
        space_id=space,
        bandwidth=codec.bandwidth,
        embedding_dim=embedding_dim,
        encoder=file_ref(encoder_path),
        decoder=decoder,
        gallery="encoder" if decoder is None else "decoder(encoder)",
        snr_db_train=snr_db_train,
    )


def build_bundle(
    folder: Path,
    name: str,
    backbones: list[tuple[Path, str]],
    space: str,
    feature_dim: int,
    schemes: list[SchemeInfo],
    provenance: dict[str, Any],
) -> Bundle:
    """Writes the manifest over files that lie in ``folder`` and reads the bundle back.

    ``backbones``: path and precision (``fp32``, ``int8``), the default one first.
    """
    infos = [
        backbone_info(path, f"resnet50-{precision}", precision, space, feature_dim)
        for path, precision in backbones
    ]
    manifest = Manifest(
        name=name,
        backbones=tuple(infos),
        schemes=tuple(schemes),
        provenance=ModelCard.model_validate(provenance),
    )
    return write_manifest(folder, manifest)


def backbone_info(
    path: Path, backbone_id: str, precision: str, space: str, feature_dim: int
) -> BackboneInfo:
    """Describes a graph that lies in the bundle's folder."""
    return BackboneInfo(
        id=backbone_id,
        file=file_ref(path),
        precision="int8" if precision == "int8" else "fp32",
        space_id=space,
        feature_dim=feature_dim,
    )
