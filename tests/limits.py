"""Limits of a pydantic model's fields, as plain values that a test can write down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_WORDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_LENGTHS = {"min_length": "length >=", "max_length": "length <="}


def limits(model: type[BaseModel]) -> dict[str, list[str]]:
    """Bounds of each field, as ``>= 1``, those of its items among them; none: left out."""
    stated = {
        name: sorted({*_bounds(field.metadata), *_inside(field.annotation)})
        for name, field in model.model_fields.items()
    }
    return {name: bounds for name, bounds in stated.items() if bounds}


def _inside(annotation: object) -> Iterator[str]:
    """Bounds that are written inside an annotation."""
    yield from _bounds(getattr(annotation, "__metadata__", ()))
    for inner in get_args(annotation):
        yield from _inside(inner)


def _bounds(metadata: Sequence[object]) -> Iterator[str]:
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from _bounds(item.metadata)
        for name, word in {**_WORDS, **_LENGTHS}.items():
            if (value := getattr(item, name, None)) is not None:
                yield f"{word} {value}"


def defaults(model: type[BaseModel]) -> dict[str, Any]:
    """Plain defaults of the fields that have one."""
    return {
        name: field.default
        for name, field in model.model_fields.items()
        if not field.is_required() and isinstance(field.default, int | float | str | None)
    }
