"""Bounds of the work and memory that an image file may cost, known before it is decoded."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from airreid import memory
from airreid.errors import InputError
from airreid.image_metadata import check_directories, exif_of_segments

SCANS_MAX = 64
"""Scans of a JPEG file. A progressive one has ten; each costs as much as a whole image."""
SCANNED_PIXELS_MAX = 500_000_000
"""Pixels times scans of a JPEG file: 50 million pixels in ten scans."""
PARTS_MAX = 65_536
"""Chunks of a PNG file, or segments before the first scan of a JPEG file."""
DECODERS = 2
"""Images that are decoded at once."""
TURN_PIXELS = 50_000_000
"""Pixels of all images that are decoded at once, unless a single one has more."""
SMALL_PIXELS = 1_000_000
"""Pixels of an image that is decoded without a turn: it takes next to nothing."""
_TRIM_PIXELS = 4_000_000
"""Pixels of an image whose memory is given back to the system at once."""
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_TIFFS, _APP1 = (b"II", b"MM"), b"\xff\xe1"
_START_OF_SCAN = b"\xff\xda"
_OFFSETS = (273, 324)
"""Tags StripOffsets and TileOffsets of TIFF 6.0."""
_DNG_VERSION = 50706


def scans_of(data: bytes, name: str) -> int:
    """Returns how often a decoder goes over an image: the scans of a JPEG file, else 1.

    Raises :class:`InputError` for more scans, segments or chunks than any picture needs.
    """
    if data.startswith(_PNG):
        _check_parts(_png_chunks(data), name)
        return 1
    if data.startswith(_TIFFS):
        check_directories(data, name)
    if not data.startswith(_JPEG):
        return 1
    position = _check_parts(_jpeg_segments(data), name)
    exif = exif_of_segments(
        data[start + 4 : start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")]
        for start in _jpeg_segments(data)
        if data[start : start + 2] == _APP1
    )
    check_directories(exif, name)
    scans = 0
    while (position := data.find(_START_OF_SCAN, position)) >= 0:
        scans += 1
        position += 2
        if scans > SCANS_MAX:
            raise InputError(f"{name}: over {SCANS_MAX} scans; save it as a usual JPEG file")
    return max(1, scans)


def tiff_scans(image: Image.Image, data: bytes, name: str) -> int:
    """Returns the most scans that a tile of a TIFF file can have; 1 for other formats.

    Raises :class:`InputError` for a camera's raw file, whose pixels are no picture yet.
    """
    if not isinstance(image, TiffImageFile):
        return 1
    if _DNG_VERSION in image.tag_v2:
        raise InputError(f"{name}: a camera's raw file (DNG); export it as a JPEG file")
    if "jpeg" not in str(image.info.get("compression", "")):
        return 1
    tiles = max(len(_listed(image.tag_v2.get(tag))) for tag in _OFFSETS)
    return max(1, data.count(_START_OF_SCAN) - tiles + 1)


def _listed(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else ()


def check_work(pixels: int, scans: int, name: str) -> None:
    """Raises :class:`InputError` for a JPEG file that takes too long to decode."""
    if pixels * scans > SCANNED_PIXELS_MAX:
        raise InputError(f"{name}: {pixels} pixels in {scans} scans; crop the person out first")


def _check_parts(positions: Iterator[int], name: str) -> int:
    """Returns the last position. Raises :class:`InputError` for too many."""
    last = 0
    for number, last in enumerate(positions, 1):  # noqa: B007
        if number > PARTS_MAX:
            raise InputError(f"{name}: over {PARTS_MAX} parts; save it anew")
    return last


def _png_chunks(data: bytes) -> Iterator[int]:
    position = len(_PNG)
    while position + 8 <= len(data):
        yield position
        position += 12 + int.from_bytes(data[position : position + 4], "big")


def _jpeg_segments(data: bytes) -> Iterator[int]:
    """Yields the positions of segments, that of the first scan last."""
    position = len(_JPEG)
    while position + 4 <= len(data):
        yield position
        marker = data[position : position + 2]
        if marker == _START_OF_SCAN:
            return
        if marker[0] != 0xFF or marker[1] in (0x00, 0xFF):  # padding, which Pillow skips too
            position += 1
        elif 0xD0 <= marker[1] <= 0xD9 or marker[1] == 0x01:  # without a length
            position += 2
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")


class PixelTurns:
    """Turns to decode: a few images at once, and no more pixels than the budget; thread-safe."""

    def __init__(self, decoders: int = DECODERS, pixels: int = TURN_PIXELS) -> None:
        self._decoders, self._budget = decoders, pixels
        self._changed = threading.Condition()
        self._decoding = self._pixels = 0

    @contextlib.contextmanager
    def turn(self, pixels: int) -> Iterator[None]:
        """Waits until an image of so many pixels may be decoded; an image alone always may.

        A small one needs no turn.
        """
        if pixels <= SMALL_PIXELS:
            yield
            return
        with self._changed:
            self._changed.wait_for(lambda: self._has_room(pixels))
            self._decoding += 1
            self._pixels += pixels
        try:
            yield
        finally:
            with self._changed:
                self._decoding -= 1
                self._pixels -= pixels
                self._changed.notify_all()
            if pixels > _TRIM_PIXELS:
                memory.give_back()

    def _has_room(self, pixels: int) -> bool:
        if not self._decoding:
            return True
        return self._decoding < self._decoders and self._pixels + pixels <= self._budget
