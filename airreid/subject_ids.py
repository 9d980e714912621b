"""Ids of subjects and cameras, made reversibly from the names that people give their folders."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable

from airreid.errors import InputError

ID_MAX = 128
"""Characters of an id at most, of people and cameras as of edges, spools, tracks and links."""
_PATTERN = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:@+-]{{0,{ID_MAX - 1}}}")
_PLAIN = re.compile(r"[A-Za-z0-9._:@-]")
_ESCAPED = re.compile(r"\+([0-9A-F]{2})")


def is_id(text: str) -> bool:
    """Says whether a text is an id."""
    return _PATTERN.fullmatch(text) is not None


def id_of(name: str) -> str:
    """Makes an id of a name; :func:`name_of` gives the name back.

    A name that is an id already, and does not end in ``+``, is its own id. Of another one each
    byte of UTF-8 that no id may have becomes ``+`` and two hex digits, and a ``+`` at the end says
    so: ``José`` is ``Jos+C3+A9+``. Composed and decomposed accents, as Linux and macOS write
    them, are the same name. The id may be longer than :data:`ID_MAX`.
    """
    name = unicodedata.normalize("NFC", name)
    if is_id(name) and not name.endswith("+"):
        return name
    escaped = "".join(
        chr(byte) if _PLAIN.fullmatch(chr(byte)) else f"+{byte:02X}" for byte in os.fsencode(name)
    )
    begins = escaped[:1].isalnum()
    return f"{escaped}+" if begins else f"x+{_first_escaped(escaped)}+"


def _first_escaped(escaped: str) -> str:
    """Escapes a first character that no id begins with; two ``+`` in a row mark it."""
    if escaped.startswith("+") or not escaped:
        return escaped
    return f"+{ord(escaped[0]):02X}{escaped[1:]}"


def name_of(subject: str) -> str:
    """Returns the name that an id was made of; an id that was not made is its own name."""
    if not subject.endswith("+"):
        return subject
    escaped = subject.removesuffix("+")
    if escaped.startswith("x++") or escaped == "x+":
        escaped = escaped.removeprefix("x+")
    data = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), escaped).encode("latin-1")
    return os.fsdecode(data)


def name_and_id(subject: str) -> str:
    """Returns a subject as people read it: an id that was made of a name stands behind the name."""
    name = shown_name(name_of(subject))
    return subject if name == subject else f"{name} ({subject})"


def as_id(text: str) -> str:
    """Returns what somebody typed as an id: an id as it is, a name's id otherwise."""
    return text if is_id(text) else id_of(text)


def shown_name(name: str) -> str:
    """Makes text of a name that can be stored and printed, whatever bytes it has."""
    text = os.fsencode(unicodedata.normalize("NFC", name)).decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "�" for character in text)


def ids_of(names: Iterable[str]) -> dict[str, str]:
    """Makes the ids of all names. Raises :class:`InputError` naming all that give none."""
    ids = {name: id_of(name) for name in names}
    long = [name for name, subject in ids.items() if len(subject) > ID_MAX]
    if long:
        named = ", ".join(repr(shown_name(name)[:40]) for name in long[:20])
        others = f" and {len(long) - 20} more" if len(long) > 20 else ""
        raise InputError(
            f"{len(long)} names are too long for an id of {ID_MAX} characters: {named}{others}; "
            "rename these folders (a letter with an accent takes 6 characters, a Chinese one 9)"
        )
    return ids
