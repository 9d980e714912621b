"""Sets of named parts that other packages may add to: channel models, scheme kinds, codes.

An installed package adds its own by naming a module in its metadata, under the entry points
``airreid.extensions``. The module is imported as soon as somebody asks for a part that the
project itself does not have, and registers what it brings. docs/extending.md shows it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from airreid.errors import InputError

EXTENSIONS = "airreid.extensions"
"""Group of the entry points."""
T = TypeVar("T")
_lock = threading.RLock()
_loading = False
_loaded = False
_broken: list[str] = []
"""A sentence for each extension that could not be imported."""


def load_extensions() -> None:
    """Imports the modules that installed packages name; once a process, whoever asks first.

    An extension that cannot be imported hinders no other; :func:`broken_extensions` names it.
    """
    global _loading, _loaded
    with _lock:
        if _loaded or _loading:  # loading: an extension that asks while it registers
            return
        _loading = True
        from importlib.metadata import entry_points  # slow, and seldom needed

        for entry in entry_points(group=EXTENSIONS):
            try:
                entry.load()
            except Exception as error:
                _broken.append(
                    f"extension {entry.name} ({entry.value}) cannot be imported ({error}); "
                    "mend it or uninstall its package"
                )
        _loading, _loaded = False, True


def broken_extensions() -> str:
    """Returns what to add to a message about a part that is not there; empty if all is well."""
    return "".join(f"; {sentence}" for sentence in _broken)


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
            raise InputError(
                f"{self._what} {name!r}: use one of {', '.join(self._parts)}{broken_extensions()}"
            )
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
