"""Schemes that can be fitted in closed form, by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from airreid.errors import InputError
from airreid.nested.pieces import check_pieces
from airreid.scheme_kinds import parse_scheme_id

NESTED: Final = "jscc-nested"
KINDS = ("jscc-fc", "jscc-ae", NESTED, "digital")
MOST_BANDWIDTH = 2048
DEFAULT_SCHEMES = ("jscc-fc-256", "jscc-fc-64", "jscc-ae-256", "digital-256")
"""Schemes that are fitted where none are asked for."""


def parse_schemes(scheme_ids: Sequence[str]) -> list[tuple[str, str, int]]:
    """(id, kind, bandwidth) of each scheme asked for.

    Raises :class:`InputError` for an id twice, of another kind, or of too many uses.
    """
    if len(set(scheme_ids)) != len(scheme_ids):
        raise InputError(f"--scheme {' '.join(scheme_ids)}: every id once")
    wanted = [(name, *parse_scheme_id(name, KINDS, MOST_BANDWIDTH)) for name in scheme_ids]
    for _, kind, bandwidth in wanted:
        if kind == NESTED:
            check_pieces(bandwidth)
    return wanted
