"""Format of archives, which carry people to another gallery of the same feature space.

A ZIP file without compression: ``manifest.json``, ``subjects-N.jsonl``, and for each
thousand entries ``entries-N.jsonl``, ``features-N.f32`` (little-endian float32, a row for
each line) and ``thumbnails-N.bin`` (one after the other, their lengths in the lines).
The manifest, written last, has size and SHA-256 of every other member. Numbers and times
of creation stay behind: they are the importing gallery's to give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from accesspoint.gallery.records import TEXT_MAX, THUMBNAIL_MAX
from airreid.subject_ids import ID_MAX
from airreid.validation import FrozenModel

ROWS = 1000
"""Entries, or subjects, of one member."""
MEMBERS_MAX = 100_000
LINE_MAX = 16_384
MANIFEST, MANIFEST_MAX = "manifest.json", 32 << 20
OnConflict = Literal["skip", "replace", "fail"]
Tick = Callable[[int, int], None]
"""Progress: called with (done, total)."""
_Name = Annotated[str, Field(min_length=1, max_length=ID_MAX)]


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
    """List of the members, and the space that they are of."""

    format: Literal["airreid-gallery"] = "airreid-gallery"
    version: Literal[1] = 1
    space_id: Annotated[str, Field(max_length=256)]
    feature_dim: Annotated[int, Field(ge=1, le=65536)]
    subjects: Annotated[int, Field(ge=0)]
    entries: Annotated[int, Field(ge=0)]
    members: Annotated[tuple[Member, ...], Field(max_length=MEMBERS_MAX)]


class SubjectLine(FrozenModel):
    """A subject: one line of ``subjects-N.jsonl``."""

    id: _Name
    display_name: Annotated[str, Field(max_length=TEXT_MAX)] = ""
    note: Annotated[str, Field(max_length=TEXT_MAX)] = ""
    expires_at: float | None = None


class EntryLine(FrozenModel):
    """An entry: one line of ``entries-N.jsonl``."""

    subject: _Name
    camera: _Name
    captured_at: float | None = None
    quality: float | None = None
    expires_at: float | None = None
    model_digest: Annotated[str, Field(max_length=64)] = ""
    key: Annotated[str, Field(max_length=ID_MAX)] = ""
    thumbnail: Annotated[int, Field(ge=0, le=THUMBNAIL_MAX)] = 0
    """Its length in bytes in the thumbnails' member; 0 for none."""


@dataclass(frozen=True)
class Counts:
    """Numbers of subjects and entries written to an archive, or read from one."""

    subjects: int
    entries: int
    skipped: int = 0
    """Entries left out, since they were there already."""
