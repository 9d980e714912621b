"""Routes whose bodies are read within limits, and whose work is done in the pool of its kind."""

from __future__ import annotations

import email.message
import functools
import inspect
import io
import json
from collections.abc import Awaitable, Callable
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any

from fastapi import Request, Response, UploadFile
from fastapi.routing import APIRoute
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers
from starlette.exceptions import HTTPException

from accesspoint.api.body_limits import BodyLimit, check_shape
from accesspoint.api.pools import Kind, Pools

_AT_ONCE = 64 * 1024
"""Longest JSON text that is parsed in the event loop."""
_PARTS_MAX = 16
_HEAD_MAX = 8 * 1024


class _PatientDecoder(json.JSONDecoder):
    """Decoder in Python, which lets other threads run meanwhile; the usual one does not."""

    def __init__(self) -> None:
        super().__init__()
        self.scan_once = py_make_scanner(self)


def parse_json(data: bytes) -> Any:
    """Parses a long JSON text. Raises :class:`json.JSONDecodeError`."""
    try:
        return _PatientDecoder().decode(data.decode())
    except (UnicodeDecodeError, RecursionError):
        raise json.JSONDecodeError("not JSON in UTF-8", "", 0) from None


def parse_form(data: bytes, content_type: str) -> FormData:
    """Parses ``multipart/form-data`` of a few parts; another type has none.

    Raises HTTP 400 for what is not whole, and for more parts than any route takes.
    """
    message = email.message.Message()
    message["content-type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_type() != "multipart/form-data":
        return FormData()
    if not boundary or not boundary.isascii():
        raise HTTPException(400, "the form has no boundary")
    parts = (b"\r\n" + data).split(b"\r\n--" + boundary.encode(), _PARTS_MAX + 2)
    if len(parts) > _PARTS_MAX + 2 or not parts[-1].startswith(b"--"):
        raise HTTPException(400, f"the form is not whole, or has over {_PARTS_MAX} parts")
    return FormData([_part(part) for part in parts[1:-1]])


def _part(part: bytes) -> tuple[str, str | UploadFile]:
    head, blank, content = part.partition(b"\r\n\r\n")
    if not blank or len(head) > _HEAD_MAX:
        raise HTTPException(400, "a part of the form has no end of its headers")
    raw = []
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        raw.append((key.strip().lower(), value.strip()))
    headers = Headers(raw=raw)
    _, options = parse_options_header(headers.get("content-disposition", ""))
    if b"name" not in options:
        raise HTTPException(400, "a part of the form has no name")
    name = options[b"name"].decode("utf-8", "replace")
    if b"filename" not in options:
        return name, content.decode("utf-8", "replace")
    filename = options[b"filename"].decode("utf-8", "replace")
    file = io.BytesIO(content)
    return name, UploadFile(file=file, size=len(content), filename=filename, headers=headers)


class _BoundedRequest(Request):
    """A request whose body is checked before it is parsed, and parsed outside of the loop."""

    pools: Pools

    async def json(self) -> Any:
        data = await self.body()
        limit: BodyLimit | None = self.scope.get("state", {}).get("body_limit")
        if limit is not None:
            check_shape(data, limit)
        if len(data) <= _AT_ONCE:
            return json.loads(data)
        return await self.pools.run("body", functools.partial(parse_json, data))

    def form(self, **limits: Any) -> Any:
        return self._parsed_form()

    async def _parsed_form(self) -> FormData:
        return parse_form(await self.body(), self.headers.get("content-type", ""))


def kind_of(method: str, path: str) -> Kind:
    """Returns the kind of a route's work."""
    if method == "GET":
        return "read"
    if path in ("/v1/search", "/v1/verify"):
        return "image"
    if path in ("/v1/search/feature", "/v1/verify/feature"):
        return "search"
    return "enrol" if path in ("/v1/entries", "/v1/entries/batch") else "change"


def work_route(pools: Pools) -> type[APIRoute]:
    """Makes the class of routes that work in these pools."""

    class WorkRoute(APIRoute):
        def __init__(self, path: str, endpoint: Callable[..., Any], **named: Any) -> None:
            if not inspect.iscoroutinefunction(endpoint):
                [method] = named.get("methods") or ["GET"]
                endpoint = _pooled(endpoint, pools, kind_of(method, path))
            super().__init__(path, endpoint, **named)

        def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
            handle = super().get_route_handler()

            async def bounded(request: Request) -> Response:
                narrow = _BoundedRequest(request.scope, request.receive)
                narrow.pools = pools
                return await handle(narrow)

            return bounded

    return WorkRoute


def _pooled(endpoint: Callable[..., Any], pools: Pools, kind: Kind) -> Callable[..., Any]:
    @functools.wraps(endpoint)
    async def run(*given: Any, **named: Any) -> Any:
        return await pools.run(kind, functools.partial(endpoint, *given, **named))

    return run
