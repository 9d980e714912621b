"""Calls of GalleryService on their way to :class:`accesspoint.api.grpc_gallery.GalleryMethods`.

A call is admitted by its metadata, then its message is read within the limits of its method,
weighed, parsed and worked on in the pool of its kind.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from accesspoint.api import problems
from accesspoint.api.auth import Access, Principal, scope_of_rpc
from accesspoint.api.enrolment import ITEMS_MAX
from accesspoint.api.grpc_gallery import GalleryMethods
from accesspoint.api.limits import MESSAGE_BYTES, SMALL_BYTES
from accesspoint.api.metrics import Metrics
from accesspoint.api.pools import Kind, Pools, caller
from accesspoint.errors import RateLimitedError, TooLargeError
from airreid.call_limits import CallLimits, MessageReader
from airreid.credentials import certificate_names
from airreid.errors import InputError
from airreid.reading_turns import ReadingTurns
from airreid.v1 import gallery_pb2
from airreid.wire import repeated_at_most

Context = aio.ServicerContext[Any, Any]
SERVICE = gallery_pb2.DESCRIPTOR.services_by_name["GalleryService"]
_KINDS: dict[str, Kind] = {
    "Describe": "read",
    "GetSubject": "read",
    "ListSubjects": "list",
    "GetEntry": "read",
    "ListEntries": "list",
    "GetPolicy": "read",
    "GetJob": "read",
    "ListJobs": "read",
    "Search": "search",
    "Verify": "search",
    "Enroll": "enrol",
}
"""Kinds of work by method; the others change something."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def principal_of(context: Context, access: Access) -> Principal:
    """Identifies a caller by the token in the metadata and the connection's certificate.

    Raises :class:`accesspoint.errors.UnauthorizedError`.
    """
    metadata = dict(context.invocation_metadata() or ())
    shown = metadata.get("authorization")
    names = certificate_names(context.auth_context())
    return access.principal(shown if isinstance(shown, str) else None, names)


def request_id_of(context: Context) -> str:
    """Returns the caller's name for the request (``x-request-id``), or a new one."""
    given = dict(context.invocation_metadata() or ()).get("x-request-id", "")
    usable = isinstance(given, str) and _REQUEST_ID.fullmatch(given)
    return str(given) if usable else secrets.token_hex(8)


async def abort(context: Context, error: BaseException, request_id: str) -> None:
    """Ends the call with the error's status and details."""
    detail = problems.detail_of(error, request_id)
    await context.abort_with_status(
        problems.grpc_status(problems.kind_of(error), detail, request_id)
    )


class GalleryCalls:
    """Handlers of all methods; owned by one event loop."""

    def __init__(
        self,
        methods: GalleryMethods,
        access: Access,
        metrics: Metrics,
        pools: Pools,
        max_calls: int = 256,
        message_bytes: int = MESSAGE_BYTES,
        turns: ReadingTurns | None = None,
    ) -> None:
        """``max_calls``: calls under way; further ones are told to come again.
        ``message_bytes``: longest message of a call with images. ``turns``: those of all long
        messages of the port, for calls."""
        self._methods = methods
        self._access = access
        self._metrics = metrics
        self._pools = pools
        self._max_calls = max_calls
        self._calls = 0
        turns = turns or ReadingTurns()
        small = MessageReader(CallLimits(SMALL_BYTES), turns)
        self._readers = dict.fromkeys((method.name for method in SERVICE.methods), small)
        large = CallLimits(message_bytes, reading=8, when_full="wait", reading_seconds=60.0)
        searching, enrolling = MessageReader(large, turns), MessageReader(large, turns)
        self._readers |= {"Search": searching, "Verify": searching, "Enroll": enrolling}

    def register(self, server: aio.Server) -> str:
        """Adds the service; returns its full name.

        Handlers of single messages are registered as if they took streams: such are called
        before a message is read.
        """
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            method.name: grpc.stream_unary_rpc_method_handler(
                partial(self._call, method.name, GetMessageClass(method.input_type)),
                request_deserializer=None,
                response_serializer=GetMessageClass(method.output_type).SerializeToString,
            )
            for method in SERVICE.methods
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),)
        )
        return SERVICE.full_name

    async def _call(
        self, method: str, kind: type[Any], messages: AsyncIterator[bytes], context: Context
    ) -> Any:
        request_id, started, code = request_id_of(context), time.perf_counter(), "ok"
        context.set_trailing_metadata((("x-request-id", request_id),))
        self._calls += 1
        failure: Exception | None = None
        try:
            who = principal_of(context, self._access)
            who.demand(scope_of_rpc(method))
            caller.set(who.name)
            if self._calls > self._max_calls:
                raise RateLimitedError(f"more than {self._max_calls} calls at once")
            code = "unread"
            data = await self._readers[method].single(messages, context)
            code = "ok"
            return await self._work(method, kind, data, who)
        except aio.AbortError:
            raise
        except Exception as error:  # whatever it is, the caller gets a status
            code = problems.kind_of(error).code
            # a traceback would keep the message until the next collection
            failure = error.with_traceback(None)
            failure.__context__ = failure.__cause__ = None
        finally:
            self._calls -= 1
            self._metrics.requests.labels("grpc", method, code).observe(
                time.perf_counter() - started
            )
        data = b""
        await abort(context, failure, request_id)
        raise failure

    async def _work(self, method: str, kind: type[Any], data: bytes, who: Principal) -> Any:
        request = _parsed(method, kind, data)
        work = partial(getattr(self._methods, method), who, request)
        return await self._pools.run(_kind(method, request), work)


def _parsed(method: str, kind: type[Any], data: bytes) -> Any:
    """Parses a message. Raises :class:`InputError` for what is none."""
    if method == "Enroll" and not repeated_at_most(data, ITEMS_MAX):
        raise TooLargeError(f"more than {ITEMS_MAX} items; send at most {ITEMS_MAX} at once")
    try:
        return kind.FromString(data)
    except DecodeError:
        raise InputError(f"not a {kind.DESCRIPTOR.name} message") from None


def _kind(method: str, request: Any) -> Kind:
    kind = _KINDS.get(method, "change")
    if kind == "search" and request.WhichOneof("source") == "image":
        return "image"
    if kind == "enrol" and not any(item.HasField("image") for item in request.items):
        return "change"
    return kind
