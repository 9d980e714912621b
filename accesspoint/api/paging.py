"""Keyset paging: a token carries the last key of a page, so pages neither skip nor repeat.

A token is sealed (HMAC-SHA-256) together with what was listed: one that was altered, or
comes with other filters, is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from airreid.errors import InputError

PAGE_DEFAULT, PAGE_MAX = 100, 1000
_SEAL_BYTES = 16


def limit(page_size: int) -> int:
    """Returns the size of a page; 0 asks for the default. Raises :class:`InputError`."""
    if not 0 <= page_size <= PAGE_MAX:
        raise InputError(f"page_size {page_size}: use 1 to {PAGE_MAX}")
    return page_size or PAGE_DEFAULT


class Pager:
    """Maker and reader of page tokens under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, last: str, *listed: str) -> str:
        """Makes the token of the page after ``last``.

        ``listed`` says what is listed, filters included.
        """
        data = self._seal(last, listed) + last.encode()
        return base64.urlsafe_b64encode(data).decode()

    def last(self, token: str, *listed: str) -> str:
        """Returns the key that a token carries; empty for no token. Raises :class:`InputError`."""
        if not token:
            return ""
        try:
            data = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
            last = data[_SEAL_BYTES:].decode()
        except (binascii.Error, UnicodeError):
            last, data = "", b""
        if not hmac.compare_digest(data[:_SEAL_BYTES], self._seal(last, listed)):
            raise InputError("page_token: not one that was given out for this list")
        return last

    def _seal(self, last: str, listed: tuple[str, ...]) -> bytes:
        text = "\0".join((*listed, last)).encode(errors="surrogatepass")
        return hmac.new(self._key, text, hashlib.sha256).digest()[:_SEAL_BYTES]
