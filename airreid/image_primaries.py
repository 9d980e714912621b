"""Colour profiles of images that say in other ways than by a profile what their numbers mean."""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.image_metadata import is_adobe_rgb

_Chromaticities = tuple[float, ...]
"""x and y of white, red, green and blue (CIE 1931)."""
_SRGB: _Chromaticities = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_ADOBE_RGB: _Chromaticities = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
_ADOBE_GAMMA = 2.19921875
"""AdobeRGB (1998), 4.3.1.2."""
_PLAIN_GAMMAS = (2.1, 2.3)
"""Exponents by which programs mean sRGB's curve, or something that cannot be told from it."""
_GAMMAS = (0.5, 5.0)
"""Exponents that a picture may have; others are damage."""
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
"""Cone responses of a colour (ICC.1:2010, annex E)."""


def profile_of(info: Mapping[Any, Any]) -> bytes | None:
    """Returns an ICC profile for an image without one, from Pillow's ``info``; None for sRGB.

    A PNG file says by gAMA and cHRM what its numbers mean (PNG 3rd edition, 11.3.2); a camera's
    file in AdobeRGB by the interoperability index R03 (DCF 2.0).
    """
    if is_adobe_rgb(info.get("exif")):
        return _profile(_ADOBE_RGB, _ADOBE_GAMMA)
    gamma, chromaticities = info.get("gamma"), info.get("chromaticity")
    if "srgb" in info or not isinstance(gamma, float) or gamma <= 0:
        return None
    exponent = 1 / gamma
    if not _GAMMAS[0] <= exponent <= _GAMMAS[1]:
        return None
    return _profile(chromaticities or _SRGB, exponent)


@functools.lru_cache(maxsize=16)
def _profile(chromaticities: _Chromaticities, exponent: float) -> bytes | None:
    """Builds a display profile of primaries and a curve; None for primaries that are none."""
    plain = _PLAIN_GAMMAS[0] <= exponent <= _PLAIN_GAMMAS[1] and exponent != _ADOBE_GAMMA
    if plain and np.allclose(chromaticities, _SRGB, atol=0.002):
        return None
    colorants = _colorants(chromaticities)
    if colorants is None:
        return None
    tags = {
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(*_D50),
        **{
            name: b"XYZ \0\0\0\0" + _fixed(*column)
            for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants.T, strict=True)
        },
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(exponent, plain)),
    }
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(
        ">I4xI4s4s4s12x4s28x", start + len(body), 0x04200000, b"mntr", b"RGB ", b"XYZ ", b"acsp"
    ) + _fixed(*_D50)
    return head.ljust(128, b"\0") + table + body


def _colorants(chromaticities: _Chromaticities) -> NDArray[np.float64] | None:
    """Returns XYZ of red, green and blue in columns, adapted to D50 (ICC.1:2010, annex E)."""
    x, y = np.array(chromaticities, np.float64).reshape(4, 2).T
    if not (np.isfinite(x).all() and np.isfinite(y).all() and y.min() > 0):
        return None
    colours = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    white, primaries = colours[:, 0], colours[:, 1:]
    if np.linalg.cond(primaries) > 1e3 or (_BRADFORD @ white).min() <= 0:
        return None
    primaries = primaries * np.linalg.solve(primaries, white)
    gains = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white))
    adapted: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ gains @ _BRADFORD @ primaries
    return adapted if np.abs(adapted).max() < 4 else None


def _curve(exponent: float, plain: bool) -> bytes:
    """Returns a parametric curve (ICC.1:2010, 10.16): sRGB's, or a power."""
    if plain:
        parameters = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        return b"para\0\0\0\0\0\3\0\0" + _fixed(*parameters)
    return b"para\0\0\0\0\0\0\0\0" + _fixed(exponent)


def _fixed(*values: float) -> bytes:
    """Writes numbers as s15Fixed16Number."""
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)
