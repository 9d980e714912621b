"""From an image file to the crop that the network sees, the same at every end.

Training, the edge and the access point all come through :func:`to_crop`, so the
pixels are equal by construction.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from airreid.errors import InputError

CROP_HEIGHT, CROP_WIDTH = 256, 128
"""Rows and columns of a re-ID crop (height x width)."""
MIN_SIDE = 8
"""Images with a side of fewer pixels carry nobody and are refused."""
MAX_PIXELS = 50_000_000
"""A person crop has a fraction of this; more is a mistake or an attack."""
MAX_BYTES = 32 * 1024 * 1024
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


def decode(data: bytes, name: str) -> Image.Image:
    """Decodes an image file's bytes to RGB.

    ``name`` goes into the message. Raises :class:`InputError` for anything that is
    not a whole image of a usable size.
    """
    if len(data) > MAX_BYTES:
        raise InputError(f"{name}: {len(data)} bytes; send a person crop of at most {MAX_BYTES}")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise InputError(f"{name}: {width}x{height} pixels; crop the person out first")
            if min(width, height) < MIN_SIDE:
                raise InputError(
                    f"{name}: {width}x{height} pixels is too small for a person; "
                    f"give a crop with both sides of {MIN_SIDE} pixels or more"
                )
            return image.convert("RGB")
    except UnidentifiedImageError:
        raise InputError(f"{name}: not an image; give a JPEG, PNG, BMP or WebP file") from None
    except Image.DecompressionBombError:
        raise InputError(f"{name}: far too many pixels; crop the person out first") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{name}: damaged or truncated image ({error})") from None


def load(path: Path) -> Image.Image:
    """Reads and decodes one image file. Raises :class:`InputError`."""
    return decode(read(path), str(path))


def read(path: Path) -> bytes:
    """A file's bytes. Raises :class:`InputError` if it cannot be read or is too large."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: over {MAX_BYTES} bytes; crop the person out first")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # NUL, or text that no file system encodes
        raise InputError(f"{str(path)!r}: no path of a file ({error}); give another") from None


def to_crop(image: Image.Image, height: int = CROP_HEIGHT, width: int = CROP_WIDTH) -> np.ndarray:
    """Resizes an image by bicubic interpolation, as the paper does.

    Returns uint8 (height, width, 3), RGB, of the size that a backbone takes.
    """
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    if rgb.size != (width, height):
        rgb = rgb.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(rgb, dtype=np.uint8)
