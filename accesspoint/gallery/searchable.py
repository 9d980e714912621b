"""Protocol of a gallery that can be searched: as much as a receiver of blocks needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from accesspoint.gallery.records import SearchResult
from accesspoint.gallery.search.enough import IsEnough
from accesspoint.gallery.search.running_scores import RunningScores
from airreid.scheme import Scheme


class SearchableGallery(Protocol):
    """Search and match policy; safe in any thread."""

    @property
    def deletions(self) -> int:
        """Times that entries or their subjects went since the start; answers from before a
        change of it may name somebody who is gone."""

    def scheme(self, scheme_id: str) -> Scheme:
        """Returns a scheme whose embeddings are as :meth:`search` takes them. Raises
        :class:`airreid.errors.BundleError` if unknown."""

    def search(
        self, scheme_id: str, embeddings: NDArray[np.float32], top_k: int, top_entries: int
    ) -> list[SearchResult]:
        """Returns for each embedding (n, dim) the best subjects and the best entries.

        Embeddings are as :meth:`scheme` gives them; ``scheme_id`` ``features`` searches among
        the raw features, by cosine. Raises :class:`accesspoint.errors.NotReadyError`, and
        :class:`airreid.errors.BundleError` for a scheme that is not there.
        """

    def continue_search(
        self,
        scheme_id: str,
        embeddings: NDArray[np.float32],
        running: Sequence[RunningScores],
        top_k: int,
        top_entries: int,
        is_enough: IsEnough,
    ) -> list[SearchResult | None]:
        """Searches as :meth:`search` does, for embeddings of which another part came.

        running: scores of the parts before, one for each embedding. Where the inner products
        with all entries are at hand, only those of the new part are computed. A row of which
        ``is_enough`` says no has no result.
        """

    def setting(self, key: str) -> str | None:
        """Returns a small JSON document kept with the gallery, or None."""

    def is_local(self, scheme_id: str) -> bool:
        """Tells whether a search by this scheme needs nothing but this process, now."""
