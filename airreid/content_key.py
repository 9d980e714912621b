"""Key of a gallery entry made from what it is made of, so that nothing is enrolled twice."""

from __future__ import annotations

import hashlib


def content_key(image: bytes, camera: str) -> str:
    """Names an image file's bytes, as a camera's: the client key of an entry that has none.

    The same picture of the same camera is one entry of a subject, however often it comes.
    """
    return f"sha256:{hashlib.sha256(camera.encode() + bytes(1) + image).hexdigest()}"
