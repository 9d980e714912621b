"""File descriptors: as many as the system allows, some of them kept for what must go on."""

from __future__ import annotations

import errno
import resource
from typing import NamedTuple

from airreid import log

RESERVED = 192
"""Descriptors that no connection takes: those of files, indexes, the audit log and the program."""
WANTED = 65_536
"""Descriptors that are asked for, at most."""
_CONNECTIONS_MIN = 16


class Budget(NamedTuple):
    """Connections that fit into the descriptors of this process."""

    grpc: int
    http: int


def raise_limit() -> int:
    """Raises the soft limit of descriptors as far as the system lets it; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return WANTED if soft == resource.RLIM_INFINITY else soft


def budget(limit: int, grpc: int, http: int) -> Budget:
    """Returns how many connections of each kind fit into a limit of descriptors.

    ``grpc`` and ``http`` are what is wanted; HTTP gets a quarter where that is too much.
    """
    room = max(0, limit - RESERVED)
    fewer_http = min(http, max(_CONNECTIONS_MIN, room // 4))
    fewer_grpc = max(_CONNECTIONS_MIN, min(grpc, room - fewer_http))
    if (fewer_grpc, fewer_http) != (grpc, http):
        log.warning("few_descriptors", limit=limit, grpc=fewer_grpc, http=fewer_http)
    return Budget(fewer_grpc, fewer_http)


def is_exhausted(error: BaseException | None) -> bool:
    """Returns whether an error says that descriptors or memory ran out, and nothing of a file.

    What cannot be opened for want of a descriptor is not damaged.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in (
            errno.EMFILE,
            errno.ENFILE,
            errno.ENOMEM,
        ):
            return True
        error = error.__cause__ or error.__context__
    return False
