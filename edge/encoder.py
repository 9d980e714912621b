"""From person crops to payloads for the air."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from airreid.bundle import Bundle
from airreid.digital.adaptation import Rate, rate_ids, rate_of
from airreid.digital.scheme import DigitalScheme
from airreid.errors import InputError
from airreid.inference import BackboneRunner
from airreid.link_report import TARGET_OUTAGE
from airreid.payload import Link, Payload
from airreid.scheme import Scheme, check_link, links_of, piece_of
from airreid.scheme_info import DigitalInfo, NestedInfo
from airreid.scheme_kinds import open_scheme
from edge.settings import REPORT, SendSettings


class Encoder:
    """A bundle's backbones, and the encoders of its schemes, as they are asked for."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        """Raises :class:`airreid.errors.BundleError` for a bundle that nothing can be sent by."""
        bundle.require_schemes()
        self.bundle = bundle
        self._threads = threads
        self._backbones: dict[str, BackboneRunner] = {}
        self._runner(bundle.backbone.space_id)
        self._schemes: dict[str, Scheme] = {}

    def features(
        self, images: list[Image.Image], scheme_id: str | None = None
    ) -> NDArray[np.float32]:
        """Turns RGB images of any size into float32 (N, feature_dim) by the scheme's backbone.

        Without a scheme: by the bundle's first backbone.
        """
        space = self.bundle.backbone.space_id
        if scheme_id is not None:
            space = self.bundle.scheme(scheme_id).space_id
        return self._runner(space).features_of(images)

    def crop(self, image: Image.Image, scheme_id: str) -> NDArray[np.uint8]:
        """Resizes an image to what the scheme's backbone takes: uint8 (height, width, 3) RGB."""
        space = self.bundle.scheme(scheme_id).space_id
        return self.bundle.backbone_of(space).crop(image)

    def _runner(self, space_id: str) -> BackboneRunner:
        if space_id not in self._backbones:
            info = self.bundle.backbone_of(space_id)
            self._backbones[space_id] = BackboneRunner(self.bundle, info, self._threads)
        return self._backbones[space_id]

    def scheme(self, scheme_id: str) -> Scheme:
        """Opens a scheme; raises :class:`airreid.errors.BundleError` for one the bundle lacks."""
        if scheme_id not in self._schemes:
            info = self.bundle.scheme(scheme_id)
            # One thread: its product is small, and threads of a second network that wait for
            # more of it, busily, keep the backbone's from their core.
            self._schemes[scheme_id] = open_scheme(self.bundle, info, 1, decode=False)
        return self._schemes[scheme_id]

    def link(self, scheme_id: str, wanted: Link | None) -> Link:
        """Returns the link that is wanted, or the scheme's usual one.

        Raises :class:`airreid.errors.InputError` for a link that the scheme does not have.
        """
        info = self.bundle.scheme(scheme_id)
        link = wanted or links_of(info)[0]
        check_link(info, link)
        return link

    def send_settings(
        self,
        scheme_id: str | None,
        link: Link | None,
        top_k: int,
        bandwidth: str | None = None,
        target_outage: float = TARGET_OUTAGE,
    ) -> SendSettings:
        """Returns settings for sending; None means the bundle's usual scheme, its usual link, or
        all of the scheme's bandwidth.

        Raises :class:`airreid.errors.AirReidError` for a scheme or link that the bundle lacks, and
        for a bandwidth that the scheme cannot be cut to.
        """
        chosen = self.bundle.usual_scheme_id if scheme_id is None else scheme_id
        chosen_link = self.link(chosen, link)
        if bandwidth is not None:
            self._check_bandwidth(chosen, chosen_link, bandwidth)
        return SendSettings(
            scheme_id=chosen,
            link=chosen_link,
            top_k=top_k,
            bandwidth=bandwidth,
            target_outage=target_outage,
        )

    def rates(self, settings: SendSettings) -> list[Rate]:
        """Lists the digital schemes that a camera may choose from; empty where it does not."""
        scheme = self.scheme(settings.scheme_id)
        if settings.bandwidth != REPORT or not isinstance(scheme, DigitalScheme):
            return []
        schemes = [self.scheme(scheme_id) for scheme_id in rate_ids(self.bundle, scheme.info.id)]
        return [
            rate_of(self.bundle, scheme) for scheme in schemes if isinstance(scheme, DigitalScheme)
        ]

    def _check_bandwidth(self, scheme_id: str, link: Link, bandwidth: str) -> None:
        info = self.bundle.scheme(scheme_id)
        if bandwidth == REPORT and isinstance(info, DigitalInfo):
            if link != "coded":
                raise InputError(
                    f"--bandwidth {bandwidth}: the {link} link has no rates to choose from; give "
                    "--link coded"
                )
            return
        piece = piece_of(info)
        if piece and isinstance(info, DigitalInfo) and link != "coded":
            raise InputError(
                f"--bandwidth {bandwidth}: the {link} link has no pieces; give --link coded"
            )
        if not piece:
            others = [other for other in self.bundle.manifest.schemes if piece_of(other)]
            others.sort(key=lambda other: not isinstance(other, NestedInfo))
            way_out = (
                f"give --scheme {others[0].id}" if others else "this bundle has no scheme in pieces"
            )
            raise InputError(
                f"--bandwidth {bandwidth}: scheme {scheme_id} cannot be cut; {way_out}"
            )
        if bandwidth.isdigit() and (int(bandwidth) % piece or int(bandwidth) > info.bandwidth):
            raise InputError(
                f"--bandwidth {bandwidth}: scheme {scheme_id} has pieces of {piece} uses; give a "
                f"multiple of {piece} up to {info.bandwidth}"
            )

    def payloads(
        self,
        features: NDArray[np.float32],
        scheme_id: str,
        link: Link | None = None,
        in_pieces: bool = False,
    ) -> list[Payload]:
        """Packs features (N, feature_dim) into a payload for each.

        ``in_pieces``: all pieces of a digital block. Those of a nested scheme are always in pieces.
        """
        scheme = self.scheme(scheme_id)
        if in_pieces and isinstance(scheme, DigitalScheme):
            return list(scheme.pack_pieces(features))
        return scheme.pack(features, self.link(scheme_id, link))
