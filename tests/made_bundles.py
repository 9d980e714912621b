"""Bundles of small made networks, each of its own crop size, with linear codes of random axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from airreid.bundle import BackboneInfo, Bundle, Manifest, write_manifest
from airreid.codecs.decoding import fit_decoder
from airreid.codecs.graphs import write_decoder, write_encoder
from airreid.codecs.linear import LinearCode, unit_rows
from airreid.inference import Network
from airreid.model_card import ModelCard
from airreid.scheme_info import FileRef, JsccInfo

from .airreid.adopt import networks

Size = tuple[int, int]
"""Height and width."""


def made_bundle(folder: Path, sizes: Sequence[Size], schemes: bool = True) -> Bundle:
    """Writes a bundle with a backbone of each size, called ``HEIGHTxWIDTH`` as its space.

    The first one's schemes are ``jscc-fc-16`` and ``jscc-ae-16``, the second one's
    ``jscc-fc-32`` and ``jscc-ae-32``, and so on; none at all without ``schemes``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    backbones, infos = [], []
    for place, (height, width) in enumerate(sizes):
        space = f"{height}x{width}"
        path = networks.write(
            folder / f"{space}.onnx", layout="nhwc", dtype="uint8", size=(height, width)
        )
        features = Network(path, 1)(networks.crops(200, (height, width)))
        backbone = BackboneInfo(
            id=space,
            file=FileRef.of(path),
            precision="fp32",
            space_id=space,
            height=height,
            width=width,
            feature_dim=features.shape[1],
        )
        backbones.append(backbone)
        if schemes:
            infos += _schemes(folder, backbone, features, 16 * (place + 1))
    manifest = Manifest(
        name="made", backbones=tuple(backbones), schemes=tuple(infos), provenance=ModelCard()
    )
    return write_manifest(folder, manifest)


def _schemes(
    folder: Path, backbone: BackboneInfo, features: np.ndarray, bandwidth: int
) -> list[JsccInfo]:
    axes = np.random.default_rng(1).standard_normal((features.shape[1], bandwidth))
    code = LinearCode(unit_rows(features).mean(axis=0), axes.astype(np.float32))
    infos = []
    for kind in ("jscc-fc", "jscc-ae"):
        scheme_id, decoder = f"{kind}-{bandwidth}", None
        write_encoder(code, folder / f"{scheme_id}.encoder.onnx")
        if kind == "jscc-ae":
            write_decoder(fit_decoder(code, features), folder / f"{scheme_id}.decoder.onnx")
            decoder = FileRef.of(folder / f"{scheme_id}.decoder.onnx")
        infos.append(
            JsccInfo(
                id=scheme_id,
                kind=kind,  # type: ignore[arg-type]
                space_id=backbone.space_id,
                bandwidth=bandwidth,
                embedding_dim=features.shape[1] if decoder else bandwidth,
                encoder=FileRef.of(folder / f"{scheme_id}.encoder.onnx"),
                decoder=decoder,
                gallery="decoder(encoder)" if decoder else "encoder",
                snr_db_train=(0, 0),
            )
        )
    return infos
