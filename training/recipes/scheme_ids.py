"""Ids of the schemes that recipes train, of the kinds that there are networks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from airreid.errors import InputError
from airreid.scheme_kinds import kind_of, parse_scheme_id

BANDWIDTH_MAX = 2048
JSCC_KINDS = ("jscc-ae", "jscc-fc")
DIGITAL_KINDS = ("digital",)
NESTED_KINDS = ("jscc-nested",)


def parse_scheme(scheme_id: str) -> tuple[str, int]:
    """Splits ``jscc-ae-256`` into (``jscc-ae``, 256). Raises :class:`InputError`."""
    return parse_scheme_id(scheme_id, JSCC_KINDS, BANDWIDTH_MAX)


def _id_of(*kinds: str) -> Callable[[str], str]:
    def check(scheme_id: str) -> str:
        try:
            parse_scheme_id(scheme_id, kinds, BANDWIDTH_MAX)
        except InputError as error:
            raise PydanticCustomError("scheme_id", "{error}", {"error": str(error)}) from None
        return scheme_id

    return check


def _kind(scheme_id: str) -> str:
    try:
        return kind_of(scheme_id)
    except InputError as error:
        raise PydanticCustomError("scheme_id", "{error}", {"error": str(error)}) from None


JsccId = Annotated[str, AfterValidator(_id_of(*JSCC_KINDS))]
NestedId = Annotated[str, AfterValidator(_id_of(*NESTED_KINDS))]
DigitalId = Annotated[str, AfterValidator(_id_of(*DIGITAL_KINDS))]
AnyId = Annotated[str, AfterValidator(lambda scheme_id: _id_of(_kind(scheme_id))(scheme_id))]
"""Id of a scheme of any kind that is registered."""
