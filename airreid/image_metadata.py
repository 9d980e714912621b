"""Metadata of image files: the orientation tag, and bounds of what Pillow reads of the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from airreid.errors import InputError

VALUES_MAX = 65_536
"""Numbers of one tag, at most."""
_IFDS_MAX = 16
_ORIENTATION = 0x0112
_SUB_IFDS = frozenset({0x8769, 0x8825, 0xA005})
"""Tags that point to further directories: Exif, GPS, interoperability."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_SIZES |= {13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value of each type of TIFF 6.0 and BigTIFF."""
_BYTES = frozenset({1, 2, 6, 7})
_EXIF = b"Exif\0\0"
_EXIF_ITEM = re.compile(rb"(infe.{8,10})Exif", re.DOTALL)
"""Entry of an Exif item in a HEIF or AVIF file (ISO/IEC 14496-12, 8.11.6)."""


@dataclass(frozen=True)
class _Tag:
    number: int
    kind: int
    count: int
    value: int
    """Value, or offset of the values where they take more room than it."""
    outside: int
    """Bytes of the values, where they lie elsewhere."""


def _tags(tiff: bytes, start: int, order: Literal["little", "big"], big: bool) -> Iterator[_Tag]:
    """Yields the tags of one directory, as far as it is there."""
    head, size, wide = (8, 20, 8) if big else (2, 12, 4)
    count = int.from_bytes(tiff[start : start + head], order)
    for position in range(start + head, start + head + size * count, size):
        entry = tiff[position : position + size]
        if len(entry) < size:
            return
        kind = int.from_bytes(entry[2:4], order)
        values = int.from_bytes(entry[4 : 4 + wide], order)
        bytes_ = _SIZES.get(kind, 1) * values
        field = entry[4 + wide :]
        inline = field[: _SIZES.get(kind, 1)] if bytes_ <= wide else field
        yield _Tag(
            int.from_bytes(entry[:2], order),
            kind,
            values,
            int.from_bytes(inline, order),
            bytes_ if bytes_ > wide else 0,
        )


def _header(tiff: bytes) -> tuple[Literal["little", "big"], bool, int] | None:
    """Reads (byte order, whether it is BigTIFF, offset of the first directory)."""
    order: Literal["little", "big"]
    if tiff[:2] == b"II":
        order = "little"
    elif tiff[:2] == b"MM":
        order = "big"
    else:
        return None
    if int.from_bytes(tiff[2:4], order) == 43:
        return order, True, int.from_bytes(tiff[8:16], order)
    return order, False, int.from_bytes(tiff[4:8], order)


def orientation_of(exif: object) -> int:
    """Returns the orientation of Exif 2.32, 4.6.4, 1 to 8; 1 for none and for damaged data."""
    if not isinstance(exif, bytes):
        return 1
    tiff = exif.removeprefix(_EXIF)
    header = _header(tiff)
    if header is None:
        return 1
    order, big, start = header
    for tag in _tags(tiff, start, order, big):
        if tag.number == _ORIENTATION:
            return tag.value if tag.kind == 3 and 1 <= tag.value <= 8 else 1
    return 1


def check_directories(tiff: bytes, name: str) -> None:
    """Raises :class:`InputError` for directories that name more values than there are bytes.

    Pillow copies the values of every tag: thousands of tags over the same bytes take any memory.
    """
    header = _header(tiff)
    if header is None:
        return
    order, big, first = header
    waiting, total, read = [first], 0, 0
    while waiting and read < _IFDS_MAX:
        start = waiting.pop()
        read += 1
        for tag in _tags(tiff, start, order, big):
            total += tag.outside
            if tag.count > VALUES_MAX and tag.kind not in _BYTES:
                raise InputError(f"{name}: a tag of {tag.count} values; save it anew")
            if total > len(tiff):
                raise InputError(f"{name}: more metadata than the file has bytes; save it anew")
            if tag.number in _SUB_IFDS:
                waiting.append(tag.value)


def without_exif_item(data: bytes) -> bytes:
    """Hides the Exif item of a HEIF or AVIF file, whose orientation is a property of its own."""
    return _EXIF_ITEM.sub(rb"\1Exix", data)


def exif_of_segments(segments: Iterator[bytes]) -> bytes:
    """Joins the Exif segments of a JPEG file as Pillow does; segments without marker and length."""
    return b"".join(part.removeprefix(_EXIF) for part in segments if part.startswith(_EXIF))
