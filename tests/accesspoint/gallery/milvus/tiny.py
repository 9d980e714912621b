"""A gallery of four values a feature, for tests of what does not depend on the bundle."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from airreid.bundle import BackboneInfo, Bundle, Manifest
from airreid.scheme_info import FileRef, JsccInfo

DIM = 4
prefixes = (f"g{i}" for i in itertools.count())
"""Prefixes of collections, each used once."""
CORNERS = np.asarray(list(itertools.product([-0.5, 0.5], repeat=DIM)), dtype=np.float32)
"""Corners of a cube: scores are multiples of 1/4, exact in any order of sums, so that ties are ties
for everybody."""


def tiny_bundle(space: str = "tiny") -> Bundle:
    """Features of four values; its schemes have no files and are not used."""
    ref = FileRef(path="none.onnx", sha256="0" * 64)
    backbone = BackboneInfo(
        id="tiny", file=ref, precision="fp32", space_id=space, height=16, width=16, feature_dim=DIM
    )
    scheme = JsccInfo(
        id="jscc-fc-4",
        kind="jscc-fc",
        space_id=space,
        bandwidth=4,
        embedding_dim=4,
        encoder=ref,
        gallery="encoder",
        snr_db_train=(0, 0),
    )
    manifest = Manifest(name="tiny", backbones=(backbone,), schemes=(scheme,), provenance={})
    return Bundle(Path("none"), manifest, "0" * 16)
