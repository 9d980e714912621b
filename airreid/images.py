"""From an image file to the crop that the network sees, the same at every end.

Training, the edge and the access point all come through :func:`to_crop`, so the
pixels are equal by construction.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from airreid.errors import InputError
from airreid.image_bounds import PixelTurns, check_work, scans_of, tiff_scans
from airreid.image_colours import DAMAGE, eight_bits, to_srgb, upright
from airreid.image_formats import HEAD_BYTES, format_of, plugins_of
from airreid.image_metadata import without_exif_item

CROP_HEIGHT, CROP_WIDTH = 256, 128
"""Rows and columns of a re-ID crop (height x width)."""
MIN_SIDE = 8
"""Images with a side of fewer pixels carry nobody and are refused."""
MAX_PIXELS = 50_000_000
"""A person crop has a fraction of this; more is a mistake or an attack."""
WHOLE_PIXELS = 8_000_000
"""Larger images are reduced while they are decoded: a crop is made of far fewer pixels."""
MAX_BYTES = 32 * 1024 * 1024
_TURNS = PixelTurns()
"""Turns of all images that this process decodes."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


def decode(data: bytes, name: str) -> Image.Image:
    """Decodes an image file's bytes to RGB: 8-bit sRGB, upright.

    Orientation tags and colour profiles are applied, transparent pixels get a background.
    ``name`` goes into the message. Raises :class:`InputError` for anything that is
    not one whole image of a usable size.
    """
    if len(data) > MAX_BYTES:
        raise InputError(f"{name}: {len(data)} bytes; send a person crop of at most {MAX_BYTES}")
    file_format = format_of(data[:HEAD_BYTES])
    formats = plugins_of(file_format, name)
    if formats[0] in ("AVIF", "HEIF"):
        data = without_exif_item(data)
    scans = scans_of(data, name)
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            _check_still(image, name)
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise InputError(f"{name}: {width}x{height} pixels; crop the person out first")
            if min(width, height) < MIN_SIDE:
                raise InputError(
                    f"{name}: {width}x{height} pixels is too small for a person; "
                    f"give a crop with both sides of {MIN_SIDE} pixels or more"
                )
            check_work(width * height, max(scans, tiff_scans(image, data, name)), name)
            with _TURNS.turn(width * height):
                return _plain(_reduced(image, name), image, name)
    except UnidentifiedImageError:
        raise InputError(
            f"{name}: a damaged {file_format.name} image, or of a kind that is not read; "
            "save it anew as a JPEG or PNG file"
        ) from None
    except Image.DecompressionBombError:
        raise InputError(f"{name}: far too many pixels; crop the person out first") from None
    except DAMAGE as error:
        raise InputError(f"{name}: damaged or truncated image ({error})") from None


def _reduced(image: Image.Image, name: str) -> Image.Image:
    """Decodes an image; one of more than ``WHOLE_PIXELS`` comes smaller by a power of two.

    A JPEG file is decoded at that size, which takes a fraction of the memory.
    """
    width, height = image.size
    factor = 1
    while width * height > factor * factor * WHOLE_PIXELS:
        factor *= 2
    if factor == 1:
        return image
    image.draft(None, (width // factor, height // factor))
    left = max(1, round(width / image.width))
    if left >= factor:
        return image
    if image.mode in ("P", "1") or "transparency" in image.info:
        image = eight_bits(image, name)
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return eight_bits(image, name).reduce(factor // left)


def _check_still(image: Image.Image, name: str) -> None:
    """Raises :class:`InputError` for an animation or pages: nobody knows which picture is meant.

    Further pictures of a phone's JPEG or HEIC file are its thumbnails and depth maps.
    """
    if image.format in ("MPO", "HEIF") or not getattr(image, "is_animated", False):
        return
    what = (
        "a TIFF file of several pages" if image.format == "TIFF" else f"an animated {image.format}"
    )
    raise InputError(f"{name}: {what}; save the picture that shows the person by itself")


def _plain(decoded: Image.Image, original: Image.Image, name: str) -> Image.Image:
    """Makes 8-bit sRGB of decoded pixels, upright, with no metadata that could count again."""
    rgb = upright(to_srgb(decoded, name), original)
    rgb.info = {}
    return rgb


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Makes an image of a program what :func:`decode` makes of a file: upright 8-bit sRGB.

    ``name`` goes into the message of an :class:`InputError`.
    """
    return image if image.mode == "RGB" and not image.info else _plain(image, image, name)


def load(path: Path) -> Image.Image:
    """Reads and decodes one image file. Raises :class:`InputError`."""
    return decode(read(path), str(path))


def read(path: Path) -> bytes:
    """A file's bytes. Raises :class:`InputError` if it cannot be read, is too large, or is a
    device or a pipe."""
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InputError(f"{path}: over {MAX_BYTES} bytes; crop the person out first")
        return data
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def open_regular(path: Path) -> BinaryIO:
    """Opens a file for reading. Raises :class:`OSError`, and :class:`InputError` for a device, a
    pipe, and a name that no file can have."""
    try:
        # not blocking: a pipe would wait for a writer
        file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115
    except ValueError as error:  # NUL, or text that no file system encodes
        raise InputError(f"{str(path)!r}: no path of a file ({error}); give another") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise InputError(f"{path}: not a regular file; give an image file")
    return file


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def to_crop(image: Image.Image, height: int = CROP_HEIGHT, width: int = CROP_WIDTH) -> np.ndarray:
    """Resizes an image by bicubic interpolation, as the paper does.

    Returns uint8 (height, width, 3), RGB, of the size that a backbone takes.
    """
    rgb = to_rgb(image, "image")
    if rgb.size != (width, height):
        rgb = rgb.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(rgb, dtype=np.uint8)
