"""Guard of the HTTP application: request ids, access, limits, and headers for browsers."""

from __future__ import annotations

import contextvars
import ipaddress
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException

from accesspoint.api import problems
from accesspoint.api.auth import Access, scope_of_path
from accesspoint.api.body_limits import BodyClock, BodyLimit, BodyMemory, body_limit
from accesspoint.api.metrics import Metrics
from accesspoint.api.pools import caller
from accesspoint.errors import ForbiddenError, NotReadyError, RateLimitedError, TooLargeError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (
        b"content-security-policy",
        b"default-src 'self'; object-src 'none'; base-uri 'none'; "
        b"form-action 'self'; frame-ancestors 'none'",
    ),
)


async def starting(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers as the application until the gallery is open: alive, and not ready."""
    if scope["path"].removeprefix(scope.get("root_path", "")) != "/v2/health/live":
        raise NotReadyError("the access point is starting; try again in a moment")
    body = json.dumps({"live": True, "ready": False}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass(frozen=True)
class Limits:
    """Limits of one HTTP listener."""

    body_bytes: int = 40 * 1024 * 1024
    """Largest body of a request; most routes take less (:func:`body_limit`)."""
    in_flight: int = 256
    """Requests at once, besides those of public files."""
    public: int = 16
    """Requests of public files at once."""
    body_memory: int = 192 * 1024 * 1024
    """Bytes of all bodies at once."""


@dataclass(frozen=True)
class PublicAddress:
    """Address at which a proxy shows this listener."""

    origins: frozenset[str] = frozenset()
    """Origins of its pages, ``https://NAME``: a proxy may name another Host than a browser saw."""
    root_path: str = ""
    """Path below which everything is; the proxy may take it off, or leave it on."""

    def hosts(self) -> set[str]:
        """Returns the names in the origins."""
        return {urlsplit(origin).hostname or "" for origin in self.origins}

    def inside(self, scope: Scope) -> Scope:
        """Returns a request with its path as it is without the root path."""
        path, root = scope["path"], self.root_path
        if not root:
            return scope
        if path == root or path.startswith(f"{root}/"):
            path = path[len(root) :] or "/"
        return {**scope, "path": path, "root_path": root}


class Guard:
    """Wrapper of the application, whose refusals are problem documents like all others."""

    def __init__(
        self,
        app: App,
        access: Access,
        metrics: Metrics,
        hosts: frozenset[str] = frozenset(),
        limits: Limits = Limits(),
        public: PublicAddress = PublicAddress(),
    ) -> None:
        """``hosts``: names in a Host header that are taken where no token is asked for,
        besides localhost and addresses."""
        self.app = app
        """The wrapped application; replaced once the gallery is open."""
        self._access = access
        self._metrics = metrics
        self._public = public
        self._hosts = hosts | public.hosts() | {"localhost"}
        self._limits = limits
        self._in_flight = {True: 0, False: 0}
        """Requests under way, by whether they are of public files."""
        self._memory = BodyMemory(limits.body_memory)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope = self._public.inside(scope)
        limit = body_limit(scope["method"], scope["path"], self._limits.body_bytes)
        request = _Request(scope, receive, send, limit, self._memory)
        token = request_id.set(request.id)
        public = scope_of_path(scope["method"], scope["path"]) is None
        self._in_flight[public] += 1
        started = time.perf_counter()
        try:
            self._admit(request)
            request.scope["path"] = self._public.root_path + request.scope["path"]  # as ASGI has it
            await self.app(request.scope, request.receive, request.send)
        except Exception as error:  # whatever it is, the caller gets a document
            await request.refuse(error)
        finally:
            self._in_flight[public] -= 1
            request.forget_body()
            request_id.reset(token)
            route = request.scope.get("route")
            self._metrics.requests.labels(
                "http", getattr(route, "path", "other"), str(request.status)
            ).observe(time.perf_counter() - started)

    def _admit(self, request: _Request) -> None:
        """Raises an error if something forbids the request."""
        method, path = request.scope["method"], request.scope["path"]
        needed = scope_of_path(method, path)
        most = self._limits.public if needed is None else self._limits.in_flight
        if self._in_flight[needed is None] > most and not path.startswith("/v2/"):
            raise RateLimitedError(f"more than {most} requests at once")
        host = request.header(b"host")
        if not self._access.required and not self._known_host(host):
            raise ForbiddenError(
                f"Host {host[:80]!r} is not a name of this access point; use its address, "
                "or start it with --allow-host NAME"
            )
        origin = request.header(b"origin")
        same = _host_of(origin) == host or origin in self._public.origins
        if method in _UNSAFE and origin and not same:
            raise ForbiddenError(
                f"a page of another site may not change anything here; if {origin[:80]!r} is this "
                "access point behind a proxy, start it with --public-origin and that address"
            )
        if needed is not None:
            shown = request.header(b"authorization") or None
            principal = self._access.principal(shown)
            principal.demand(needed)
            caller.set(principal.name)
            request.scope["state"]["principal"] = principal
            request.scope["state"]["may_go_on"] = partial(self._access.allows, shown, needed)
        length = request.header(b"content-length")
        if length.isdigit() and int(length[:20]) > request.limit.bytes:
            raise _too_large(request.limit.bytes)

    def _known_host(self, host: str) -> bool:
        """Returns whether a Host header names this access point.

        A name that somebody else's DNS made point here is not known (DNS rebinding).
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _host_of(origin: str) -> str | None:
    """Returns the host and port in an Origin header; None for what is no address."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"the body is larger than {limit} bytes")


class _Request:
    """One request on its way through."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, limit: BodyLimit, memory: BodyMemory
    ) -> None:
        self._receive, self._send, self._memory = receive, send, memory
        self.limit = limit
        self._headers = {name.lower(): value for name, value in scope["headers"]}
        given = self._headers.get(b"x-request-id", b"")
        self.id = given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        self._head = scope["method"] == "HEAD"
        state = {**scope.get("state", {}), "request_id": self.id, "body_limit": limit}
        self.scope: Scope = {**scope, "state": state}
        if self._head:
            self.scope["method"] = "GET"
        self._read = self._held = 0
        self._clock = BodyClock()
        length = self.header(b"content-length")
        self._whole = length in ("", "0") and b"transfer-encoding" not in self._headers
        """Whether all of the body has been read."""
        self.status = 0

    def header(self, name: bytes) -> str:
        """Returns a header's text; empty without it."""
        value: bytes = self._headers.get(name, b"")
        return value.decode("latin-1")

    async def receive(self) -> Message:
        """Passes a part of the body on; refuses a body that is too large, or too slow.

        FastAPI passes on what is raised here while it reads a body.
        """
        if self._whole:  # what comes now is the end of the connection
            return await self._receive()
        try:
            async with self._clock.timeout(self._read):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "the body did not come in time; send it again") from None
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self._read += size
            self._whole = not message.get("more_body", False)
            if self._read > self.limit.bytes:
                raise HTTPException(413, str(_too_large(self.limit.bytes)))
            if not self._memory.take(size):
                raise HTTPException(429, "too many large bodies at once; send this again")
            self._held += size
        return message

    def forget_body(self) -> None:
        """Counts the body off those that are held."""
        self._memory.give_back(self._held)
        self._held = 0

    async def send(self, message: Message) -> None:
        """Passes a part of the answer on, with the headers added."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", []))
            names = {name.lower() for name, _ in headers}
            headers += [(name, value) for name, value in _HEADERS if name not in names]
            if b"cache-control" not in names:
                headers.append((b"cache-control", b"no-store"))
            headers.append((b"x-request-id", self.id.encode()))
            if not self._whole and b"connection" not in names:
                headers.append((b"connection", b"close"))  # nobody reads the rest of the body
            message = {**message, "headers": headers}
        elif self._head:
            message = {**message, "body": b""}
        await self._send(message)

    async def refuse(self, error: Exception) -> None:
        """Answers with a problem document, unless the answer has begun."""
        if self.status:
            return
        kind = problems.kind_of(error)
        detail = problems.detail_of(error, self.id)
        body = json.dumps(problems.document(kind, detail, self.id)).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
        ]
        if kind.http == 401:
            headers.append((b"www-authenticate", b'Bearer realm="airreid"'))
        if kind.http in (429, 503):
            headers.append((b"retry-after", b"1"))
        if kind.http in (401, 403, 413) and self._whole:
            headers.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": kind.http, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})
