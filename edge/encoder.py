"""From person crops to payloads for the air."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from airreid.bundle import Bundle
from airreid.images import to_crop
from airreid.inference import BackboneRunner
from airreid.payload import Link, Payload
from airreid.scheme import Scheme, check_link, links_of
from airreid.schemes import open_scheme


class Encoder:
    """A bundle's backbone, and the encoders of its schemes as they are asked for."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.bundle = bundle
        self._threads = threads
        self._backbone = BackboneRunner(bundle, bundle.backbone, threads)
        self._schemes: dict[str, Scheme] = {}

    def features(self, images: list[Image.Image]) -> NDArray[np.float32]:
        """RGB images of any size -> float32 (N, feature_dim)."""
        return self._backbone.features(np.stack([to_crop(image) for image in images]))

    def scheme(self, scheme_id: str) -> Scheme:
        """Raises :class:`airreid.errors.BundleError` for a scheme that the bundle lacks."""
        if scheme_id not in self._schemes:
            info = self.bundle.scheme(scheme_id)
            self._schemes[scheme_id] = open_scheme(self.bundle, info, self._threads, decode=False)
        return self._schemes[scheme_id]

    def link(self, scheme_id: str, wanted: Link | None) -> Link:
        """The link that is wanted, or the scheme's usual one.

        Raises :class:`airreid.errors.InputError` for a link that the scheme does not have.
        """
        info = self.bundle.scheme(scheme_id)
        link = wanted or links_of(info)[0]
        check_link(info, link)
        return link

    def payloads(
        self, features: NDArray[np.float32], scheme_id: str, link: Link | None = None
    ) -> list[Payload]:
        """features (N, feature_dim) -> a payload for each."""
        return self.scheme(scheme_id).pack(features, self.link(scheme_id, link))
