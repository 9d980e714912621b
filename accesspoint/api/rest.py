"""REST under /v1: the gallery for people with curl; it means the same as gRPC.

Handlers are plain functions that run in worker threads; they translate, call one method
and translate back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from accesspoint.api import openapi, problems, rest_gallery, rest_search, rest_views
from accesspoint.api.jobs import Jobs
from accesspoint.api.metrics import CONTENT_TYPE, Metrics
from accesspoint.api.pools import Pools
from accesspoint.api.search_service import SearchService
from accesspoint.api.service import Service
from accesspoint.api.work_route import work_route
from accesspoint.errors import NotFoundError, NotReadyError, RateLimitedError, TooLargeError
from airreid import __version__
from airreid.errors import AirReidError, InputError

_KINDS = {
    404: problems.TABLE[NotFoundError],
    405: problems.METHOD,
    408: problems.SLOW,
    413: problems.TABLE[TooLargeError],
    415: problems.MEDIA,
    429: problems.TABLE[RateLimitedError],
}


@dataclass(frozen=True)
class RestServices:
    """Services that the handlers call."""

    service: Service
    search_service: SearchService
    jobs: Jobs
    metrics: Metrics
    not_ready: Callable[[], str]
    """Reason that queries are not answered as they should be; empty if they are."""
    pools: Pools

    def ready(self) -> bool:
        """Whether there is nothing that ``not_ready`` names."""
        return not self.not_ready()


def build_app(services: RestServices) -> FastAPI:
    """Makes the application, without its guard (:class:`accesspoint.api.guard.Guard`)."""
    app = FastAPI(
        title="AirReID access point",
        version=__version__,
        description="The people an access point knows: enrol, search, verify, delete.",
        docs_url=None,  # these pages fetch scripts from other hosts
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    _add_refusals(app)
    _add_health(app, services)
    route = work_route(services.pools)
    app.include_router(rest_gallery.router(services.service, route))
    app.include_router(rest_search.router(services.search_service, services.jobs, route))
    descriptions: dict[str, bytes] = {}

    @app.get("/openapi.json", include_in_schema=False)
    async def description(request: Request) -> Response:
        root_path = request.scope.get("root_path", "")
        if root_path not in descriptions:
            servers = {"servers": [{"url": root_path}]} if root_path else {}
            document = JSONResponse({**openapi.describe(app), **servers})
            descriptions[root_path] = bytes(document.body)
        return Response(descriptions[root_path], media_type=JSONResponse.media_type)

    return app


def _add_health(app: FastAPI, services: RestServices) -> None:
    @app.get("/v2/health/live", tags=["health"])
    async def live() -> rest_views.HealthView:
        """Says that the process answers."""
        return rest_views.HealthView(live=True, ready=services.ready())

    @app.get("/v2/health/ready", tags=["health"])
    async def ready() -> rest_views.HealthView:
        """Says that queries are answered; 503 until then."""
        if reason := services.not_ready():
            raise NotReadyError(reason)
        return rest_views.HealthView(live=True, ready=True)

    @app.get(
        "/metrics",
        tags=["health"],
        response_class=Response,
        responses={200: {"content": {CONTENT_TYPE.split(";")[0]: {"schema": {"type": "string"}}}}},
    )
    def metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(services.metrics.text(), media_type=CONTENT_TYPE)


def _problem(request: Request, kind: problems.Kind, detail: str, **headers: str) -> JSONResponse:
    request_id = request.scope.get("state", {}).get("request_id", "")
    return JSONResponse(
        problems.document(kind, detail, request_id),
        status_code=kind.http,
        media_type="application/problem+json",
        headers=headers,
    )


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(Exception)  # Starlette raises it again; the guard ends that
    @app.exception_handler(AirReidError)
    def _refused(request: Request, error: Exception) -> JSONResponse:
        kind = problems.kind_of(error)
        headers = {"Retry-After": "1"} if kind.http in (429, 503) else {}
        request_id = request.scope.get("state", {}).get("request_id", "")
        return _problem(request, kind, problems.detail_of(error, request_id), **headers)

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part)[:64] for part in first["loc"])
        kind = problems.TABLE[InputError]._replace(http=422)
        return _problem(request, kind, f"{where}: {first['msg'][:500]}")

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> JSONResponse:
        kind = _KINDS.get(error.status_code, problems.TABLE[InputError])
        detail = str(error.detail)
        if error.status_code == 404:
            detail = f"there is no {request.url.path[:200]}; /openapi.json lists what there is"
        if error.status_code == 405:
            allowed = openapi.allowed_methods(app, request.scope)
            return _problem(request, kind, f"this path takes {allowed}", Allow=allowed)
        headers = {"Retry-After": "1"} if error.status_code == 429 else {}
        return _problem(request, kind, detail, **headers)
