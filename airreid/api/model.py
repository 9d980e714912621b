"""A bundle's scheme at work: images to symbols, and what was received to embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from airreid.api.checks import float_rows, real_array, row_numbers, snr_levels
from airreid.api.crops import Images, opened
from airreid.bundle import Bundle, load_bundle
from airreid.errors import InputError
from airreid.inference import BackboneRunner
from airreid.offline import pack_each
from airreid.payload import Analog, Ideal, Link, Payload
from airreid.scheme import Received, Scheme, links_of, piece_of
from airreid.scheme_kinds import open_scheme

if TYPE_CHECKING:
    from airreid.api.channel import Report

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Blocks:
    """Queries on their way: one payload for each image, all of one scheme and link.

    :meth:`Model.encode` makes them, a channel's ``transmit`` takes and gives them, and
    :meth:`Model.decode` reads them. Slices, single rows, and the rows of a mask or a list are
    blocks as well.

    Example:
        >>> import airreid
        >>> model = airreid.Model(scheme_id="jscc-fc-256")
        >>> queries = airreid.synthetic_people(2)[1]
        >>> blocks = model.encode(queries.images)
        >>> len(blocks), blocks.bandwidth, blocks.link, blocks.symbols.shape
        (6, 256, 'analog', (6, 256))
        >>> len(blocks[:2]), [len(block) for block in blocks]
        (2, [1, 1, 1, 1, 1, 1])
    """

    payloads: tuple[Payload, ...]
    scheme_id: str
    bundle_id: str
    link: Link
    """``analog``: JSCC symbols; ``coded``: PAM symbols of a channel code; ``ideal``: bits that
    arrive if and only if capacity carries them."""
    bandwidth: int
    """B, real channel uses of each block."""

    def __len__(self) -> int:
        return len(self.payloads)

    def __getitem__(
        self, rows: int | slice | Sequence[int] | NDArray[np.integer | np.bool_]
    ) -> Blocks:
        if isinstance(rows, slice):
            return replace(self, payloads=self.payloads[rows])
        chosen = [rows] if isinstance(rows, Integral) else row_numbers(rows, len(self))
        return replace(self, payloads=tuple(self.payloads[row] for row in chosen))

    @property
    def symbols(self) -> Floats:
        """float32 (N, bandwidth), mean power 1 a row as sent.

        Raises:
            airreid.InputError: for the ideal link, whose blocks are bits.
        """
        rows = [each.symbols for each in self.payloads if not isinstance(each, Ideal)]
        if len(rows) != len(self.payloads):
            raise InputError(
                f"{self.scheme_id}: blocks of the ideal link are bits and have no symbols; "
                "encode with link='coded'"
            )
        return np.stack(rows) if rows else np.empty((0, self.bandwidth), np.float32)

    def with_symbols(self, symbols: NDArray[np.floating]) -> Blocks:
        """Returns the blocks with other symbols (N, bandwidth), as a channel delivers them.

        Raises:
            airreid.InputError: for another shape, values that are not finite, and for the ideal
                link.

        Example:
            >>> import airreid
            >>> blocks = airreid.Model().encode(airreid.synthetic_people(1)[1].images)
            >>> bool((blocks.with_symbols(-blocks.symbols).symbols == -blocks.symbols).all())
            True
        """
        given, expected = real_array(symbols, "symbols"), self.symbols.shape
        if given.shape != expected:
            raise InputError(f"symbols of shape {given.shape}; these blocks need {expected}")
        rows = float_rows(given, "symbols")
        payloads = tuple(
            replace(payload, symbols=row)
            for payload, row in zip(self.payloads, rows, strict=True)
            if not isinstance(payload, Ideal)
        )
        return replace(self, payloads=payloads)


class Model:
    """One scheme of a bundle with its backbone: encodes at the camera, decodes at the receiver.

    Images are encoded one at a time, as a camera does, so that an image's symbols do not
    depend on what else is in the call.

    Args:
        bundle: A bundle, or the path of one; the demo's where it is left out.
        scheme_id: ``jscc-ae-256``, ``digital-256-r1``, ...; the bundle's first if left out.
        threads: Threads of each network.

    Raises:
        airreid.BundleError: for a bundle or a scheme that there is not.

    Example:
        >>> import airreid
        >>> model = airreid.Model(airreid.load_bundle(), "jscc-ae-256")
        >>> model
        Model('jscc-ae-256', bandwidth=256, embedding_dim=2048)
        >>> gallery, queries = airreid.synthetic_people(1)
        >>> model.features(gallery.images).shape
        (2, 2048)
        >>> received, report = airreid.channel(snr_db=0).transmit(model.encode(queries.images))
        >>> model.decode(received, report).embeddings.shape
        (3, 2048)
    """

    def __init__(
        self,
        bundle: Bundle | str | Path | None = None,
        scheme_id: str | None = None,
        threads: int = 1,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        self.bundle.require_schemes()
        self.info = self.bundle.scheme(scheme_id or self.bundle.scheme_ids[0])
        """The scheme's entry in the manifest."""
        self._threads = threads

    def __repr__(self) -> str:
        info = self.info
        return f"Model({info.id!r}, bandwidth={info.bandwidth}, embedding_dim={info.embedding_dim})"

    @property
    def scheme_id(self) -> str:
        """Id of the scheme in its bundle."""
        return self.info.id

    @property
    def bandwidth(self) -> int:
        """B, real channel uses of a query."""
        return self.info.bandwidth

    @property
    def links(self) -> tuple[Link, ...]:
        """Links that :meth:`encode` may be asked for, the usual one first.

        Example:
            >>> import airreid
            >>> airreid.Model(scheme_id="digital-256").links
            ('coded', 'ideal')
        """
        return links_of(self.info)

    @cached_property
    def scheme(self) -> Scheme:
        """The scheme's networks and codes, loaded when first used."""
        return open_scheme(self.bundle, self.info, self._threads)

    @cached_property
    def _backbone(self) -> BackboneRunner:
        backbone = self.bundle.backbone_of(self.info.space_id)
        return BackboneRunner(self.bundle, backbone, self._threads)

    def features(self, images: Images) -> Floats:
        """Extracts the backbone's features: float32 (N, feature_dim).

        Args:
            images: One crop or many: paths, Pillow images, uint8 (height, width, 3) RGB
                arrays or one (N, height, width, 3); any size.

        Raises:
            airreid.InputError: naming an image that cannot be used.

        Example:
            >>> import airreid, numpy as np
            >>> grey = np.full((256, 128, 3), 128, np.uint8)
            >>> airreid.Model().features(grey).dtype
            dtype('float32')
        """
        rows = [self._backbone.features_of([image])[0] for image in opened(images)]
        return np.stack(rows) if rows else np.empty((0, self._feature_dim), np.float32)

    def as_features(self, images: Images | Floats) -> Floats:
        """Returns features as they are, float32 (N, feature_dim), or those of images.

        Raises:
            airreid.InputError: for images or features that cannot be used.

        Example:
            >>> import airreid, numpy as np
            >>> airreid.Model().as_features(np.zeros((3, 2048))).shape
            (3, 2048)
        """
        if isinstance(images, np.ndarray) and images.dtype.kind in "fc":
            return self._checked(cast("Floats", images), self._feature_dim, "features")
        return self.features(cast("Images", images))

    @property
    def _feature_dim(self) -> int:
        return self.bundle.backbone_of(self.info.space_id).feature_dim

    def encode(self, images: Images | Floats, link: Link | None = None) -> Blocks:
        """Encodes queries for the air: a block of B real channel uses, mean power 1, for each.

        Args:
            images: As for :meth:`features`, or features themselves: float (N, feature_dim).
            link: ``analog`` (JSCC), ``coded`` or ``ideal`` (digital schemes); the scheme's
                usual one where it is left out.

        Raises:
            airreid.InputError: for an image or features that cannot be used, and for a link
                that the scheme does not have.

        Example:
            >>> import airreid
            >>> queries = airreid.synthetic_people(1)[1]
            >>> blocks = airreid.Model(scheme_id="digital-256").encode(queries.images, "coded")
            >>> blocks.symbols.shape, round(float((blocks.symbols**2).mean()), 6)
            ((3, 256), 1.0)
        """
        chosen = link or self.links[0]
        payloads = pack_each(self.scheme, chosen, self.as_features(images))
        info = self.info
        return Blocks(tuple(payloads), info.id, self.bundle.bundle_id, chosen, info.bandwidth)

    def embed(self, images: Images | Floats) -> Floats:
        """Embeds gallery images, without noise: float32 (N, embedding_dim).

        These are what embeddings of received queries are compared with.

        Args:
            images: As for :meth:`encode`.

        Raises:
            airreid.InputError: for an image or features that cannot be used.

        Example:
            >>> import airreid
            >>> airreid.Model().embed(airreid.synthetic_people(1)[0].images).shape
            (2, 2048)
        """
        features = self.as_features(images)
        if not len(features):
            return np.empty((0, self.info.embedding_dim), np.float32)
        return self.scheme.gallery(features)

    def decode(
        self,
        received: Blocks | Floats,
        report: Report | float | Sequence[float] | NDArray[np.floating] | None = None,
    ) -> Received:
        """Decodes received blocks to embeddings.

        Args:
            received: Blocks as a channel delivered them; of a JSCC scheme also the symbols
                alone, float (N, bandwidth).
            report: The channel's report, or an SNR in dB, -60 to 100 or infinity for no
                noise, for all blocks or one for each. Digital schemes need it; without one a
                direct link is assumed.

        Returns:
            ``embeddings`` float32 (N, embedding_dim), and ``lost`` bool (N,): blocks whose
            bits did not survive, whose embeddings are zeros.

        Raises:
            airreid.InputError: for blocks of another scheme or bundle, a report of another
                length or with an SNR outside these bounds, and symbols that are not finite.

        Example:
            >>> import airreid
            >>> model = airreid.Model(scheme_id="digital-256")
            >>> blocks = model.encode(airreid.synthetic_people(1)[1].images)
            >>> model.decode(*airreid.channel(snr_db=20).transmit(blocks)).lost
            array([False, False, False])
            >>> model.decode(*airreid.channel(snr_db=-20).transmit(blocks)).lost
            array([ True,  True,  True])
        """
        payloads = self._payloads(received)
        levels = snr_levels(report, len(payloads))
        if not payloads:
            return Received(
                np.empty((0, self.info.embedding_dim), np.float32), np.empty(0, np.bool_)
            )
        return self.scheme.unpack(payloads, levels)

    def _payloads(self, received: Blocks | Floats) -> Sequence[Payload]:
        info, bundle_id = self.info, self.bundle.bundle_id
        if not isinstance(received, Blocks):
            rows = self._checked(received, info.bandwidth, "symbols")
            if "analog" not in self.links:
                raise InputError(f"{info.id}: symbols alone do not say their size; give blocks")
            return [Analog(row, piece=piece_of(info)) for row in rows]
        if (received.scheme_id, received.bundle_id) != (info.id, bundle_id):
            raise InputError(
                f"blocks of {received.scheme_id}, bundle {received.bundle_id}, cannot be decoded "
                f"by {info.id}, bundle {bundle_id}; encode with the same model"
            )
        if len(received) and not isinstance(received.payloads[0], Ideal):
            self._checked(received.symbols, info.bandwidth, "symbols")
        return received.payloads

    @staticmethod
    def _checked(values: NDArray[np.floating], width: int, what: str) -> Floats:
        given = real_array(values, what)
        if given.ndim != 2 or given.shape[1] != width:
            raise InputError(f"{what} of shape {given.shape}; give float (N, {width})")
        return float_rows(given, what)
