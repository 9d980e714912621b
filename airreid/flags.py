"""Settings models whose fields are also options of the command line and keys of a file.

A field is declared once: its bounds by pydantic, its help by the first paragraph of the
docstring below it, and that it is an option by a :class:`Flag` among its annotations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from airreid.validation import FrozenModel


class Settings(FrozenModel):
    """Base of settings: frozen, without unknown fields, described by docstrings."""

    model_config = ConfigDict(use_attribute_docstrings=True)


@dataclass(frozen=True)
class Flag:
    """Marks a field as an option, as in ``Annotated[int, Field(ge=1), Flag()]``."""

    name: str = ""
    """Name on the command line, ``--kept-mib`` or ``--csi/--no-csi``; empty: the field's."""
    metavar: str | None = None
    shown_default: str | None = None
    """Text in place of a default of None."""
    envvar: str | None = None
    scale: int = 1
    """Multiple of the field's unit that the option counts in."""
    type: Any = None
    """Type of the option's value, where it is not the field's."""
    instead_of: tuple[str, ...] = ()
    """Keys of the same table of a file that this option takes the place of."""


@dataclass(frozen=True)
class SettingsField:
    """One field of a settings model, or of a model inside it."""

    path: tuple[str, ...]
    """Keys that lead to it: ``("uplink", "window")``."""
    info: FieldInfo
    owner: type[BaseModel]
    """The model that declares it."""

    @property
    def flag(self) -> Flag | None:
        """The mark of an option; None for a key of the file alone."""
        return next((mark for mark in self.info.metadata if isinstance(mark, Flag)), None)

    @property
    def key(self) -> str:
        """The dotted key: ``uplink.window``."""
        return ".".join(self.path)

    @property
    def option(self) -> str:
        """The option's declaration, ``--window``; empty for a field that is no option."""
        if self.flag is None:
            return ""
        return self.flag.name or "--" + self.path[-1].replace("_", "-")

    @property
    def parameter(self) -> str:
        """The option's name as a Python parameter: ``window``."""
        return self.option.partition("/")[0].lstrip("-").replace("-", "_")

    @property
    def type(self) -> Any:
        """The value's type, without None and without bounds."""
        return plain_type(self.info.annotation)


def plain_type(annotation: Any) -> Any:
    """A type without its bounds, and without None where it is optional."""
    if get_origin(annotation) is Annotated:
        return plain_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not NoneType]
        if len(members) == 1:
            return plain_type(members[0])
    return annotation


def table_of(info: FieldInfo) -> type[BaseModel] | None:
    """The model inside a field, a table of the file; None for a plain value."""
    kind = plain_type(info.annotation)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def fields_of(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[SettingsField]:
    """Every plain field of a model and of the models inside it, in the order of declaration."""
    for name, info in model.model_fields.items():
        inside = table_of(info)
        if inside is None:
            yield SettingsField((*path, name), info, model)
        else:
            yield from fields_of(inside, (*path, name))
