"""Opening the schemes of a bundle."""

from __future__ import annotations

from airreid.bundle import Bundle, DigitalInfo, SchemeInfo
from airreid.digital.scheme import DigitalScheme
from airreid.jscc import JsccScheme
from airreid.scheme import Scheme


def open_scheme(bundle: Bundle, info: SchemeInfo, threads: int, decode: bool = True) -> Scheme:
    """Loads what a scheme needs. ``decode`` False leaves out what only a receiver does.

    Raises :class:`airreid.errors.BundleError` for files that do not fit together.
    """
    if isinstance(info, DigitalInfo):
        return DigitalScheme(bundle, info, threads)
    return JsccScheme(bundle, info, threads, decode)
