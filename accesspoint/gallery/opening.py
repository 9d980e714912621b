"""The gallery that an access point serves: its own, or one on Milvus that it writes or reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol

from accesspoint.errors import ConflictError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.milvus.client import MilvusSettings
from accesspoint.gallery.milvus.read_only_gallery import READ_ONLY, ReadOnlyGallery
from accesspoint.gallery.milvus.writer import MilvusWriter
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.searchable import SearchableGallery
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store.database import Database
from accesspoint.gallery.store.network_filesystem import network_filesystem
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle
from airreid.errors import InputError


class ServedGallery(SearchableGallery, Protocol):
    """A gallery as the interfaces of an access point see it; safe in any thread."""

    @property
    def writable(self) -> Gallery | None:
        """The gallery as it is listed and changed, or None where it is only searched."""

    @property
    def space_id(self) -> str:
        """Feature space of the bundle that is served."""

    @property
    def ready(self) -> bool:
        """Whether there is nothing that :attr:`not_ready` names."""

    @property
    def not_ready(self) -> str:
        """Reason that the gallery does not do what it should, for people; empty if it does."""

    @property
    def load_failure(self) -> str:
        """Reason that the gallery could not be loaded, and never will be; empty otherwise."""

    def wait_ready(self, timeout_s: float | None = None) -> bool:
        """Waits until loaded. Returns whether the gallery is then ready."""

    def counts(self) -> tuple[int, int]:
        """Returns how many (subjects, entries) there are."""

    def check(self, entry: NewEntry) -> None:
        """Raises as :func:`accesspoint.gallery.records.check_entry` does."""

    def set_setting(self, key: str, text: str) -> None:
        """Stores a document in place of the one before. Raises
        :class:`accesspoint.errors.ConflictError` for one that is shared and only read here."""


def writable_part(gallery: ServedGallery) -> Gallery:
    """Returns the gallery as it is listed and changed. Raises :class:`ConflictError` where it
    is only searched."""
    if (writable := gallery.writable) is None:
        raise ConflictError(READ_ONLY)
    return writable


@contextmanager
def opened_gallery(
    path: Path,
    bundle: Bundle,
    threads: int,
    settings: GallerySettings | None = None,
    milvus: MilvusSettings | None = None,
) -> Iterator[ServedGallery]:
    """Opens the file and starts whatever works in the background; closes both at the end.

    Raises :class:`airreid.errors.InputError` for a file that cannot be used, and for a Milvus
    server that refuses the token or has another gallery's collections.
    """
    if not (settings and settings.allow_network_filesystem):
        _check_filesystem(path.parent)
    with ExitStack() as stack:
        if milvus is not None and milvus.role == "reader":
            database = stack.enter_context(closing(Database(path)))
            yield stack.enter_context(closing(ReadOnlyGallery(database, bundle, threads, milvus)))
            return
        read_only = settings is not None and settings.read_only
        if read_only and milvus is not None:
            raise InputError("--read-only: a gallery on Milvus is only read with its role reader")
        store = stack.enter_context(closing(Store(path, read_only)))
        writer = None
        if milvus is not None:
            writer = stack.enter_context(closing(MilvusWriter(milvus, store, bundle)))
        yield stack.enter_context(closing(Gallery(store, bundle, threads, settings, writer)))


def _check_filesystem(folder: Path) -> None:
    """Raises :class:`InputError` for a folder on which SQLite's log and locks may not hold."""
    if kind := network_filesystem(folder):
        raise InputError(
            f"{folder}: on a network file system ({kind}), where two access points may not see "
            "each other's locks and a gallery may be damaged; use a local disk for --data-dir, or "
            "give --allow-network-filesystem"
        )
