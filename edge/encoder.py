"""From person crops to channel symbols."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from airreid.bundle import Bundle
from airreid.images import to_crop
from airreid.inference import BackboneRunner, SchemeRunner


class Encoder:
    """A bundle's backbone, and the encoders of its schemes as they are asked for."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.bundle = bundle
        self._threads = threads
        self._backbone = BackboneRunner(bundle, bundle.backbone, threads)
        self._schemes: dict[str, SchemeRunner] = {}

    def features(self, images: list[Image.Image]) -> NDArray[np.float32]:
        """RGB images of any size -> float32 (N, feature_dim)."""
        return self._backbone.features(np.stack([to_crop(image) for image in images]))

    def symbols(self, features: NDArray[np.float32], scheme_id: str) -> NDArray[np.float32]:
        """features (N, feature_dim) -> float32 (N, bandwidth), each row of mean power 1.

        Raises :class:`airreid.errors.BundleError` for a scheme that the bundle lacks.
        """
        if scheme_id not in self._schemes:
            info = self.bundle.scheme(scheme_id)
            self._schemes[scheme_id] = SchemeRunner(self.bundle, info, self._threads, decode=False)
        return self._schemes[scheme_id].encode(features)
