"""Authentication and scopes of callers, the same for gRPC and HTTP."""

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
    """A caller, and what it may do."""

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
        """Returns whether the caller's streams may send blocks of an edge."""
        return Scope.STREAM in self.scopes and (self.edges is None or edge_id in self.edges)


LOCAL = Principal("local", "local", frozenset(Scope))
"""Principal of whoever reaches a loopback address: the machine's own users."""


class Access:
    """Decisions on callers of one listening address."""

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
        """Identifies a caller by its Authorization header and its certificate's names.

        Raises :class:`UnauthorizedError`.
        """
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
        """Returns whether who shows this header has the scope now."""
        try:
            self.principal(authorization).demand(scope)
        except (UnauthorizedError, ForbiddenError):
            return False
        return True


def scope_of_path(method: str, path: str) -> Scope | None:
    """Returns the scope that an HTTP request needs; None if it needs none.

    Reading under /v1 needs read, and what is not listed needs enrol.
    """
    if path != "/v1" and not path.startswith("/v1/"):
        return Scope.READ if path in ("/metrics", "/openapi.json") else None
    if method in ("GET", "HEAD") or (method == "POST" and _below(path, _READING_POSTS)):
        return Scope.READ
    return Scope.ADMIN if _below(path, _ADMIN_PATHS) else Scope.ENROL


def _below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(root + "/") for root in roots)


def scope_of_rpc(name: str) -> Scope:
    """Returns the scope that a method of GalleryService needs; admin if it is not listed."""
    return _RPC_SCOPES.get(name, Scope.ADMIN)
