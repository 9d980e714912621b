"""All attacks by name, and the process that runs one."""

from __future__ import annotations

import os

from . import attacks
from .frame_attacks import FRAME_ATTACKS, refused_streams

OTHER_ATTACKS = {
    attack.__name__: attack for attack in (attacks.handshakes, attacks.crops, refused_streams)
}
"""Attacks on services of other kinds: with TLS, an edge, a channel."""
ATTACKS = {
    attack.__name__: attack
    for attack in (
        attacks.json_shapes,
        attacks.wrong_values,
        attacks.silent_connections,
        attacks.pipelined_requests,
        attacks.long_names,
        attacks.dear_blocks,
        attacks.odd_reports,
        attacks.large_messages,
        attacks.half_messages,
        attacks.pixel_bombs,
        attacks.scan_bombs,
        attacks.enrolments,
    )
} | FRAME_ATTACKS


def run(name: str, grpc_port: int, http_port: int) -> None:
    """Attacks, from another machine so to speak: it takes no processor from the others."""
    os.nice(15)
    (ATTACKS | OTHER_ATTACKS)[name](grpc_port, http_port)
