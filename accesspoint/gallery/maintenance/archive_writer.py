"""Writing of archives: see :mod:`accesspoint.gallery.maintenance.archive_format`."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from accesspoint.gallery.maintenance.archive_format import (
    MANIFEST,
    ROWS,
    ArchiveManifest,
    Counts,
    EntryLine,
    Member,
    SubjectLine,
    Tick,
)
from accesspoint.gallery.records import Entry
from accesspoint.gallery.store.store import Store
from airreid.disk import open_private
from airreid.errors import InputError


def write_archive(path: Path, store: Store, space_id: str, feature_dim: int, tick: Tick) -> Counts:
    """Writes the subjects, and the entries of a space. The file is whole when it gets its name.

    Raises :class:`InputError` if it is there already or cannot be written.
    """
    if path.exists():
        raise InputError(f"{path}: exists already; give the archive another name")
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.unlink(missing_ok=True)
        with open_private(temporary, "x+b") as file:
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
        present = set(features.ids.tolist())  # without those deleted since the page was read
        page = [entry for entry in page if entry.id in present]
        thumbnails = [store.thumbnail(entry.id) or b"" for entry in page]
        lines = [_line(e, len(t)) for e, t in zip(page, thumbnails, strict=True)]
        put(f"entries-{part:05}.jsonl", _jsonl(lines))
        put(f"features-{part:05}.f32", features.features.astype("<f4").tobytes())
        put(f"thumbnails-{part:05}.bin", b"".join(thumbnails))
        part, entries = part + 1, entries + len(page)
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
    while page := store.subjects.page(after, ROWS):
        after = page[-1].id
        yield [
            SubjectLine(
                id=subject.id,
                display_name=subject.display_name,
                note=subject.note,
                expires_at=subject.expires_at,
            )
            for subject in page
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
