"""Access of streams of blocks: the edges that each may speak for."""

from __future__ import annotations

import time
from collections.abc import Callable

from accesspoint.api.auth import Access
from accesspoint.api.grpc_calls import Context, abort, principal_of, request_id_of
from accesspoint.api.tokens import Scope
from accesspoint.receiver.stream import Access as StreamAccess
from airreid.errors import AirReidError

_RECHECK_SECONDS = 1.0
"""Time after which a stream's credential is checked again; a stream lasts for days."""


def stream_access(access: Access) -> StreamAccess:
    """Makes the check of streams: a token with scope stream, or a camera's own certificate."""

    async def admit(context: Context) -> Callable[[str], bool]:
        try:
            who = principal_of(context, access)
            who.demand(Scope.STREAM)
        except AirReidError as error:
            await abort(context, error, request_id_of(context))
            raise
        checked = time.monotonic()

        def allowed(edge_id: str) -> bool:
            nonlocal who, checked
            now = time.monotonic()
            if now - checked > _RECHECK_SECONDS:
                try:
                    who = principal_of(context, access)
                except AirReidError:
                    return False
                checked = now
            return who.may_speak_for(edge_id)

        return allowed

    return admit
