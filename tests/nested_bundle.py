"""A bundle with a nested scheme, and features of people who are seen by two cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from airreid.adopt.nested_head import write_nested
from airreid.bundle import Bundle, Manifest, write_manifest
from airreid.retrieval import Labels

from .made_bundles import made_bundle

SCHEME = "jscc-nested-128"
DIM = 96
SIZE = (256, 128)


def seen_people(count: int, shots: int = 2, seed: int = 0) -> tuple[np.ndarray, Labels]:
    """Returns features float32 (count * shots, DIM), camera 0 first of each person's shots."""
    random = np.random.default_rng(seed)
    identity = np.repeat(np.arange(count), shots)
    who = random.standard_normal((count, DIM))
    features = who[identity] + 0.6 * random.standard_normal((len(identity), DIM))
    return features.astype(np.float32), Labels(identity, np.tile(np.arange(shots) % 2, count))


def nested_bundle(folder: Path, rule: bool = True) -> Bundle:
    """Writes a bundle of one scheme, :data:`SCHEME`, with a stopping rule or without."""
    bare = made_bundle(folder, [SIZE], schemes=False)
    features, labels = seen_people(80, shots=4, seed=1)
    space = bare.backbone.space_id
    info, _ = write_nested(SCHEME, 128, features, labels if rule else None, folder, space, None)
    manifest = Manifest(
        name="nested",
        backbones=bare.manifest.backbones,
        schemes=(info,),
        provenance=bare.manifest.provenance,
    )
    return write_manifest(folder, manifest)
