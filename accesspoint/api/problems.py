"""Table of errors: their code, and what each is over HTTP, over gRPC and in a batch.

HTTP answers are problem documents (RFC 9457); gRPC answers carry google.rpc.ErrorInfo
with the same code.
"""

from __future__ import annotations

from typing import NamedTuple

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from accesspoint import errors
from airreid import log
from airreid.errors import InputError
from airreid.v1 import common_pb2

DOMAIN = "airreid"
"""Domain of the codes in ErrorInfo."""


class Kind(NamedTuple):
    """Names of one kind of error, everywhere."""

    code: str
    title: str
    http: int
    grpc: grpc.StatusCode
    wire: common_pb2.Code.ValueType


_G, _C = grpc.StatusCode, common_pb2
INTERNAL = Kind("internal", "Internal error", 500, _G.INTERNAL, _C.CODE_INTERNAL)
METHOD = Kind("method_not_allowed", "Method not allowed", 405, _G.UNIMPLEMENTED, _C.CODE_INVALID)
MEDIA = Kind("unsupported_media", "Unsupported media", 415, _G.INVALID_ARGUMENT, _C.CODE_INVALID)
SLOW = Kind("too_slow", "Too slow", 408, _G.DEADLINE_EXCEEDED, _C.CODE_INVALID)
TABLE: dict[type[Exception], Kind] = {
    errors.NotFoundError: Kind("not_found", "Not found", 404, _G.NOT_FOUND, _C.CODE_NOT_FOUND),
    errors.ConflictError: Kind("conflict", "Conflict", 409, _G.ALREADY_EXISTS, _C.CODE_CONFLICT),
    errors.WrongSpaceError: Kind(
        "wrong_space", "Wrong feature space", 400, _G.FAILED_PRECONDITION, _C.CODE_WRONG_SPACE
    ),
    errors.QualityError: Kind(
        "quality", "Image not good enough", 400, _G.INVALID_ARGUMENT, _C.CODE_QUALITY
    ),
    errors.TooLargeError: Kind(
        "too_large", "Too large", 413, _G.RESOURCE_EXHAUSTED, _C.CODE_INVALID
    ),
    errors.NotReadyError: Kind("not_ready", "Not ready", 503, _G.UNAVAILABLE, _C.CODE_NOT_READY),
    errors.UnauthorizedError: Kind(
        "unauthorized", "No valid credential", 401, _G.UNAUTHENTICATED, _C.CODE_FORBIDDEN
    ),
    errors.ForbiddenError: Kind(
        "forbidden", "Not allowed", 403, _G.PERMISSION_DENIED, _C.CODE_FORBIDDEN
    ),
    errors.RateLimitedError: Kind(
        "rate_limited", "Too much at once", 429, _G.RESOURCE_EXHAUSTED, _C.CODE_NOT_READY
    ),
    InputError: Kind("invalid", "Bad input", 400, _G.INVALID_ARGUMENT, _C.CODE_INVALID),
}
"""Kinds by error class; the most specific class that fits counts, INTERNAL if none does."""


def kind_of(error: BaseException) -> Kind:
    """Returns the kind of an error."""
    for cls in type(error).__mro__:
        if cls in TABLE:
            return TABLE[cls]
    return INTERNAL


def detail_of(error: BaseException, request_id: str) -> str:
    """Returns what the caller may read of an error.

    An unexpected error is logged and not shown: its text may hold what does not belong in
    an answer.
    """
    if kind_of(error) is not INTERNAL:
        return str(error)
    log.warning("internal_error", request_id=request_id, error=type(error).__name__)
    return f"the access point failed; its log has request {request_id}"


def document(kind: Kind, detail: str, request_id: str) -> dict[str, object]:
    """Makes the members of a problem document."""
    return {
        "type": "about:blank",
        "title": kind.title,
        "status": kind.http,
        "detail": detail,
        "code": kind.code,
        "request_id": request_id,
    }


def grpc_status(kind: Kind, detail: str, request_id: str) -> grpc.Status:
    """Makes a status for ``context.abort_with_status``, with the code in its details."""
    info = error_details_pb2.ErrorInfo(
        reason=kind.code, domain=DOMAIN, metadata={"request_id": request_id}
    )
    packed = any_pb2.Any()
    packed.Pack(info)
    message = status_pb2.Status(
        code=code_pb2.Code.Value(kind.grpc.name), message=detail, details=[packed]
    )
    status: grpc.Status = rpc_status.to_status(message)
    return status


def wire_status(error: BaseException | None, request_id: str = "") -> common_pb2.Status:
    """Makes the status of one item of a batch; None stands for success."""
    if error is None:
        return common_pb2.Status(code=common_pb2.CODE_OK)
    return common_pb2.Status(code=kind_of(error).wire, message=detail_of(error, request_id))
