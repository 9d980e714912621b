"""Sets of named parts that other packages may add to: channel models, scheme kinds, codes.

An installed package adds its own by naming a module in its metadata, under the entry points
``airreid.extensions``. The module is imported as soon as somebody asks for a part that the
project itself does not have, and registers what it brings. docs/extending.md shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from airreid.errors import InputError

EXTENSIONS = "airreid.extensions"
"""Group of the entry points."""
T = TypeVar("T")
_asked = False


def load_extensions() -> None:
    """Imports the modules that installed packages name; once a process.

    Raises :class:`InputError` naming an extension that cannot be imported.
    """
    global _asked
    if _asked:
        return
    _asked = True
    from importlib.metadata import entry_points  # slow, and seldom needed

    for entry in entry_points(group=EXTENSIONS):
        try:
            entry.load()
        except Exception as error:
            raise InputError(
                f"extension {entry.name} ({entry.value}) cannot be imported ({error}); "
                "mend it or uninstall its package"
            ) from error


class Registry(Generic[T]):
    """Parts of one sort by name, in the order in which they were registered."""

    def __init__(self, what: str) -> None:
        """``what`` one part is, for messages: "scheme kind"."""
        self._what = what
        self._parts: dict[str, T] = {}

    def register(self, name: str, part: T) -> T:
        """Adds a part and returns it. Raises :class:`ValueError` for a name that is taken."""
        if self._parts.setdefault(name, part) is not part:
            raise ValueError(f"{self._what} {name!r} is registered already")
        return part

    def get(self, name: str) -> T:
        """Returns the part of a name. Raises :class:`InputError` listing what there is."""
        if name not in self._parts:
            load_extensions()
        if name not in self._parts:
            raise InputError(f"{self._what} {name!r}: use one of {', '.join(self._parts)}")
        return self._parts[name]

    def __contains__(self, name: object) -> bool:
        if name not in self._parts:
            load_extensions()
        return name in self._parts

    def names(self) -> tuple[str, ...]:
        """Returns the names of the parts registered so far."""
        return tuple(self._parts)

    def parts(self) -> tuple[T, ...]:
        """Returns the parts registered so far."""
        return tuple(self._parts.values())

    @contextmanager
    def registered(self, name: str, part: T) -> Iterator[T]:
        """Adds a part for the time of a ``with`` block."""
        yield self.register(name, part)
        del self._parts[name]
