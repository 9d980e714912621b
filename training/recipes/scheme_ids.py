"""Scheme ids: ``jscc-ae-256``, ``jscc-fc-joint-64``, ``digital-256-r1``."""

from __future__ import annotations

import re
from typing import Literal

from airreid.errors import InputError

Kind = Literal["jscc-ae", "jscc-fc", "digital"]
_TAIL = r"(-[a-z]+)*-(?:[1-9][0-9]{0,2}|1[0-9]{3}|20[0-3][0-9]|204[0-8])"
_RATE = r"(-r[1-9][0-9]{0,2})?"
JSCC_ID = rf"^jscc-(ae|fc){_TAIL}{_RATE}$"
DIGITAL_ID = rf"^digital{_TAIL}{_RATE}$"


def kind_of(scheme_id: str) -> Kind:
    """The kind, which an id begins with. Raises :class:`InputError` for another beginning."""
    for kind in ("jscc-ae", "jscc-fc", "digital"):
        if scheme_id.startswith(kind + "-"):
            return kind
    raise InputError(f"scheme {scheme_id!r}: begins with none of jscc-ae, jscc-fc, digital")


def bandwidth_of(scheme_id: str) -> int:
    """B, real channel uses per query: ``digital-256-r1`` -> 256."""
    found = re.search(r"-([0-9]+)(?:-r[0-9]+)?$", scheme_id)
    if found is None:
        raise InputError(f"scheme {scheme_id!r}: does not end in a bandwidth")
    return int(found[1])


def parse_scheme(scheme_id: str) -> tuple[str, int]:
    """``jscc-ae-256`` -> (``jscc-ae``, 256). Raises :class:`InputError`."""
    if not re.match(JSCC_ID, scheme_id):
        raise InputError(
            f"scheme {scheme_id!r}: write jscc-ae-B or jscc-fc-B with a bandwidth B of 1 to 2048"
        )
    return kind_of(scheme_id), bandwidth_of(scheme_id)
