"""Who is calling, and may they? The same answer for gRPC and HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from accesspoint.api.tokens import IMPLIED, Scope, TokenFile
from accesspoint.errors import ForbiddenError, UnauthorizedError
from airreid import log
from airreid.errors import InputError

_READING_POSTS = ("/v1/search", "/v1/verify")
_ADMIN_PATHS = ("/v1/policy", "/v1/jobs", "/v1/merge", "/v1/links")
_RPC_SCOPES = {
    "Describe": Scope.READ,
    "GetSubject": Scope.READ,
    "ListSubjects": Scope.READ,
    "GetEntry": Scope.READ,
    "ListEntries": Scope.READ,
    "Search": Scope.READ,
    "Verify": Scope.READ,
    "GetPolicy": Scope.READ,
    "GetJob": Scope.READ,
    "ListJobs": Scope.READ,
    "PutSubject": Scope.ENROL,
    "PatchSubject": Scope.ENROL,
    "DeleteSubject": Scope.ENROL,
    "Enroll": Scope.ENROL,
    "DeleteEntry": Scope.ENROL,
    "DeleteEntries": Scope.ENROL,
}


@dataclass(frozen=True)
class Principal:
    """Who is calling."""

    name: str
    kind: Literal["token", "certificate", "local"]
    scopes: frozenset[Scope]
    edges: frozenset[str] | None = None
    """Edge ids that its streams may speak for; None: any."""

    def demand(self, scope: Scope) -> None:
        """Raises :class:`ForbiddenError` unless the caller has the scope."""
        if scope not in self.scopes:
            has = ", ".join(sorted(self.scopes)) or "nothing"
            raise ForbiddenError(f"this needs scope {scope}; {self.name!r} has {has}")

    def may_speak_for(self, edge_id: str) -> bool:
        return Scope.STREAM in self.scopes and (self.edges is None or edge_id in self.edges)


LOCAL = Principal("local", "local", frozenset(Scope))
"""Whoever reaches a loopback address: the machine's own users."""


class Access:
    """Decides for one listening address."""

    def __init__(
        self,
        tokens: TokenFile,
        required: bool,
        rejected: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``required``: nobody is let in without a token or certificate. A token that is
        shown is checked in any case. ``rejected`` counts those turned away."""
        self.required = required
        self._tokens = tokens
        self._rejected = rejected
        self._clock = clock

    def principal(self, authorization: str | None, certificate: Iterable[str] = ()) -> Principal:
        """Who shows this Authorization header, over a connection with a certificate that
        names these. Raises :class:`UnauthorizedError`."""
        names = frozenset(certificate)
        if authorization is None:
            if names:
                return Principal(
                    ", ".join(sorted(names)), "certificate", IMPLIED[Scope.STREAM], names
                )
            if self.required:
                self._rejected()
                raise UnauthorizedError(
                    "no token: send Authorization: Bearer TOKEN (--token or AIRREID_TOKEN)"
                )
            return LOCAL
        kind, _, token = authorization.partition(" ")
        try:
            grant = self._tokens.find(token.strip(), self._clock()) if token else None
        except InputError as error:
            log.warning("tokens_unreadable", error=str(error))
            grant = None
        if grant is None or kind.lower() != "bearer":
            self._rejected()
            raise UnauthorizedError("the token is not known here, or has expired")
        scopes = frozenset[Scope]().union(*(IMPLIED[scope] for scope in grant.scopes))
        edges = None if grant.edge is None else frozenset({grant.edge})
        if names:
            edges = names if edges is None else edges & names
        return Principal(grant.name, "token", scopes, edges)

    def allows(self, authorization: str | None, scope: Scope) -> bool:
        """Whether who shows this header has the scope, now."""
        try:
            self.principal(authorization).demand(scope)
        except (UnauthorizedError, ForbiddenError):
            return False
        return True


def scope_of_path(method: str, path: str) -> Scope | None:
    """What an HTTP request needs; None: nothing. What is not listed under /v1 needs enrol,
    and reading needs read."""
    if path != "/v1" and not path.startswith("/v1/"):
        return Scope.READ if path in ("/metrics", "/openapi.json") else None
    if method in ("GET", "HEAD") or (method == "POST" and _below(path, _READING_POSTS)):
        return Scope.READ
    return Scope.ADMIN if _below(path, _ADMIN_PATHS) else Scope.ENROL


def _below(path: str, starts: tuple[str, ...]) -> bool:
    return any(path == start or path.startswith(start + "/") for start in starts)


def scope_of_rpc(name: str) -> Scope:
    """What a method of GalleryService needs; one that is not listed needs admin."""
    return _RPC_SCOPES.get(name, Scope.ADMIN)
