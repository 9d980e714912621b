"""Formats of files, recognised by their first bytes: images that are read, and what else it is."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from PIL import Image

from airreid.errors import InputError

HEAD_BYTES = 512
"""First bytes of a file that tell its format."""
GIVE = "give a JPEG, PNG, BMP, WebP, TIFF or GIF image"
"""Way out for a file that is no image."""
HEIF_EXTRA = "pip install 'airreid[heif]'"
_PLUGINS = {"JPEG": "JPEG", "PNG": "PNG", "BMP": "BMP", "WebP": "WEBP", "TIFF": "TIFF"}
_PLUGINS |= {"GIF": "GIF", "AVIF": "AVIF", "HEIC": "HEIF"}
"""Pillow's names of the formats that are read."""
_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II\x2a\x00", "TIFF"),
    (b"MM\x00\x2a", "TIFF"),
    (b"II\x2b\x00", "TIFF"),
    (b"MM\x00\x2b", "TIFF"),
)
_OTHERS = (
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"8BPS", "a Photoshop file"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"qoif", "a QOI image"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"PK\x03\x04", "a ZIP archive (or an office document)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"\x89HDF", "an HDF5 file"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x00\x05\x16\x07", "a leftover of a Mac's archive (AppleDouble)"),
    (b"\x00\x05\x16\x00", "a leftover of a Mac's archive (AppleSingle)"),
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself with 'git lfs pull'"),
)
_SAID = ("a ", "an ")
_WEB = (b"<!doctype html", b"<html", b"<head", b"<body")
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_AVIF = frozenset({b"avif", b"avis"})
_EITHER = frozenset({b"mif1", b"msf1"})
"""Brands of ISO/IEC 23008-12; the last say nothing of the coding."""


@dataclass(frozen=True)
class FileFormat:
    """Format of a file's content."""

    name: str
    """``JPEG``, ``HEIC`` of an image; ``a PDF document`` of anything else; empty if unknown."""
    is_image: bool
    """Whether it is an image of a kind that is read."""


def format_of(head: bytes) -> FileFormat:
    """Recognises the format by the first :data:`HEAD_BYTES` bytes or fewer."""
    for start, name in _STARTS:
        if head.startswith(start):
            return _tiff_or_raw(head) if name == "TIFF" else FileFormat(name, True)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FileFormat("WebP", True)
    if head[4:8] == b"ftyp":
        return _boxed(head)
    for start, name in _OTHERS:
        if head.startswith(start):
            return FileFormat(name, False)
    return FileFormat(_text(head), False)


def _tiff_or_raw(head: bytes) -> FileFormat:
    return FileFormat("a camera's raw file", False) if head[8:10] == b"CR" else _TIFF


_TIFF = FileFormat("TIFF", True)


def _boxed(head: bytes) -> FileFormat:
    """Tells the files apart that begin with a box ``ftyp`` (ISO/IEC 14496-12, 4.3)."""
    major = head[8:12]
    end = max(16, min(int.from_bytes(head[:4], "big"), len(head)))
    brands = {major, *(head[start : start + 4] for start in range(16, end, 4))}
    if major in _AVIF or (major in _EITHER and brands & _AVIF and not brands & _HEIC):
        return FileFormat("AVIF", True)
    if major in _HEIC | _EITHER:
        return FileFormat("HEIC", True)
    if head[8:12] == b"crx ":
        return FileFormat("a camera's raw file", False)
    return FileFormat("a video (MP4 or MOV)", False)


def _text(head: bytes) -> str:
    if not head:
        return "an empty file"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(_WEB):
        return "a web page"
    if b"<svg" in start:
        return "an SVG drawing"
    if b"\x00" in head:
        return ""
    try:
        head[:-3].decode()  # a character may be cut off at the end
    except UnicodeDecodeError:
        return ""
    return "text"


def plugins_of(file_format: FileFormat, name: str) -> tuple[str, ...]:
    """Returns Pillow's formats to open an image with.

    ``name``: the file's, for the message. Raises :class:`InputError` for a format that is none,
    and for one that needs what is not installed.
    """
    if not file_format.is_image:
        what = file_format.name
        is_what = f"not an image but {what}" if what.startswith(_SAID) else "not an image"
        if what.endswith("image"):
            is_what = f"{what}, which is not read"
        raise InputError(f"{name}: {is_what}; {GIVE}")
    plugin = _PLUGINS[file_format.name]
    if plugin == "HEIF" and not _opens_heif():
        raise InputError(
            f"{name}: a HEIC image; {HEIF_EXTRA} reads them, or save it as a JPEG file"
        )
    if plugin == "AVIF" and not _opens("AVIF"):
        raise InputError(
            f"{name}: an AVIF image, which this Pillow cannot read; "
            "pip install 'pillow>=11.3', or save it as a JPEG file"
        )
    return (plugin,)


def _opens(plugin: str) -> bool:
    Image.init()
    return plugin in Image.OPEN and plugin in set(Image.registered_extensions().values())


@functools.cache
def _opens_heif() -> bool:
    """Registers the reader of HEIC images, if it is installed."""
    try:
        import pillow_heif  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return False
    pillow_heif.register_heif_opener(thumbnails=False)
    return True
