"""OpenAPI description of the REST interface, every refusal with its document."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Scope

from accesspoint.api.auth import scope_of_path
from accesspoint.api.rest_views import Problem

_PROBLEM = {
    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
}
_METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
_WITH_BODY = {"413": "The body is too large.", "415": "The body is of another media type."}
_ALWAYS = {
    "400": "The request cannot be used; the document says why.",
    "403": "Not from this host or site, or the token has another scope.",
    "422": "A field of the request is missing or out of its bounds.",
    "429": "Too much at once; try again.",
    "503": "The gallery is not ready; try again.",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Makes the OpenAPI document of an application."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema()
    document["components"]["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "Needed unless the access point listens on a loopback address.",
        }
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(method.upper(), path, operation)
    return document


def _complete(method: str, path: str, operation: dict[str, Any]) -> None:
    """Adds the refusals that an operation of this kind may answer with."""
    refusals = dict(_ALWAYS)
    if "requestBody" in operation:
        refusals |= _WITH_BODY
    if "{" in path or path in ("/v1/merge", "/v1/verify", "/v1/verify/feature"):
        refusals["404"] = "There is no such thing."
    if method in ("POST", "PUT", "DELETE"):
        refusals["409"] = "It contradicts what there is."
    needed = scope_of_path(method, path)
    if needed is not None:
        refusals["401"] = "No token, or one that is not known."
        operation["security"] = [{"token": []}, {}]
        operation["description"] = f"{operation.get('description', '')}\n\nScope: {needed}.".strip()
    for status, text in refusals.items():
        operation["responses"][status] = {"description": text, "content": _PROBLEM}


def allowed_methods(app: FastAPI, scope: Scope) -> str:
    """Returns the methods that a path takes, as in an Allow header; empty for an unknown path."""
    methods = {
        method
        for method in _METHODS
        if any(_takes(route, {**scope, "method": method}) for route in app.routes)
    }
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))


def _takes(route: BaseRoute, scope: Scope) -> bool:
    if isinstance(route, Mount) and scope["method"] != "GET":
        return False  # files
    return route.matches(scope)[0] is Match.FULL
