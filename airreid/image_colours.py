"""Pixels of any kind of image as 8-bit sRGB: depth, transparency, profiles, orientation."""

from __future__ import annotations

import functools
import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    PHOTOMETRIC_INTERPRETATION,
    SAMPLEFORMAT,
    TiffImageFile,
)

from airreid.errors import InputError
from airreid.image_metadata import orientation_of
from airreid.image_primaries import profile_of

DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, AttributeError, EOFError, struct.error),
    *(LookupError, ArithmeticError, RuntimeError, RecursionError),
)
"""Errors of Pillow's decoders for a damaged image."""
BACKGROUND = (128, 128, 128)
"""Colour behind transparent pixels: a mid grey, which makes the weakest edges with a person."""
PROFILE_MAX = 4 * 1024 * 1024
"""Bytes of a colour profile above which it is not used; those of presses have up to 3 MiB."""
_SAME = 2
"""Largest difference of levels, over colours all over the cube, of a profile that is sRGB."""
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_ROWS = 256
"""Rows that are scaled at once."""
_XMP_TURNS = frozenset({"JPEG", "MPO", "PNG", "WEBP"})
"""Formats whose XMP data turn the picture; those of others repeat what a property says."""
_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PROFILE_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Pillow's mode for a profile's colour space (ICC.1:2010, 7.2.6)."""


def upright(image: Image.Image, original: Image.Image) -> Image.Image:
    """Turns an image as the orientation tag of the file it was read from says.

    ``original``: what Pillow opened; a TIFF file's pixels it has turned itself.
    """
    turn = _TURNED.get(orientation_of(original.info, original.format in _XMP_TURNS))
    return image if turn is None else image.transpose(turn)


def eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Scales 16-bit grey to 8 bits (65535 becomes 255); other images come back as they are.

    A TIFF file's white may be lower, or zero. A grey level that means transparent becomes an alpha
    channel. Raises :class:`InputError` with ``name`` for pixels with 32 bits or a sign, of which
    nobody knows what is white.
    """
    if image.mode == "F" or (image.mode == "I" and not _has_sixteen_bits(image)):
        raise InputError(f"{name}: 32-bit pixels; save it with 8 or 16 bits")
    if image.mode not in ("I", *_SIXTEEN_BITS):
        return image
    white, inverted = _grey_levels(image, name)
    width, height = image.size
    grey = np.empty((height, width), np.uint8)
    clear = image.info.get("transparency")
    alpha = None if clear is None else np.empty_like(grey)
    for top in range(0, height, _ROWS):
        strip = image.crop((0, top, width, min(top + _ROWS, height)))
        levels = np.asarray(strip).astype(np.uint32)
        scaled_rows = np.minimum((levels * 255 + white // 2) // white, 255).astype(np.uint8)
        grey[top : top + _ROWS] = 255 - scaled_rows if inverted else scaled_rows
        if alpha is not None:
            alpha[top : top + _ROWS] = np.where(levels == clear, 0, 255)
    scaled = Image.fromarray(grey)
    if alpha is not None:
        scaled = Image.merge("LA", (scaled, Image.fromarray(alpha)))
    scaled.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return scaled


def _grey_levels(image: Image.Image, name: str) -> tuple[int, bool]:
    """Returns the highest level of 16-bit grey, and whether it is black.

    Pillow reads TIFF files of 12 bits, and of white that is zero, without a change.
    """
    if not isinstance(image, TiffImageFile):
        return 65535, False
    if 2 in image.tag_v2.get(SAMPLEFORMAT, ()):
        raise InputError(f"{name}: pixels with a sign; save it with 8 or 16 bits without one")
    [bits] = image.tag_v2.get(BITSPERSAMPLE, (16,))
    return (1 << bits) - 1, image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0


def _has_sixteen_bits(image: Image.Image) -> bool:
    lowest, highest = image.getextrema()
    return int(lowest) >= 0 and int(highest) <= 65535  # type: ignore[arg-type]


def to_srgb(image: Image.Image, name: str) -> Image.Image:
    """Converts an image of any mode to RGB: its profile applied, on :data:`BACKGROUND`.

    An image without transparency and profile, or with the profile of sRGB, has the pixels of
    ``image.convert("RGB")``. Raises :class:`InputError` with ``name`` for 32-bit pixels and
    :class:`ValueError` for a mode that Pillow does not convert.
    """
    image = eight_bits(image, name)
    if not image.has_transparency_data:
        return _profiled(image)
    clear = image.convert("RGBA")
    alpha = clear.getchannel("A")
    if alpha.getextrema()[1] == 0:
        raise InputError(f"{name}: every pixel is transparent; save it without transparency")
    if image.mode in ("L", "LA", "La"):
        opaque = clear.getchannel("R")  # grey, as its profile has it
        opaque.info = dict(image.info)
        opaque.info.pop("transparency", None)
    else:
        opaque = clear.convert("RGB")
    below = Image.new("RGB", image.size, BACKGROUND)
    below.paste(_profiled(opaque), mask=alpha)
    return below


def _profiled(image: Image.Image) -> Image.Image:
    """Converts an opaque image to RGB, by its profile if it has one that fits."""
    profile = image.info.get("icc_profile") or profile_of(image.info)
    if not isinstance(profile, bytes) or not 0 < len(profile) <= PROFILE_MAX:
        return image.convert("RGB")
    transform = _transform(profile)
    if transform is None:
        return image.convert("RGB")
    if image.mode == "1" and transform.mode == "L":
        image = image.convert("L")
    if image.mode != transform.mode:
        if image.mode == "CMYK" or transform.mode != "RGB":
            return image.convert("RGB")  # somebody else's profile
        image = image.convert("RGB")
    return transform.apply(image)


class _Transform:
    """Conversion of one profile's colours to sRGB."""

    def __init__(self, profile: bytes) -> None:
        """Raises an error of LittleCMS for a damaged profile, KeyError for other spaces."""
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        self.mode = _PROFILE_MODES[opened.profile.xcolor_space]
        self._transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            self.mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )

    def apply(self, image: Image.Image) -> Image.Image:
        """Converts an image of ``mode``."""
        converted = self._transform.apply(image)
        assert converted is not None
        return converted

    @property
    def is_srgb(self) -> bool:
        """Whether it leaves colours as they are, but for rounding."""
        if self.mode == "CMYK":
            return False
        probe = _probe(self.mode)
        before = np.asarray(probe.convert("RGB"), np.int16)
        after = np.asarray(self.apply(probe), np.int16)
        return bool(np.abs(after - before).max() <= _SAME)


def _probe(mode: str) -> Image.Image:
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    grid: NDArray[np.uint8] = np.stack(np.meshgrid(levels, levels, levels), -1)
    return Image.fromarray(grid.reshape(27, 27, 3))


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes) -> _Transform | None:
    """Returns a profile's transform; None for sRGB's, a damaged one, and one of other spaces."""
    try:
        transform = _Transform(profile)
        return None if transform.is_srgb else transform
    except (ImageCms.PyCMSError, ImportError, *DAMAGE):
        return None
