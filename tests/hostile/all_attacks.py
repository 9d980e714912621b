"""All attacks by name, and the process that runs one."""

from __future__ import annotations

import os

from . import attacks
from .frame_attacks import FRAME_ATTACKS

TLS_ATTACKS = {attacks.handshakes.__name__: attacks.handshakes}
ATTACKS = {
    attack.__name__: attack
    for attack in (
        attacks.json_shapes,
        attacks.wrong_values,
        attacks.silent_connections,
        attacks.unread_answers,
        attacks.requests_ahead,
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
    (ATTACKS | TLS_ATTACKS)[name](grpc_port, http_port)
