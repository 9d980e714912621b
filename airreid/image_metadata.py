"""Metadata of image files: the orientation tag, and bounds of what Pillow reads of the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airreid.errors import InputError

VALUES_MAX = 65_536
"""Numbers of one tag, at most."""
_IFDS_MAX = 16
_ORIENTATION = 0x0112
_EXIF_IFD, _GPS_IFD, _INTEROPERABILITY_IFD = 0x8769, 0x8825, 0xA005
_INTEROPERABILITY_INDEX = 0x0001
_SUB_IFDS = frozenset({_EXIF_IFD, _GPS_IFD, _INTEROPERABILITY_IFD})
"""Tags that point to further directories: Exif, GPS, interoperability."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_SIZES |= {13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value of each type of TIFF 6.0 and BigTIFF."""
_TEXT = 2
_BYTES = frozenset({1, _TEXT, 6, 7})
_EXIF = b"Exif\0\0"
_TEXTS = ("Raw profile type exif", "Raw profile type APP1")
"""Keys of texts in PNG files that hold Exif data."""
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\b")
_EXIF_ITEM = re.compile(rb"(infe.{8,10})Exif", re.DOTALL)
"""Entry of an Exif item in a HEIF or AVIF file (ISO/IEC 14496-12, 8.11.6)."""


@dataclass(frozen=True)
class _Tag:
    number: int
    kind: int
    count: int
    value: int
    """First value, or all characters; offset of the values where they take more room than it."""
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
        first = bytes_ if kind == _TEXT else _SIZES.get(kind, 1)
        inline = field[:first] if bytes_ <= wide else field
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


def orientation_of(info: Mapping[Any, Any], with_xmp: bool) -> int:
    """Returns the orientation that a file's metadata say, 1 to 8; 1 for none and for damaged data.

    ``info``: Pillow's. Exif (2.32, 4.6.4) counts first, also as text in a PNG file; then XMP's
    ``tiff:Orientation``, if ``with_xmp``.
    """
    exif = info.get("exif")
    for name in _TEXTS:
        if exif is None and isinstance(info.get(name), str):
            exif = _of_text(info[name])
    if isinstance(exif, bytes):
        tiff = exif.removeprefix(_EXIF)
        for tag in _first_directory(tiff):
            if tag.number == _ORIENTATION:
                return tag.value if tag.kind == 3 and 1 <= tag.value <= 8 else 1
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") if with_xmp else None
    if isinstance(xmp, str):
        xmp = xmp.encode()
    match = _XMP_ORIENTATION.search(xmp) if isinstance(xmp, bytes) else None
    return int(match[1]) if match else 1


def _of_text(text: str) -> bytes | None:
    """Reads Exif data that ImageMagick and ExifTool write as text: a name, a length, hex digits."""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return None


def is_adobe_rgb(exif: object) -> bool:
    """Says whether the interoperability index of Exif data is R03: AdobeRGB (DCF 2.0)."""
    if not isinstance(exif, bytes):
        return False
    tiff = exif.removeprefix(_EXIF)
    header = _header(tiff)
    if header is None:
        return False
    order, big, start = header
    for pointer in (_EXIF_IFD, _INTEROPERABILITY_IFD):
        tags = _tags(tiff, start, order, big)
        start = next((tag.value for tag in tags if tag.number == pointer), 0)
        if not start:
            return False
    wanted = int.from_bytes(b"R03\0", order)
    return any(
        tag.number == _INTEROPERABILITY_INDEX and tag.value == wanted
        for tag in _tags(tiff, start, order, big)
    )


def _first_directory(tiff: bytes) -> Iterator[_Tag]:
    header = _header(tiff)
    if header is not None:
        order, big, start = header
        yield from _tags(tiff, start, order, big)


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
