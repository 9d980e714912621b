"""Archives: what a gallery serves, for another gallery of the same feature space.

A ZIP file without compression: ``manifest.json``, ``subjects-N.jsonl``, and for each
thousand entries ``entries-N.jsonl``, ``features-N.f32`` (little-endian float32, a row for
each line) and ``thumbnails-N.bin`` (one after the other, their lengths in the lines).
The manifest, written last, has size and SHA-256 of every other member. Numbers and times
of creation stay behind: they are the importing gallery's to give.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from accesspoint.gallery.records import NAME_MAX, TEXT_MAX, THUMBNAIL_MAX, Entry
from accesspoint.gallery.store.store import Store
from airreid.errors import InputError
from airreid.validation import FrozenModel

ROWS = 1000
"""Entries, or subjects, of one member."""
MEMBERS_MAX = 100_000
LINE_MAX = 16_384
MANIFEST, MANIFEST_MAX = "manifest.json", 32 << 20
OnConflict = Literal["skip", "replace", "fail"]
Tick = Callable[[int, int], None]
_Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX)]


class Member(FrozenModel):
    """A file of the archive."""

    name: Annotated[
        str,
        Field(
            pattern=r"^(subjects|entries)-[0-9]{5}\.jsonl$|^features-[0-9]{5}\.f32$|"
            r"^thumbnails-[0-9]{5}\.bin$"
        ),
    ]
    size: Annotated[int, Field(ge=0, le=ROWS * (THUMBNAIL_MAX + 65536 * 4))]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ArchiveManifest(FrozenModel):
    format: Literal["airreid-gallery"] = "airreid-gallery"
    version: Literal[1] = 1
    space_id: Annotated[str, Field(max_length=256)]
    feature_dim: Annotated[int, Field(ge=1, le=65536)]
    subjects: Annotated[int, Field(ge=0)]
    entries: Annotated[int, Field(ge=0)]
    members: Annotated[tuple[Member, ...], Field(max_length=MEMBERS_MAX)]


class SubjectLine(FrozenModel):
    id: _Name
    display_name: Annotated[str, Field(max_length=TEXT_MAX)] = ""
    note: Annotated[str, Field(max_length=TEXT_MAX)] = ""
    expires_at: float | None = None


class EntryLine(FrozenModel):
    subject: _Name
    camera: _Name
    captured_at: float | None = None
    quality: float | None = None
    expires_at: float | None = None
    model_digest: Annotated[str, Field(max_length=64)] = ""
    key: Annotated[str, Field(max_length=NAME_MAX)] = ""
    thumbnail: Annotated[int, Field(ge=0, le=THUMBNAIL_MAX)] = 0
    """Bytes of it in the thumbnails' member; 0 for none."""


@dataclass(frozen=True)
class Counts:
    """What went into an archive, or from one into a gallery."""

    subjects: int
    entries: int
    skipped: int = 0
    """Entries left out, since they were there already."""


def write_archive(path: Path, store: Store, space_id: str, feature_dim: int, tick: Tick) -> Counts:
    """Writes everything of a space. The file is whole when it gets its name.

    Raises :class:`InputError` if it is there already or cannot be written.
    """
    if path.exists():
        raise InputError(f"{path}: exists already; give the archive another name")
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                counts = _write(archive, store, space_id, feature_dim, tick)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error})") from None
    finally:
        temporary.unlink(missing_ok=True)
    return counts


def _write(
    archive: zipfile.ZipFile, store: Store, space_id: str, feature_dim: int, tick: Tick
) -> Counts:
    members: list[Member] = []

    def put(name: str, data: bytes) -> None:
        archive.writestr(zipfile.ZipInfo(name), data)
        digest = hashlib.sha256(data).hexdigest()
        members.append(Member(name=name, size=len(data), sha256=digest))

    subjects = entries = 0
    for i, lines in enumerate(_subject_lines(store)):
        put(f"subjects-{i:05}.jsonl", _jsonl(lines))
        subjects += len(lines)
    total, after, part = store.spaces().get(space_id, 0), 0, 0
    tick(0, total)
    while page := store.entries(after, ROWS, space_id=space_id):
        after = page[-1].id
        features = store.features([entry.id for entry in page], space_id)
        there = set(features.ids.tolist())  # without those deleted since the page was read
        kept = [entry for entry in page if entry.id in there]
        thumbnails = [store.thumbnail(entry.id) or b"" for entry in kept]
        lines = [_line(e, len(t)) for e, t in zip(kept, thumbnails, strict=True)]
        put(f"entries-{part:05}.jsonl", _jsonl(lines))
        put(f"features-{part:05}.f32", features.features.astype("<f4").tobytes())
        put(f"thumbnails-{part:05}.bin", b"".join(thumbnails))
        part, entries = part + 1, entries + len(kept)
        tick(min(entries, total), total)
    manifest = ArchiveManifest(
        space_id=space_id,
        feature_dim=feature_dim,
        subjects=subjects,
        entries=entries,
        members=tuple(members),
    )
    archive.writestr(zipfile.ZipInfo(MANIFEST), manifest.model_dump_json(indent=1))
    return Counts(subjects, entries)


def _subject_lines(store: Store) -> Iterator[list[BaseModel]]:
    after = ""
    while page := store.subjects(after, ROWS):
        after = page[-1].id
        yield [
            SubjectLine(
                id=one.id,
                display_name=one.display_name,
                note=one.note,
                expires_at=one.expires_at,
            )
            for one in page
        ]


def _line(entry: Entry, thumbnail: int) -> BaseModel:
    return EntryLine(
        subject=entry.subject,
        camera=entry.camera,
        captured_at=entry.captured_at,
        quality=entry.quality,
        expires_at=entry.expires_at,
        model_digest=entry.model_digest,
        key=entry.key,
        thumbnail=thumbnail,
    )


def _jsonl(lines: list[BaseModel]) -> bytes:
    return b"".join(line.model_dump_json().encode() + b"\n" for line in lines)
