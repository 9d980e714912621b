"""Reading of archives that somebody else may have made: nothing in them is taken on trust.

Members are read by the names that the manifest may have, never written to a file; no more
bytes are read than the manifest says and the limits allow; every line is checked as a
request would be.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from pydantic import BaseModel

from accesspoint.errors import ConflictError, WrongSpaceError
from accesspoint.gallery.maintenance.archive_format import (
    LINE_MAX,
    MANIFEST,
    MANIFEST_MAX,
    MEMBERS_MAX,
    ROWS,
    ArchiveManifest,
    Counts,
    EntryLine,
    OnConflict,
    SubjectLine,
    Tick,
)
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.store.store import Store
from airreid.errors import AirReidError, InputError
from airreid.validation import loaded

_LISTED_BYTES = 200
"""Bytes that a member takes in the list of members, at most."""
_END_BYTES = 22 + 65_535 + 20
"""Bytes from the end of a ZIP file in which the size of that list is found."""
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""Errors that ``zipfile`` raises for a file that is no archive, or a damaged one."""
Line = TypeVar("Line", bound=BaseModel)


class Target(Protocol):
    """The gallery that is imported into."""

    store: Store

    @property
    def space_id(self) -> str: ...

    @property
    def feature_dim(self) -> int: ...

    def enrol(self, entries: Sequence[NewEntry]) -> list[int]: ...

    def delete_entries(self, ids: Sequence[int]) -> list[bool]: ...


def read_archive(path: Path, gallery: Target, on_conflict: OnConflict, tick: Tick) -> Counts:
    """Imports in batches, each all or none.

    An entry is there already if its subject has one with the same feature, or the same
    client key: ``skip`` leaves it, ``replace`` puts the archive's in its place, and the
    archive's subjects' fields too; ``fail`` imports nothing if a single subject is there.
    Raises as :meth:`accesspoint.gallery.maintenance.maintenance.Maintenance.import_archive`
    does.
    """
    try:
        if _directory_bytes(path) > MEMBERS_MAX * _LISTED_BYTES:
            raise InputError(f"{path}: too many members, or two of one name")
        with zipfile.ZipFile(path) as archive:
            return _import(_Reader(path, archive), gallery, on_conflict, tick)
    except AirReidError:
        raise
    except _UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as an archive ({error})") from None


def _directory_bytes(path: Path) -> int:
    """Returns the size of a ZIP file's list of members, which is read whole when it is opened.

    0 where there is none; see APPNOTE.TXT 4.3.14 to 4.3.16.
    """
    with path.open("rb") as file:
        length = file.seek(0, 2)
        file.seek(max(0, length - _END_BYTES))
        tail = file.read()
        end = tail.rfind(b"PK\x05\x06")
        if end < 0 or end + 22 > len(tail):
            return 0
        locator = tail[max(0, end - 20) : end]
        size = int.from_bytes(tail[end + 12 : end + 16], "little")
        if not locator.startswith(b"PK\x06\x07"):
            return size
        file.seek(int.from_bytes(locator[8:16], "little"))
        return max(size * (size < 2**32 - 1), int.from_bytes(file.read(56)[40:48], "little"))


