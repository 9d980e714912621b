"""Snapshots: segments on disk, for a quick start, in a folder for each index.

``manifest.json`` names the segments' files with size and SHA-256, and the store, space and
scheme that they are of; its own last line is its SHA-256. Files are written under
another name, synced, renamed, and the folder synced, so that a kill or a power cut leaves
the old snapshot or the new one. Whatever does not fit is left out and made anew from the
store; a snapshot is never the only copy of anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from io import BufferedReader
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from accesspoint.gallery.search.index import IndexSpec
from accesspoint.gallery.search.segment import CodedSegment, Kind, Segment, flat
from airreid import log
from airreid.descriptors import is_exhausted
from airreid.disk import open_private, private_folder, read_regular, sync_folder
from airreid.validation import FrozenModel

MANIFEST = "manifest.json"
_ALIGN = 4096
_CHUNK = 1 << 22
_MANIFEST_MAX = 64 << 20
_DTYPES = {
    "flat": {"ids": "<i8", "digests": "<i8", "vectors": "<f4"},
    "sq8": {"ids": "<i8", "digests": "<i8", "codes": "|u1", "vectors": "<f2"},
}


class _SegmentFile(FrozenModel):
    file: Annotated[str, Field(pattern=r"^[0-9a-f]{32}\.segment$")]
    kind: Kind
    rows: Annotated[int, Field(ge=1, le=2**31)]
    size: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Manifest(FrozenModel):
    format: Annotated[int, Field(ge=2, le=2)] = 2
    spec: dict[str, str | int]
    position: Annotated[int, Field(ge=0)]
    """Position in the log of changes up to which the segments are complete."""
    segments: tuple[_SegmentFile, ...]


class Snapshots:
    """The snapshot of one index. One thread at a time uses it."""

    def __init__(self, spec: IndexSpec) -> None:
        assert spec.folder is not None
        self._folder = spec.folder / spec.scheme_id
        fields = asdict(spec)
        del fields["folder"]
        self._spec: dict[str, str | int] = fields
        self._complete = False
        """Whether there is a manifest, as far as this process knows."""
        self._files: dict[int, tuple[Segment, _SegmentFile]] = {}
        """Files by the segment's id(); the segment beside keeps that from being reused."""

    def load(self, read_only: bool = False) -> list[Segment]:
        """Reads the segments that are whole and of this index; the rest is removed, unless
        ``read_only``."""
        segments: list[Segment] = []
        try:
            manifest = self._manifest()
        except OSError as error:
            log.warning("snapshot_not_read", error=str(error))
            return []
        self._complete = manifest is not None
        for entry in manifest.segments if manifest else ():
            try:
                segment = self._read(entry)
            except (OSError, ValueError) as error:
                if is_exhausted(error):  # nothing is known of the files: they stay
                    log.warning("snapshot_not_read", error=str(error))
                    self._files.clear()
                    return []
                log.warning("snapshot_damaged", file=entry.file, error=str(error))
                continue
            self._files[id(segment)] = (segment, entry)
            segments.append(segment)
        if not read_only:
            self._clean()
        return segments

    def _manifest(self) -> _Manifest | None:
        path = self._folder / MANIFEST
        try:
            body, _, check = read_regular(path, _MANIFEST_MAX).rstrip(b"\n").rpartition(b"\n")
            if hashlib.sha256(body).hexdigest().encode() != check:
                raise ValueError("its checksum differs")
            manifest = _Manifest.model_validate_json(body)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, ValidationError) as error:
            if is_exhausted(error):
                raise
            log.warning("snapshot_damaged", file=str(path), error=str(error).split("\n")[0])
            return None
        if manifest.spec != self._spec:
            log.event("snapshot_of_another_index", file=str(path))
            return None
        return manifest

    def _read(self, entry: _SegmentFile) -> Segment:
        path = self._folder / entry.file
        dim = int(self._spec["dim"])
        places, size = _layout(entry.kind, entry.rows, dim)
        with path.open("rb") as file:
            if size != entry.size:
                raise ValueError("its size differs")
            _compare(file, entry)
            return _segment(path, file, entry.kind, places)

    def problem(self) -> str:
        """Reads what is on disk. Returns how it differs from what was written; empty if it does
        not."""
        try:
            if self._complete and self._manifest() is None:
                return f"{MANIFEST} of its snapshot is damaged"
        except OSError as error:
            return f"{MANIFEST} of its snapshot cannot be read now ({error.strerror})"
        for _, entry in self._files.values():
            try:
                with (self._folder / entry.file).open("rb") as file:
                    _compare(file, entry)
            except (OSError, ValueError) as error:
                if is_exhausted(error):
                    return f"{entry.file} of its snapshot cannot be read now ({error})"
                return f"{entry.file} of its snapshot is damaged ({error})"
        return ""

    def put(self, segment: Segment) -> Segment:
        """Writes a segment. Returns it, with its vectors mapped from the file if they may be."""
        private_folder(self._folder)
        name = f"{uuid.uuid4().hex}.segment"
        arrays = segment.arrays()
        dim = int(self._spec["dim"])
        places, size = _layout(segment.kind, len(segment), dim)
        digest = hashlib.sha256()
        with self._replacing(name) as file:
            for part in _bytes(arrays, places, size):
                digest.update(part)
                file.write(part)
        entry = _SegmentFile(
            file=name,
            kind=segment.kind,
            rows=len(segment),
            size=size,
            sha256=digest.hexdigest(),
        )
        if segment.kind == "sq8":
            path = self._folder / name
            with path.open("rb") as file:
                segment = _segment(path, file, "sq8", places)
        self._files[id(segment)] = (segment, entry)
        return segment

    def save(self, segments: Sequence[Segment], position: int) -> None:
        """Writes what is not written yet, then the manifest; removes all other files.

        Raises :class:`OSError`, and then the snapshot before is still there.
        """
        for segment in segments:
            if id(segment) not in self._files:
                self.put(segment)
        used = {id(segment): self._files[id(segment)] for segment in segments}
        manifest = _Manifest(
            spec=self._spec, position=position, segments=tuple(e for _, e in used.values())
        )
        body = json.dumps(manifest.model_dump(), sort_keys=True).encode()
        private_folder(self._folder)
        with self._replacing(MANIFEST) as file:
            file.write(body + b"\n" + hashlib.sha256(body).hexdigest().encode() + b"\n")
        sync_folder(self._folder)
        sync_folder(self._folder.parent)
        self._complete = True
        self._files = used
        self._clean()

    @contextlib.contextmanager
    def _replacing(self, name: str) -> Iterator[IO[bytes]]:
        """Opens a file that gets its name once it is whole and synced."""
        temporary = self._folder / f"{name}.tmp"
        try:
            with open_private(temporary) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._folder / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _clean(self) -> None:
        if not self._folder.is_dir():
            return
        used = {MANIFEST, *(entry.file for _, entry in self._files.values())}
        for path in self._folder.iterdir():
            if path.name not in used and path.suffix in (".segment", ".tmp"):
                path.unlink()


