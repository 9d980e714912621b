"""Tokens on disk, with their scopes; the file holds their hashes, never the tokens.

A token is 256 random bits, so its plain SHA-256 is enough: there is no dictionary to try
and nothing to slow down, unlike with passwords. Comparison takes the same time whatever
it finds.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from accesspoint.errors import NotFoundError
from airreid.disk import open_private, private_folder, read_regular
from airreid.errors import InputError
from airreid.validation import FrozenModel, loaded, validated

FILE_NAME = "tokens.json"
_WAY_OUT = "mend it, or delete it and add the tokens again"
_BYTES_MAX = 16 << 20
"""Bytes of the file, at most: tens of thousands of tokens."""
PREFIX = "airreid_"
"""Beginning of every token, by which one that lies about is recognised."""


class Scope(StrEnum):
    """Right that a credential gives; docs/security.md lists every call's scope."""

    READ = "read"
    ENROL = "enrol"
    ADMIN = "admin"
    STREAM = "stream"


IMPLIED = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.ENROL: frozenset({Scope.READ, Scope.ENROL}),
    Scope.ADMIN: frozenset({Scope.READ, Scope.ENROL, Scope.ADMIN}),
    Scope.STREAM: frozenset({Scope.STREAM}),
}
"""Scopes that a scope brings. A camera's token sends blocks and reads nothing; nobody else's
sends blocks."""

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}$")]


class Grant(FrozenModel):
    """Record of one token, without the token itself."""

    name: _Name
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    edge: _Name | None = None
    """The only edge id that its streams may speak for; None: any."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created_at: float
    expires_at: float | None = None
    """Seconds since 1970, UTC; None: never."""

    @property
    def id(self) -> str:
        """Short name of this token: its ``name`` may have several while it is rotated."""
        return self.sha256[:12]

    def valid(self, now: float) -> bool:
        """Returns whether the token has not expired at ``now``, in seconds since 1970."""
        return self.expires_at is None or now < self.expires_at


class _File(FrozenModel):
    format: int = 1
    tokens: tuple[Grant, ...] = ()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class TokenFile:
    """Tokens of one data folder; changes are read without a restart."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / FILE_NAME
        self._seen: tuple[int, int, int] | None = None
        self._grants: tuple[Grant, ...] = ()

    def grants(self) -> tuple[Grant, ...]:
        """Reads all tokens, expired ones too. Raises :class:`InputError` for a damaged file."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            self._seen, self._grants = None, ()
            return ()
        signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if signature != self._seen:
            try:
                data = read_regular(self.path, _BYTES_MAX)
            except OSError as error:
                raise InputError(
                    f"{self.path}: cannot be read ({error.strerror}); {_WAY_OUT}"
                ) from None
            self._grants = loaded(
                _File,
                data,
                self.path,
                way_out=_WAY_OUT,
                error=InputError,
            ).tokens
            self._seen = signature
        return self._grants

    def find(self, token: str, now: float) -> Grant | None:
        """Returns the grant of a presented token; None if it is unknown or has expired."""
        digest, match = _digest(token), None
        for grant in self.grants():
            if hmac.compare_digest(grant.sha256, digest):
                match = grant
        return match if match is not None and match.valid(now) else None

    def add(
        self, name: str, scopes: Sequence[Scope], edge: str | None = None, days: float | None = None
    ) -> str:
        """Makes a token and returns it; it is shown this once. Raises :class:`InputError`."""
        if edge is not None and Scope.STREAM not in scopes:
            raise InputError("an edge id limits streams: give --edge with --scope stream")
        if days is not None and not 0 < days <= 36_500:
            raise InputError(f"days {days:g}: use more than 0 and at most 36500")
        token, now = PREFIX + secrets.token_urlsafe(32), time.time()
        fields = {
            "name": name,
            "scopes": tuple(dict.fromkeys(scopes)),
            "edge": edge,
            "sha256": _digest(token),
            "created_at": now,
            "expires_at": None if days is None else now + days * 86_400,
        }
        grant = validated(Grant, fields, show_given=True)
        with self._exclusive():
            self._write((*self.grants(), grant))
        return token

    def revoke(self, which: str) -> list[Grant]:
        """Removes all tokens of a name, or the one with an id; they stop working at once.

        Raises :class:`NotFoundError` if there is none.
        """
        with self._exclusive():
            revoked = [grant for grant in self.grants() if which in (grant.name, grant.id)]
            if not revoked:
                raise NotFoundError(f"no token {which!r}; 'airreid ap token list' shows them")
            self._write(tuple(grant for grant in self.grants() if grant not in revoked))
        return revoked

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        private_folder(self.path.parent)
        with open_private(self.path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, grants: tuple[Grant, ...]) -> None:
        temporary = self.path.with_suffix(".new")
        with open_private(temporary, "w") as file:
            file.write(_File(tokens=grants).model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        self._seen = None
