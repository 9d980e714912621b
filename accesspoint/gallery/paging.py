"""Keyset paging: a token carries the last key of a page, so pages neither skip nor repeat."""

from __future__ import annotations

import base64
import binascii

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import Entry, Subject
from airreid.errors import InputError

PAGE_DEFAULT, PAGE_MAX = 100, 1000


def _limit(page_size: int) -> int:
    if not 0 <= page_size <= PAGE_MAX:
        raise InputError(f"page_size {page_size}: use 1 to {PAGE_MAX}")
    return page_size or PAGE_DEFAULT


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _key(token: str) -> str:
    try:
        return base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise InputError("page_token: not one that this service gave out") from None


def subject_page(
    gallery: Gallery, page_size: int, token: str, prefix: str = ""
) -> tuple[list[Subject], str]:
    """A page of subjects, and the token of the next page."""
    limit = _limit(page_size)
    page = gallery.subjects(_key(token) if token else "", limit + 1, prefix)
    more = len(page) > limit
    return page[:limit], _token(page[limit - 1].id) if more else ""


def entry_page(
    gallery: Gallery, page_size: int, token: str, subject: str = "", camera: str = ""
) -> tuple[list[Entry], str]:
    """A page of entries, of one subject or camera or of all, and the token of the next."""
    limit = _limit(page_size)
    key = _key(token) if token else "0"
    if not (key.isascii() and key.isdigit()) or len(key) > 18:
        raise InputError("page_token: not one that this service gave out")
    page = gallery.entries(int(key), limit + 1, subject, camera)
    more = len(page) > limit
    return page[:limit], _token(str(page[limit - 1].id)) if more else ""
