"""A bundle whose int8 backbones have their weights rounded anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import BackboneInfo, Bundle, files_of, write_manifest
from airreid.errors import InputError
from airreid.model_card import RequantisationRecord
from airreid.quantisation.requantise import requantise
from airreid.quantisation.saturation import saturation
from airreid.scheme_info import FileRef

_PACKAGES = ("airreid", "numpy", "onnx", "onnxruntime")
Crops = Callable[[BackboneInfo], NDArray[np.uint8]]
"""Crops of people in the size that a backbone takes: uint8 (N, height, width, 3)."""


def requantise_bundle(bundle: Bundle, crops: Crops, images: str, out: Path) -> Bundle:
    """Copies a bundle to ``out``, with 7-bit weights in each backbone that can saturate.

    ``images`` names the crops in the card. Schemes and feature spaces stay: such a backbone is
    another int8 twin of the same network. The card's accuracy is left out, since it is that
    of other weights. Raises :class:`InputError` where nothing can saturate, where ``out``
    is not empty, and for a graph that cannot be rounded anew.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there already; give another --out")
    unsafe = [
        info
        for info in bundle.manifest.backbones
        if info.precision == "int8" and saturation(bundle.file(info.file)) is not None
    ]
    if not unsafe:
        raise InputError(f"{bundle.path}: no backbone can saturate; use the bundle as it is")
    out.mkdir(parents=True, exist_ok=True)
    try:
        for ref in files_of(bundle.manifest):
            shutil.copyfile(bundle.file(ref), out / ref.path)
        backbones = []
        for info in bundle.manifest.backbones:
            if info in unsafe:
                path = out / info.file.path
                requantise(bundle.file(info.file), path, crops(info))
                info = info.model_copy(update={"file": FileRef.of(path)})
            backbones.append(info)
        record = RequantisationRecord(
            from_bundle=bundle.bundle_id,
            backbones=tuple(info.id for info in unsafe),
            bits=7,
            images=images,
            date=datetime.now(UTC).date().isoformat(),
            versions={name: version(name) for name in _PACKAGES},
        )
        card = bundle.manifest.provenance.with_requantisation(record)
        update = {"backbones": tuple(backbones), "provenance": card}
        return write_manifest(out, bundle.manifest.model_copy(update=update))
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
