"""Subjects, entries and answers of the gallery, as values."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accesspoint.errors import WrongSpaceError
from airreid.bundle import BackboneInfo
from airreid.errors import InputError
from airreid.subject_ids import ID_MAX, is_id
from airreid.wire import check_feature

TEXT_MAX, THUMBNAIL_MAX = 2000, 256 * 1024
"""Longest display name or note (characters), largest thumbnail (bytes)."""
_DIGEST = re.compile(r"[0-9a-f]{0,64}")


@dataclass(frozen=True)
class NewEntry:
    """An entry to be stored; ``feature`` is float32 (feature_dim,). Times are seconds
    since 1970, UTC."""

    subject: str
    camera: str
    space_id: str
    feature: NDArray[np.float32]
    captured_at: float | None = None
    quality: float | None = None
    """Quality of the image from 0, useless, to 1; None if it was not assessed."""
    thumbnail: bytes | None = field(default=None, repr=False)
    """An encoded image, from which a change of model encodes the feature anew."""
    expires_at: float | None = None
    model_digest: str = ""
    """Hex SHA-256 of the backbone's file; empty where the feature came from outside."""
    key: str = ""
    """The client's own name for the entry: a second one of the same subject with it
    takes the place of the first."""


@dataclass(frozen=True)
class Entry:
    """A stored entry, without its feature."""

    id: int
    """Number, given once and never to another entry."""
    subject: str
    camera: str
    space_id: str
    created_at: float
    captured_at: float | None = None
    quality: float | None = None
    expires_at: float | None = None
    has_thumbnail: bool = False
    model_digest: str = ""
    key: str = ""


@dataclass(frozen=True)
class Subject:
    """A person who is known, with or without entries."""

    id: str
    display_name: str
    note: str
    created_at: float
    updated_at: float
    entries: int
    expires_at: float | None


@dataclass(frozen=True)
class Change:
    """A line of the log of changes."""

    seq: int
    kind: Literal["add", "delete", "move"]
    """``move``: the entry belongs to another subject from here on."""
    entry: int


@dataclass(frozen=True)
class Match:
    """A subject that was found, by its best entry."""

    subject: str
    score: float
    entry_id: int
    camera: str


@dataclass(frozen=True)
class SearchResult:
    """Subjects and entries that are nearest to one embedding."""

    matches: list[Match]
    """Best first, each subject once."""
    entry_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    """Cosine similarity of each of ``entry_ids``."""
    went_deep: bool = False
    """Whether it took many thousands of entries to meet as many subjects as were wanted, which
    costs as much as many other searches."""


@dataclass(frozen=True)
class Unset:
    """Stands for a field that a patch leaves as it is."""


UNSET = Unset()


def check_name(name: str, what: str) -> str:
    """Returns a subject's or camera's id as it is. Raises :class:`InputError` naming ``what``."""
    if not is_id(name):
        raise InputError(
            f"{what} {name[:40]!r}: use 1 to {ID_MAX} letters, digits and . _ : @ + -, "
            "beginning with a letter or digit"
        )
    return name


def check_text(text: str, what: str) -> str:
    """Returns a display name or note as it is. Raises :class:`InputError` naming ``what``."""
    if len(text) > TEXT_MAX or any(c < " " and c not in "\n\t" for c in text) or "\x7f" in text:
        raise InputError(f"{what}: use at most {TEXT_MAX} characters, no control characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{what}: not valid Unicode text") from None
    return text


def check_time(value: float | None, what: str) -> float | None:
    """Returns seconds since 1970, to the year 9999, as they are. Raises :class:`InputError`
    naming ``what``."""
    if value is not None and not (math.isfinite(value) and 0 <= value < 253402300800):
        raise InputError(f"{what} {value}: use seconds since 1970")
    return value


def check_entry(entry: NewEntry, backbone: BackboneInfo) -> None:
    """Raises :class:`InputError` for an entry that cannot be enrolled: a bad field, a feature
    of another space than the backbone's (:class:`WrongSpaceError`) or of another length, one
    that is not finite or too short to be compared."""
    _check_fields(entry)
    if entry.space_id != backbone.space_id:
        raise WrongSpaceError(
            f"feature of space {entry.space_id[:64]!r}; this gallery holds "
            f"{backbone.space_id!r}: encode it with the bundle that is served"
        )
    if entry.feature.shape != (backbone.feature_dim,):
        raise InputError(f"feature of {entry.subject}: needs {backbone.feature_dim} values")
    check_feature(entry.feature, f"feature of {entry.subject}")


def _check_fields(entry: NewEntry) -> None:
    check_name(entry.subject, "subject")
    check_name(entry.camera, "camera")
    if entry.key:
        check_name(entry.key, "key")
    check_time(entry.captured_at, "captured_at")
    check_time(entry.expires_at, "expires_at")
    if entry.quality is not None and not 0 <= entry.quality <= 1:
        raise InputError(f"quality {entry.quality}: use 0 to 1")
    if not _DIGEST.fullmatch(entry.model_digest):
        raise InputError("model_digest: use hexadecimal digits of a SHA-256, or none")
    if entry.thumbnail is not None and not 0 < len(entry.thumbnail) <= THUMBNAIL_MAX:
        raise InputError(
            f"thumbnail of {entry.subject}: {len(entry.thumbnail)} bytes; use 1 to {THUMBNAIL_MAX}"
        )


def digest(feature: bytes) -> int:
    """Returns 64 bits of BLAKE2b over a stored feature, as SQLite and NumPy hold them: signed.

    An index keeps it beside the entry's number, and so proves to be of this very store.
    """
    return int.from_bytes(hashlib.blake2b(feature, digest_size=8).digest(), "little", signed=True)
