"""Trained JSCC scheme as files of a bundle, with proof that they compute the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.scheme_info import FileRef, JsccInfo
from training.export.onnx import export_onnx, halve_weights, prove_parity
from training.models.codec import Codec

HEAD_TOLERANCE = 5e-3
"""Largest difference relative to the output's RMS: weights are stored as float16."""


def export_jscc(
    scheme_id: str,
    codec: Codec,
    folder: Path,
    features: NDArray[np.float32],
    space: str,
    snr_db_train: tuple[float, float],
) -> JsccInfo:
    """Exports a codec, proves it on ``features`` (n, D) and describes it.

    Raises :class:`airreid.errors.ParityError` when a graph differs from PyTorch.
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
        decoder = FileRef.of(decoder_path)
        embedding_dim = features.shape[1]
    info = {
        "id": scheme_id,
        "kind": codec.kind,
        "space_id": space,
        "bandwidth": codec.bandwidth,
        "embedding_dim": embedding_dim,
        "encoder": FileRef.of(encoder_path),
        "decoder": decoder,
        "gallery": "encoder" if decoder is None else "decoder(encoder)",
        "snr_db_train": snr_db_train,
    }
    return JsccInfo.model_validate(info)
