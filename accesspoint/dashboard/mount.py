"""Mounting of the dashboard on the application."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from accesspoint.dashboard.feed import feed_router
from accesspoint.dashboard.links import links_router
from accesspoint.events import Feed

STATIC = Path(__file__).parent / "static"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asks each time: an update must not meet old modules
}


class _Assets(StaticFiles):
    """Static files with the page's headers."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def add_dashboard(app: FastAPI, feed: Feed, channel: str | None = None) -> None:
    """Adds the page at ``/``, its files at ``/assets``, ``/v1/events`` and ``/v1/links``.

    ``channel`` is HOST:PORT of a channel simulator; without one the page says how to give
    it. The files hold nothing secret and need no token; what they fetch may.
    """

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers=_HEADERS)

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> FileResponse:
        return FileResponse(STATIC / "icon.svg", headers=_HEADERS)

    app.mount("/assets", _Assets(directory=STATIC), name="assets")
    app.include_router(feed_router(feed))
    app.include_router(links_router(channel))
