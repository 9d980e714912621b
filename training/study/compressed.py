"""Queries as image files of the lowest rate, and what the network makes of them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, features

from airreid.adopt.images import open_images
from airreid.codecs.linear import unit_rows
from airreid.datasets.samples import Sample
from airreid.errors import InputError
from airreid.evaluation.features import Phase
from airreid.inference import BackboneRunner
from training.study.features import (
    StudyFeatures,
    adopted,
    digest_of,
    read_arrays,
    stored_about,
)

Array = NDArray[np.float32]
LOWEST: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 1, "optimize": True},
    "webp": {"quality": 0, "method": 6},
    "avif": {"quality": 0, "speed": 4},
}
"""Settings of Pillow for the smallest file of each format, at the size the network takes."""
_FILE, _ABOUT, _BATCH = "compressed.npz", "compressed.json", 16


@dataclass(frozen=True)
class CompressedQueries:
    """Queries of the test in each image format, as a folder of features holds them."""

    folder: Path
    about: dict[str, Any]
    """Formats with their settings, the version of Pillow, and the digest of the arrays."""

    @property
    def formats(self) -> list[str]:
        """Image formats that this machine's Pillow could write."""
        return sorted(self.about["formats"])

    @property
    def digest(self) -> str:
        """SHA-256 of the arrays."""
        return str(self.about["digest"])

    def of(self, kind: str) -> tuple[Array, NDArray[np.int64]]:
        """Reads features (Q, D) of one format, and the bits (Q,) of each file, header and all."""
        arrays = read_arrays(self.folder / _FILE, self.digest)
        return arrays[kind], arrays[f"{kind}_bits"]


def open_compressed(folder: Path) -> CompressedQueries | None:
    """Opens what an earlier call made; None where there is nothing."""
    about = stored_about(folder / _ABOUT)
    return None if about is None else CompressedQueries(folder, about)


def make_compressed(
    stored: StudyFeatures, data: str, network: Path, preset: str | None, phase: Phase
) -> CompressedQueries:
    """Compresses each query's crop as far as each format goes, and extracts features of that.

    Raises :class:`InputError` for images or a network that the stored features are not of.
    """
    folder, images = stored.folder, open_images(data)
    bundle = adopted(folder, images, network, preset, phase)
    backbone = bundle.manifest.backbones[0]
    runner = BackboneRunner(bundle, backbone, threads=1)
    samples = () if images.test is None else images.test["query"].samples
    _check_same(samples[:_BATCH], len(samples), stored, runner)
    kinds = {kind: how for kind, how in LOWEST.items() if kind == "jpeg" or features.check(kind)}
    tick = phase(f"queries as {', '.join(kinds)}", len(samples))
    rows: dict[str, list[Array]] = {kind: [] for kind in kinds}
    bits: dict[str, list[int]] = {kind: [] for kind in kinds}
    for start in range(0, len(samples), _BATCH):
        part = samples[start : start + _BATCH]
        crops = [backbone.crop(sample.load()) for sample in part]
        for kind, how in kinds.items():
            files = [compressed(crop, kind, how) for crop in crops]
            bits[kind] += [8 * len(file) for file in files]
            decoded = np.stack([np.asarray(_decoded(file)) for file in files])
            rows[kind].append(runner.features(decoded))
        for _ in part:
            tick()
    arrays: dict[str, NDArray[Any]] = {}
    for kind in kinds:
        arrays[kind] = np.concatenate(rows[kind])
        arrays[f"{kind}_bits"] = np.asarray(bits[kind], np.int64)
    about = {"formats": kinds, "pillow": PIL.__version__, "digest": digest_of(arrays)}
    np.savez(folder / _FILE, **arrays)  # type: ignore[arg-type]
    (folder / _ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return CompressedQueries(folder, about)


def _check_same(
    first: Sequence[Sample], count: int, stored: StudyFeatures, runner: BackboneRunner
) -> None:
    """Checks that the first queries have the stored features: images and network are the same."""
    queries = stored.test().queries
    if count == len(queries) and runner.info.feature_dim == queries.shape[1]:
        features = unit_rows(runner.features_of([sample.load() for sample in first]))
        if np.allclose(features, unit_rows(queries[: len(first)]), atol=0.01):
            return
    raise InputError(
        f"{stored.folder}: features of other images or another network than those of --data and "
        "--network; give the same ones, or another folder"
    )


def compressed(crop: NDArray[np.uint8], kind: str, how: dict[str, Any]) -> bytes:
    """Writes a crop uint8 (H, W, 3) as a file of a format."""
    file = io.BytesIO()
    Image.fromarray(crop).save(file, kind.upper(), **how)
    return file.getvalue()


def _decoded(file: bytes) -> Image.Image:
    with Image.open(io.BytesIO(file)) as image:
        return image.convert("RGB")
