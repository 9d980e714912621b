"""Search indexes as the gallery uses them: Protocols, so that they may live elsewhere.

The store is the truth, and an index can be made from it. The gallery calls ``add`` and
``remove`` one at a time, under its lock, after the store has committed; ``search`` comes
from any thread, at any time, and must not wait for them. When an index is opened, the
gallery compares what it ``held`` (numbers and digests) with the store, removes what is
foreign or gone, and adds what is missing: so an index may come back from a snapshot or
from another machine, older than the store or of another store, and is right all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Array = NDArray[np.float32]


@dataclass(frozen=True)
class IndexSpec:
    """Contents of an index. Two indexes with equal specs hold interchangeable vectors."""

    scheme_id: str
    """A scheme of the bundle, or ``features``: the raw features."""
    space_id: str
    scheme_digest: str
    """Hex SHA-256 over what maps features to embeddings; empty for ``features``."""
    dim: int
    """Length of an embedding."""
    store_id: str
    folder: Path | None
    """Parent of the folder for the index's files; None: it keeps none."""


class Index(Protocol):
    """Cosine search over embeddings known by entry number."""

    def __len__(self) -> int: ...

    def add(self, ids: Ids, digests: Ids, embeddings: Array) -> None:
        """Adds entries: ids (n,), ascending, none of them in the index, nor removed from it
        without a :meth:`purge` since; digests (n,), to be given back by :meth:`held`;
        embeddings float32 (n, dim) of any length."""

    def remove(self, ids: Ids) -> None:
        """Removes entries, ids (n,); those that are not there are passed over."""

    def moved(self, ids: Ids) -> None:
        """Notes that entries belong to another subject from now on, in an index that stores
        subjects; those that are not there are passed over."""

    def search(self, embeddings: Array, k: int) -> tuple[Array, Ids]:
        """Returns cosine scores float32 and ids, each (n, min(k, len(self))), best first, ties
        by id. Sees every ``add`` and ``remove`` that had returned before."""

    def held(self) -> tuple[Ids, Ids]:
        """Returns (ids, digests) of everything in the index, in any order."""

    def maintain(self, position: int) -> bool:
        """Merges, compacts, writes a snapshot if due; a background thread calls it after
        changes. ``position``: the log of changes up to which the index is known to be
        complete. Returns whether the files on disk are now complete up to it."""

    def purge(self, ids: Ids) -> None:
        """Makes sure that nothing of these removed entries is in memory or on disk."""

    def close(self) -> None:
        """Writes the files that a quick start needs. The index is not used any more."""


OpenIndex = Callable[[IndexSpec], Index]
"""Opens an index with whatever was kept of it; empty if there is nothing."""


class LiveIndexes(Protocol):
    """Indexes of a gallery that are open, as far as :class:`RemoteIndexes` needs them."""

    @property
    def live(self) -> dict[str, Index]: ...

    def get(self, scheme_id: str) -> Index: ...

    def drop(self, name: str) -> None: ...

    def maintain(self, scheme_id: str) -> None: ...


class RemoteIndexes(Protocol):
    """Indexes on a server, which this process fills and others search too."""

    def open(self, spec: IndexSpec) -> Index:
        """Opens an index with whatever the server has of it."""

    def start(self, indexes: LiveIndexes, check_ready: Callable[[], None]) -> None:
        """Begins to keep the indexes complete for those others. ``check_ready`` raises
        :class:`accesspoint.errors.NotReadyError` until the gallery is loaded."""

    @property
    def problem(self) -> str:
        """Reason that an index which others search is not complete; empty if all are."""

    def wait(self, ready: Callable[[], bool], timeout_s: float | None) -> bool:
        """Waits until ``ready``, or stopped. Returns whether it is."""

    def stop(self) -> None:
        """Ends what :meth:`start` began."""
