"""Frozen pydantic models, and their first complaint as one of AirReID's own errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import LiteralString, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from airreid.errors import AirReidError, BundleError, InputError

M = TypeVar("M", bound=BaseModel)
_INSIDE: LiteralString = "inside"


class FrozenModel(BaseModel):
    """Data that does not change and has no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FiniteModel(FrozenModel):
    """A frozen model whose numbers are neither infinite nor NaN."""

    model_config = ConfigDict(allow_inf_nan=False)


class Complaint(NamedTuple):
    """The first thing that is wrong with some values."""

    path: tuple[str, ...]
    """Fields and numbers that lead to the value; empty for the values as a whole."""
    message: str
    given: object
    """The value itself. It may be a secret: show it only where it can be none."""

    @property
    def field(self) -> str:
        """Returns the path, dotted."""
        return ".".join(self.path)

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.path else self.message


def first_complaint(error: ValidationError) -> Complaint:
    """Returns the first complaint of a pydantic error."""
    first = error.errors(include_url=False)[0]
    inner = first["ctx"]["path"] if first["type"] == _INSIDE else ()
    return Complaint((*map(str, first["loc"]), *inner), first["msg"], first["input"])


def inside(error: ValidationError, *path: str) -> PydanticCustomError:
    """Makes the error to raise in a validator that has validated part of a value by another model.

    The complaint keeps its place: ``path`` inside the value, then that in the part.
    """
    first = first_complaint(error)
    context = {"message": first.message, "path": (*path, *first.path)}
    return PydanticCustomError(_INSIDE, "{message}", context)


def validated(
    model: type[M],
    values: Mapping[str, object],
    what: str = "",
    *,
    show_given: bool = False,
    way_out: str = "",
    error: type[AirReidError] = InputError,
) -> M:
    """Makes a model from values that a user gave, ``what`` ("link", "uplink") before each field.

    Raises ``error`` as ``what field: message``, then the value given if ``show_given``,
    then ``; way_out``.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as invalid:
        first = first_complaint(invalid)
        text = f"{what} {first}" if what else str(first)
        given = f" (given: {first.given!r:.80})" if show_given else ""
        raise error(text + given + (way_out and f"; {way_out}")) from None


def loaded(
    model: type[M],
    data: bytes | str,
    what: object,
    *,
    way_out: str = "",
    error: type[AirReidError] = BundleError,
) -> M:
    """Reads a model from the JSON of ``what``, a file or a named document.

    Raises ``error`` as ``what: field: message``, then ``; way_out``.
    """
    try:
        return model.model_validate_json(data)
    except ValidationError as invalid:
        first = first_complaint(invalid)
        text = f"{what}: {first.field or 'document'}: {first.message}"
        raise error(text + (way_out and f"; {way_out}")) from None
