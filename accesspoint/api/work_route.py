"""Routes whose bodies are read within limits, and whose work is done in the pool of its kind."""

from __future__ import annotations

import email.message
import functools
import inspect
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response, UploadFile
from fastapi.routing import APIRoute
from python_multipart.multipart import parse_options_header
from starlette import datastructures
from starlette.datastructures import FormData, Headers
from starlette.exceptions import HTTPException

from accesspoint.api.body_limits import BodyLimit, Shape
from accesspoint.api.patient_json import parse_json
from accesspoint.api.pools import Kind, Pools

_AT_ONCE = 64 * 1024
"""Longest JSON text that is parsed in the event loop."""
_COPIED_AT_ONCE = 1 << 20
_PARTS_MAX = 16
_HEAD_MAX = 2 * 1024
"""Bytes of a part's headers. The standard library parses what has a thousand semicolons in the
square of their number."""
_TYPE_MAX = 512
"""Characters of a form's Content-Type, for the same reason."""


def parse_form(data: bytes, content_type: str) -> FormData:
    """Parses ``multipart/form-data`` of a few parts; another type has none.

    Raises HTTP 400 for what is not whole, and for more parts than any route takes.
    """
    if len(content_type) > _TYPE_MAX:
        raise HTTPException(400, f"the form's Content-Type has over {_TYPE_MAX} characters")
    message = email.message.Message()
    message["content-type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_type() != "multipart/form-data":
        return FormData()
    if not boundary or not boundary.isascii():
        raise HTTPException(400, "the form has no boundary")
    delimiter = b"\r\n--" + boundary.encode()
    opens = data.startswith(delimiter[2:])
    start = -2 if opens else data.find(delimiter)
    parts: list[tuple[str, str | datastructures.UploadFile]] = []
    while start != -1 and len(parts) <= _PARTS_MAX:
        start += len(delimiter)
        end = data.find(delimiter, start)
        if end == -1:
            break
        parts.append(_part(data, start, end))
        start = end
    if start == -1 or not data.startswith(b"--", start) or len(parts) > _PARTS_MAX:
        raise HTTPException(400, f"the form is not whole, or has over {_PARTS_MAX} parts")
    return FormData(parts)


def _part(data: bytes, start: int, end: int) -> tuple[str, str | UploadFile]:
    blank = data.find(b"\r\n\r\n", start, min(end, start + _HEAD_MAX + 4))
    if blank == -1:
        raise HTTPException(400, "a part of the form has no end of its headers")
    raw = []
    for line in data[start:blank].split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        raw.append((key.strip().lower(), value.strip()))
    content = _copy(data, blank + 4, end)
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


def _copy(data: bytes, start: int, end: int) -> bytes:
    """Copies a part in pieces, between which other threads run."""
    copied = io.BytesIO()
    view = memoryview(data)
    for piece in range(start, end, _COPIED_AT_ONCE):
        copied.write(view[piece : min(end, piece + _COPIED_AT_ONCE)])
    return copied.getvalue()


class _BoundedRequest(Request):
    """A request whose body is checked before it is parsed, and parsed outside of the loop."""

    pools: Pools

    async def body(self) -> bytes:
        """Reads the body of a route that takes JSON; refuses its shape as it comes."""
        limit: BodyLimit | None = self.scope.get("state", {}).get("body_limit")
        return await self._read(None if limit is None else Shape(limit))

    async def _read(self, shape: Shape | None) -> bytes:
        if not hasattr(self, "_body"):
            body = io.BytesIO()
            async for chunk in self.stream():
                if shape is not None:
                    shape.add(chunk)
                body.write(chunk)
            self._body = body.getvalue()
        return self._body

    async def json(self) -> Any:
        data = await self.body()
        if len(data) <= _AT_ONCE:
            return json.loads(data)
        return await self.pools.run("body", functools.partial(parse_json, data))

    def form(self, **limits: Any) -> Any:
        return self._parsed_form()

    async def _parsed_form(self) -> FormData:
        return parse_form(await self._read(None), self.headers.get("content-type", ""))


def kind_of(method: str, path: str) -> Kind:
    """Returns the kind of a route's work."""
    if method == "GET":
        return "list" if path in ("/v1/subjects", "/v1/entries") else "read"
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