class _Reader:
    """An archive whose members are as its manifest says."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self._archive = path, archive
        infos = archive.infolist()
        names = [info.filename for info in infos]
        if len(names) > MEMBERS_MAX + 1 or len(set(names)) != len(names):
            raise InputError(f"{path}: too many members, or two of one name")
        if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
            raise InputError(f"{path}: compressed members; an archive has none")
        data = self._read(MANIFEST, MANIFEST_MAX)
        self.manifest = loaded(ArchiveManifest, data, f"{path}: {MANIFEST}", error=InputError)
        self._listed = {member.name: member for member in self.manifest.members}
        if {*self._listed, MANIFEST} != set(names) or len(self._listed) + 1 != len(names):
            raise InputError(f"{path}: its members are not those that {MANIFEST} lists")

    def _read(self, name: str, limit: int) -> bytes:
        try:
            with self._archive.open(name) as file:
                data = file.read(limit + 1)
        except KeyError:
            raise InputError(f"{self.path}: no {name}; not an archive of a gallery") from None
        if len(data) > limit:
            raise InputError(f"{self.path}: {name} is longer than it may be")
        return data

    def member(self, name: str) -> bytes:
        """Returns a member. Raises :class:`InputError` if it is not listed, or not as listed."""
        entry = self._listed.get(name)
        if entry is None:
            raise InputError(f"{self.path}: {name} is missing")
        if name.endswith(".jsonl") and entry.size > ROWS * LINE_MAX:
            raise InputError(f"{self.path}: {name} is longer than {ROWS} lines may be")
        data = self._read(name, entry.size)
        if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise InputError(f"{self.path}: {name} is damaged; export again")
        return data

    def parts(self, kind: str) -> list[str]:
        """Returns the numbers of a kind's members, in order."""
        return sorted(
            name.split("-")[1].split(".")[0] for name in self._listed if name.startswith(f"{kind}-")
        )

    def lines(self, name: str, kind: type[Line]) -> list[Line]:
        """Returns a member's lines. Raises :class:`InputError` naming a line that is wrong."""
        data = self.member(name)
        if data.count(b"\n") > ROWS or data.count(b"\r") > ROWS:
            raise InputError(f"{self.path}: {name}: more than {ROWS} lines")
        rows = data.splitlines()
        if len(rows) > ROWS:
            raise InputError(f"{self.path}: {name}: more than {ROWS} lines")
        lines = []
        for number, row in enumerate(rows, 1):
            where = f"{self.path}: {name}, line {number}"
            if len(row) > LINE_MAX:
                raise InputError(f"{where}: too long")
            lines.append(loaded(kind, row, where, error=InputError))
        return lines

    def entries(self, part: str) -> list[NewEntry]:
        """Returns the entries of a part, not yet checked as enrolment does."""
        lines = self.lines(f"entries-{part}.jsonl", EntryLine)
        data = self.member(f"features-{part}.f32")
        dim = self.manifest.feature_dim
        if len(data) != 4 * dim * len(lines):
            raise InputError(f"{self.path}: features-{part}.f32 does not fit its lines")
        features = np.frombuffer(data, "<f4").reshape(len(lines), dim).astype(np.float32)
        images = self.member(f"thumbnails-{part}.bin")
        if len(images) != sum(line.thumbnail for line in lines):
            raise InputError(f"{self.path}: thumbnails-{part}.bin does not fit its lines")
        entries, start = [], 0
        for line, feature in zip(lines, features, strict=True):
            end = start + line.thumbnail
            entries.append(
                NewEntry(
                    line.subject,
                    line.camera,
                    self.manifest.space_id,
                    feature,
                    line.captured_at,
                    line.quality,
                    images[start:end] or None,
                    line.expires_at,
                    line.model_digest,
                    line.key,
                )
            )
            start = end
        return entries


def _import(reader: _Reader, gallery: Target, on_conflict: OnConflict, tick: Tick) -> Counts:
    manifest, known = reader.manifest, gallery.store.subjects
    if manifest.space_id != gallery.space_id:
        raise WrongSpaceError(
            f"{reader.path}: of the feature space {manifest.space_id!r}; this gallery is of "
            f"{gallery.space_id!r}: export from a gallery that serves the same model"
        )
    if manifest.feature_dim != gallery.feature_dim:
        raise InputError(
            f"{reader.path}: {MANIFEST}: features of {manifest.feature_dim} values; those of this "
            f"space have {gallery.feature_dim}: export again"
        )
    if on_conflict == "fail":
        for part in reader.parts("subjects"):
            tick(0, manifest.entries)
            for line in reader.lines(f"subjects-{part}.jsonl", SubjectLine):
                if known.get(line.id) is not None:
                    raise ConflictError(f"subject {line.id} is there already; nothing imported")
    gallery.store.prepare_import()
    subjects = entries = skipped = 0
    for part in reader.parts("subjects"):
        tick(0, manifest.entries)
        for line in reader.lines(f"subjects-{part}.jsonl", SubjectLine):
            if on_conflict != "skip" or known.get(line.id) is None:
                known.put(line.id, line.display_name, line.note, line.expires_at)
            subjects += 1
    tick(0, manifest.entries)
    for part in reader.parts("entries"):
        batch = reader.entries(part)
        earlier = [gallery.store.same_entry(entry) for entry in batch]
        if on_conflict == "skip":
            batch = [entry for entry, number in zip(batch, earlier, strict=True) if not number]
            skipped += len(earlier) - len(batch)
        entries += len(gallery.enrol(batch))
        if on_conflict == "replace":
            gallery.delete_entries([number for number in earlier if number])
        tick(min(entries + skipped, manifest.entries), manifest.entries)
    return Counts(subjects, entries, skipped)
