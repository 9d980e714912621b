"""Proof that a deleted entry is nowhere: rows, free pages, log, indexes, files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accesspoint.gallery.search.index import Array, Index
from accesspoint.gallery.store.store import Store
from airreid.signal import unit_rows

_NEEDLES, _LENGTH = 8, 24
_PIECE = 4 << 20
"""Bytes of a file that are searched at once."""


@dataclass(frozen=True)
class DeletionReport:
    """Numbers of finds, place by place; all zeros is the proof."""

    entries: tuple[int, ...]
    store: int
    """Rows of the entries, their features and thumbnails."""
    index: int
    """The entries in indexes in memory."""
    files: int
    """Pieces of them in the bytes of the gallery's file, its log and the snapshots."""
    free_pages: int
    """Pages that the file has and does not use."""
    log_bytes: int
    """Write-ahead log."""
    searched_bytes: int
    """Total size of the files, each read to its end."""
    needles: int
    """Pieces of bytes that were searched for; without one, ``files`` proves nothing."""

    @property
    def clean(self) -> bool:
        """Whether nothing was found anywhere."""
        return not any((self.store, self.index, self.files, self.free_pages, self.log_bytes))


def needles(
    features: Iterable[bytes], embeddings: Iterable[Array], thumbnails: Iterable[bytes]
) -> list[bytes]:
    """Returns pieces of the bytes that the store and the indexes hold of some entries.

    features and thumbnails as stored; embeddings (n, dim) of each index.
    """
    pieces: list[bytes] = []
    for data in features:
        pieces += _pieces(data)
    for rows in embeddings:
        for row in unit_rows(rows):
            pieces += _pieces(row.astype("<f4").tobytes())
            pieces += _pieces(row.astype("<f2").tobytes())
    for data in thumbnails:  # their latter half: all JPEG files begin with the same tables
        pieces += _pieces(data[len(data) // 2 :])
    return pieces


def _pieces(data: bytes) -> list[bytes]:
    """Returns up to eight pieces of 24 bytes, spread, without those that are one byte repeated
    or nearly so: they would be found anywhere."""
    step = max(_LENGTH, len(data) // _NEEDLES)
    pieces = [data[start : start + _LENGTH] for start in range(0, len(data), step)]
    return [piece for piece in pieces if len(piece) == _LENGTH and len(set(piece)) > 8]


def search(
    store: Store, indexes: Mapping[str, Index], ids: Sequence[int], pieces: Sequence[bytes]
) -> DeletionReport:
    """Looks for entries and pieces of bytes everywhere; changes nothing."""
    database, rows = store.database, 0
    for number in ids:
        rows += sum(
            database.row(f"SELECT count(*) FROM {table} WHERE {column} = ?", (number,))[0]
            for table, column in (("entries", "id"), ("features", "entry"), ("thumbnails", "entry"))
        )
    held = sum(int(np.isin(index.held()[0], ids).sum()) for index in indexes.values())
    matches = size = 0
    for read in _readers(store):
        searched, matched = _count(read, pieces)
        size, matches = size + searched, matches + matched
    log = store.path.with_name(store.path.name + "-wal")
    return DeletionReport(
        entries=tuple(ids),
        store=rows,
        index=held,
        files=matches,
        free_pages=database.row("PRAGMA freelist_count")[0],
        log_bytes=log.stat().st_size if log.exists() else 0,
        searched_bytes=size,
        needles=len(pieces),
    )


def _readers(store: Store) -> Iterator[Callable[[int, int], bytes]]:
    """Yields a function for each file that returns so many bytes from an offset.

    SQLite's locks are the process': closing any descriptor of a file that is locked drops them. So
    the gallery's file is read through the descriptor that is held of it, and the index of its log,
    which holds numbers of pages alone, is not opened.
    """
    path = store.path
    beside = (file for file in path.parent.glob(f"{path.name}?*") if not file.name.endswith("-shm"))
    yield store.database.bytes_at
    for file in (*beside, *(path.parent / "index").rglob("*")):
        if file.is_file():
            with file.open("rb", buffering=0) as opened:
                yield lambda size, offset, opened=opened: _bytes_at(opened, size, offset)  # type: ignore[misc]


def _bytes_at(file: io.FileIO, size: int, offset: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _count(read: Callable[[int, int], bytes], pieces: Sequence[bytes]) -> tuple[int, int]:
    """Returns the size of a file, and how many of the pieces are in it."""
    matched: set[bytes] = set()
    end, size = b"", 0
    while data := read(_PIECE, size):
        size += len(data)
        data = end + data  # a piece may lie across two
        matched |= {piece for piece in pieces if piece not in matched and piece in data}
        end = data[-(_LENGTH - 1) :]
    return size, sum(piece in matched for piece in pieces)
