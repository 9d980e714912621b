"""Schemes of a bundle, opened when first asked for."""

from __future__ import annotations

import threading

from accesspoint.gallery.search import linear_subspace
from airreid.bundle import Bundle
from airreid.jscc import JsccScheme
from airreid.scheme import Scheme
from airreid.scheme_kinds import open_scheme


class SchemeCache:
    """Schemes at work, whose embeddings are as the indexes hold them; safe in any thread."""

    def __init__(self, bundle: Bundle, threads: int, compact: bool) -> None:
        """``compact``: embeddings of a linear decoder come in fewer dimensions, with the same
        cosines (:mod:`accesspoint.gallery.search.linear_subspace`)."""
        self._bundle, self._threads, self._compact = bundle, threads, compact
        self._opening = threading.Lock()
        self._schemes: dict[str, Scheme] = {}
        self._compact_dims: dict[str, int] = {}

    def scheme(self, scheme_id: str) -> Scheme:
        """Returns a scheme. Raises :class:`airreid.errors.BundleError` if unknown."""
        if (scheme := self._schemes.get(scheme_id)) is not None:
            return scheme
        with self._opening:
            if scheme_id not in self._schemes:
                self._schemes[scheme_id] = self._opened(scheme_id)
            return self._schemes[scheme_id]

    def _opened(self, scheme_id: str) -> Scheme:
        scheme = open_scheme(self._bundle, self._bundle.scheme(scheme_id), self._threads)
        if self._compact and isinstance(scheme, JsccScheme) and scheme.info.decoder:
            sizes = scheme.info.bandwidth, scheme.info.embedding_dim
            if (decoder := linear_subspace.compact(scheme.decode, *sizes)) is not None:
                self._compact_dims[scheme_id] = decoder.matrix.shape[1]
                return scheme.decoding_by(decoder)
        return scheme

    def compact_dim(self, scheme_id: str) -> int | None:
        """Returns the length of a scheme's embeddings where it is less than the bundle says,
        or None. Raises as :meth:`scheme` does."""
        self.scheme(scheme_id)
        return self._compact_dims.get(scheme_id)
