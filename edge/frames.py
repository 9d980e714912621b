"""Frames on their way into the spool, and what may become of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PIL import Image

from airreid.errors import AirReidError, InputError

Source = Literal["watch", "grpc", "stdin", "send"]
TRACK_MAX = 128
NAME_MAX = 256
_SEPARATOR = "__"


@dataclass(frozen=True)
class Frame:
    """One person crop as it was handed over, before anything is known of it."""

    source: Source
    name: str
    """The sender's name for it; the file's name in a watched folder."""
    image: bytes | Image.Image
    """The image file's contents, or the image that was read from it."""
    track_id: str = ""
    top_k: int = 0
    """Ranked identities to ask for; 0 means the edge's setting."""
    file_key: str = ""
    """Names the file in a watched folder until it has been moved away; see edge.folder_source."""
    truth: str = ""
    """Identity that the crop shows, for measurements; empty says nothing."""


class EncodeError(AirReidError):
    """A network that broke on the frame, for no fault of the image that is known."""


class SpoolFullError(AirReidError):
    """A frame that was not accepted because nothing more fits; offer it again later."""


class SpoolDiskError(AirReidError):
    """A frame that was not accepted because the disk did not take it; offer it again later."""


class ClosedError(AirReidError):
    """A frame that was not accepted because the edge is ending."""


def track_of(name: str) -> str:
    """Reads the track id in a file's name, ``<track>__<anything>.jpg``; empty if there is none.

    Raises :class:`InputError` for one that is too long.
    """
    track, separator, _ = name.partition(_SEPARATOR)
    return check_track(track, name) if separator else ""


def check_track(track: str, name: str) -> str:
    """Returns a track id. Raises :class:`InputError` if it is too long or not printable."""
    if len(track) > TRACK_MAX:
        raise InputError(f"{name}: track id of {len(track)} characters; use at most {TRACK_MAX}")
    if not track.isprintable():
        raise InputError(f"{name}: the track id has characters that cannot be printed")
    return track
