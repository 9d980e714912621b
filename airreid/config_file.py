"""A service's settings from a TOML file and the command line, which wins over the file."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from airreid.errors import InputError
from airreid.flags import SettingsField, fields_of, plain_type, table_of
from airreid.validation import Complaint, first_complaint

Model = TypeVar("Model", bound=BaseModel)
Table = dict[str, Any]
_BYTES_MAX = 64 * 1024
_LEVELS_MAX = 32
_BITS_MAX = 64
_NAME = r"""(?:(?<![\w-])[\w-]++|"(?:[^"\\\n]|\\.){0,64}+"|'[^'\n]{0,64}+')"""
"""A part of a key. One above 64 characters is let through: 64 KiB hold few of those."""
_LONG_KEY = re.compile(rf"{_NAME}(?:[ \t]*+\.[ \t]*+{_NAME}){{{_LEVELS_MAX}}}")
_NUMBERS = {int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class Given(Generic[Model]):
    """Settings as they were given: tables of plain values, not yet checked."""

    model: type[Model]
    flags: Table
    """Values of the options that were given, nested like the model."""
    path: Path | None = None
    file: Table | None = None
    """Values of the file, with its relative paths made its folder's."""

    @property
    def values(self) -> Table:
        """The file's values with those of the command line over them."""
        return _merged(self.model, self.file or {}, self.flags)

    def checked(self, values: Mapping[str, object] | None = None) -> Model:
        """The model of ``values`` (None: of :attr:`values`).

        Raises :class:`InputError` that names the option, or the file and its key.
        """
        try:
            return self.model.model_validate(self.values if values is None else values)
        except ValidationError as error:
            raise InputError(self._message(first_complaint(error))) from None

    def _message(self, complaint: Complaint) -> str:
        """One line: the file and its key, or the option; what is wrong."""
        keys = complaint.path
        fields = {field.path: field for field in fields_of(self.model)}
        prefixes = [keys[:length] for length in range(len(keys), 0, -1)]
        option = next((fields[path].option for path in prefixes if path in fields), "")
        from_file = _holds(self.file, keys) and not _holds(self.flags, keys)
        if from_file or not option:
            option = ".".join(keys)
        where = [str(self.path)] if from_file else []
        where += [option.partition("/")[0]] if option else []
        if complaint.message == "Field required":
            return ": ".join([*where, "is needed beside what is given"])
        given = "" if isinstance(complaint.given, dict) else f" (given: {complaint.given!r:.80})"
        return ": ".join([*where, complaint.message]) + given


def read_config(path: Path, model: type[BaseModel]) -> Table:
    """A TOML file's tables, with relative paths taken from the file's folder.

    Raises :class:`InputError` that names the file, and the key that ``model`` does not have
    (with the known keys near it) or whose value has another type.
    """
    deep = f"{path}: more than {_LEVELS_MAX} names joined by dots, or tables or lists in each other"
    try:
        text = _read(path).decode("utf-8-sig")
        if _LONG_KEY.search(text):
            raise InputError(f"{deep}; no setting is so deep")
        table = tomllib.loads(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}") from None
    except ValueError:  # Python's limit on the digits of a number
        raise InputError(
            f"{path}: a number of thousands of digits; numbers have at most {_BITS_MAX} bits"
        ) from None
    except RecursionError:
        raise InputError(f"{deep}; no setting is so deep") from None
    for name, value in table.items():
        _check_plain(path, _shown(name), value, 1)
    return _checked_table(path, model, model, table)


def _read(path: Path) -> bytes:
    """Reads a file of at most 64 KiB, never a pipe or a device, which may not end."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise InputError(f"{path}: cannot be read (not a regular file); give a file")
    with path.open("rb") as file:
        data = file.read(_BYTES_MAX + 1)
    if len(data) > _BYTES_MAX:
        raise InputError(f"{path}: larger than {_BYTES_MAX >> 10} KiB; no file of settings is")
    return data


def _check_plain(path: Path, key: str, value: object, level: int) -> None:
    """Refuses what no setting can be: a value too deep, a huge number, a text with NUL."""
    if level > _LEVELS_MAX:
        raise InputError(f"{path}: {key:.80}: has more than {_LEVELS_MAX} levels; no setting has")
    if isinstance(value, int) and value.bit_length() > _BITS_MAX:
        raise InputError(f"{path}: {key}: a number of more than {_BITS_MAX} bits; no setting is")
    if isinstance(value, str) and "\0" in value:
        raise InputError(f"{path}: {key}: has a NUL character; take it out")
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_plain(path, f"{key}.{_shown(name)}", inner, level + 1)
    if isinstance(value, list):
        for number, inner in enumerate(value):
            _check_plain(path, f"{key}.{number}", inner, level + 1)


def _shown(name: str) -> str:
    """A key for a message of one line."""
    return name if name.isprintable() and len(name) <= 80 else f"{name!r:.80}"


def _checked_table(
    path: Path, root: type[BaseModel], model: type[BaseModel], table: Table, keys: str = ""
) -> Table:
    """A table whose keys are all the model's and whose values have about the right type."""
    checked: Table = {}
    for name, value in table.items():
        key = f"{keys}.{_shown(name)}" if keys else _shown(name)
        info = model.model_fields.get(name)
        if info is None:
            raise InputError(f"{path}: no key {key}; {_known_keys(root, model, keys, name)}")
        inside, field = table_of(info), SettingsField((name,), info, model)
        if inside is not None:
            if not isinstance(value, dict):
                raise InputError(f"{path}: {key}: needs a table, [{key}] (given: {value!r:.80})")
            checked[name] = _checked_table(path, root, inside, value, key)
            continue
        _check_numbers(path, key, field.type, value)
        kind = (field.flag and field.flag.type) or field.type
        if kind is Path and isinstance(value, str):
            value = path.parent / value
        checked[name] = value
    return checked


def _check_numbers(path: Path, key: str, kind: Any, value: object) -> None:
    """Refuses a number or a truth value that pydantic would read out of another TOML type."""
    kind = plain_type(kind)
    if kind in _NUMBERS:
        allowed = (int, float) if kind is float else (kind,)
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
            raise InputError(f"{path}: {key}: needs {_NUMBERS[kind]} (given: {value!r:.80})")
    items = get_args(kind)
    if isinstance(value, list) and get_origin(kind) in (list, tuple):
        repeated = get_origin(kind) is list or items[-1] is ...
        for number, entry in enumerate(value):
            if repeated or number < len(items):
                item = items[0] if repeated else items[number]
                _check_numbers(path, f"{key}.{number}", item, entry)
    if isinstance(value, dict) and get_origin(kind) is dict:
        for name, entry in value.items():
            _check_numbers(path, f"{key}.{_shown(name)}", items[1], entry)


def _known_keys(root: type[BaseModel], model: type[BaseModel], keys: str, name: str) -> str:
    fields = list(fields_of(root))
    names = {field.path[-1]: field.key for field in fields}
    names |= {field.parameter: field.key for field in fields if field.option}
    near = get_close_matches(name.replace("-", "_"), names, n=3)
    known = ", ".join(model.model_fields)
    here = f"[{keys}] has {known}" if keys else f"the file's keys are {known}"
    if not near:
        return here
    return f"near it: {', '.join(dict.fromkeys(names[close] for close in near))}; {here}"


def _merged(model: type[BaseModel], file: Table, flags: Table) -> Table:
    merged = dict(file)
    for name, value in flags.items():
        info = model.model_fields[name]
        inside, flag = table_of(info), SettingsField((name,), info, model).flag
        if inside is not None:
            merged[name] = _merged(inside, merged.get(name, {}), value)
            continue
        for other in flag.instead_of if flag else ():
            merged.pop(other, None)
        merged[name] = value
    return merged


def _holds(table: Table | None, keys: tuple[str, ...]) -> bool:
    """Whether a table has the key, or the table that the key would be in."""
    value: object = table
    for number, key in enumerate(keys):
        if not isinstance(value, dict):
            return number > 0 and value is not None
        if key not in value:
            return number > 0 and number == len(keys) - 1
        value = value[key]
    return table is not None