def _compare(file: BufferedReader, entry: _SegmentFile) -> None:
    """Raises :class:`ValueError` for a file that is not the one that was written."""
    if os.fstat(file.fileno()).st_size != entry.size:
        raise ValueError("its size differs")
    if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
        raise ValueError("its checksum differs")


def _layout(kind: Kind, rows: int, dim: int) -> tuple[dict[str, tuple[int, tuple[int, ...]]], int]:
    """Returns offset and shape of each array of a file, and the file's size in bytes."""
    places, offset = dict[str, tuple[int, tuple[int, ...]]](), 0
    for name, dtype in _DTYPES[kind].items():
        shape = (rows,) if name in ("ids", "digests") else (rows, dim)
        if kind == "flat" and name == "vectors":
            shape = (dim, rows)
        places[name] = (offset, shape)
        length = int(np.prod(shape)) * np.dtype(dtype).itemsize
        offset += -(-length // _ALIGN) * _ALIGN
    return places, offset


def _bytes(
    arrays: dict[str, NDArray[np.generic]],
    places: dict[str, tuple[int, tuple[int, ...]]],
    size: int,
) -> Iterator[memoryview]:
    """Yields a file's contents in pieces, each array at its place, zeros between."""
    ends = [*(offset for offset, _ in list(places.values())[1:]), size]
    for (name, (offset, shape)), end in zip(places.items(), ends, strict=True):
        data = _view(np.ascontiguousarray(arrays[name]).reshape(shape))
        for start in range(0, len(data), _CHUNK):
            yield data[start : start + _CHUNK]
        yield memoryview(bytes(end - offset - len(data)))


def _segment(
    path: Path, file: BufferedReader, kind: Kind, places: dict[str, tuple[int, tuple[int, ...]]]
) -> Segment:
    def read(name: str) -> Any:
        offset, shape = places[name]
        file.seek(offset)
        array = np.empty(shape, _DTYPES[kind][name])
        if file.readinto(_view(array)) != array.nbytes:
            raise ValueError("it is cut off")
        return array

    ids, digests = read("ids"), read("digests")
    if not (np.diff(ids) > 0).all():
        raise ValueError("its entries are not in order")
    if kind == "flat":
        return flat(ids, digests, read("vectors").T)
    offset, shape = places["vectors"]
    vectors = np.memmap(path, dtype="<f2", mode="r", offset=offset, shape=shape)
    return CodedSegment(ids, digests, read("codes"), vectors)


def _view(array: Any) -> memoryview:
    return memoryview(array).cast("B")
