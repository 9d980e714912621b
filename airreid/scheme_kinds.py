"""Kinds of scheme: how their ids begin, and how a scheme of each kind is opened.

A scheme id is ``KIND(-word)*-B(-rN)``: the kind, words of one's own, the bandwidth in real
channel uses, and a number where one bandwidth has several rates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationError
from pydantic_core import PydanticCustomError

from airreid.errors import InputError
from airreid.payload import Link
from airreid.registry import Registry, broken_extensions, load_extensions
from airreid.scheme_info import DigitalInfo, JsccInfo, NestedInfo, SchemeInfo
from airreid.validation import inside

if TYPE_CHECKING:
    from airreid.bundle import Bundle
    from airreid.scheme import Scheme

Opener = Callable[["Bundle", Any, int, bool], "Scheme"]
"""Opens a scheme: the bundle, the scheme's info, threads of each network, and whether the
receiver's part is needed. Raises :class:`airreid.errors.BundleError`."""


@dataclass(frozen=True)
class SchemeKind:
    """Kind of scheme."""

    name: str
    """Value of the manifest's ``kind``, and the beginning of its schemes' ids."""
    label: str
    """Name in figures and tables."""
    info: type[SchemeInfo]
    """Model of such a scheme in the manifest."""
    open: Opener
    links: tuple[Link, ...]
    """Payloads that its schemes send, the usual one first."""
    made_for: Callable[[Bundle, Any], str] = lambda bundle, info: ""
    """Short text for ``airreid bundle show``: the training SNR, the payload sizes."""


_KINDS: Registry[SchemeKind] = Registry("scheme kind")


def register_scheme_kind(kind: SchemeKind) -> SchemeKind:
    """Adds a kind. Raises :class:`ValueError` for a name that is taken."""
    return _KINDS.register(kind.name, kind)


def scheme_kind(name: str) -> SchemeKind:
    """Returns the kind of a name. Raises :class:`InputError` listing the kinds that there are."""
    return _KINDS.get(name)


def scheme_kinds() -> tuple[SchemeKind, ...]:
    """Returns all kinds registered so far, the project's own first."""
    return _KINDS.parts()


# Ids


def kind_of(scheme_id: str) -> str:
    """Returns the kind that an id begins with; of two that fit, the longer one.

    Raises :class:`InputError` for another beginning.
    """
    name = _longest_beginning(scheme_id)
    if name is None:
        load_extensions()
        name = _longest_beginning(scheme_id)
    if name is None:
        raise InputError(
            f"scheme {scheme_id!r}: begins with none of {', '.join(_KINDS.names())}"
            f"{broken_extensions()}"
        )
    return name


def _longest_beginning(scheme_id: str) -> str | None:
    names = [name for name in _KINDS.names() if scheme_id.startswith(f"{name}-")]
    return max(names, key=len, default=None)


def bandwidth_of(scheme_id: str) -> int:
    """Reads B, real channel uses per query: ``digital-256-r1`` -> 256.

    Raises :class:`InputError` for an id that does not end in one.
    """
    match = re.search(r"-([0-9]+)(?:-r[0-9]+)?$", scheme_id)
    if match is None:
        raise InputError(f"scheme {scheme_id!r}: does not end in a bandwidth")
    return int(match[1])


def parse_scheme_id(
    scheme_id: str, kinds: Collection[str], bandwidth_max: int = 65536
) -> tuple[str, int]:
    """Takes ``jscc-ae-256`` apart into (``jscc-ae``, 256), if it is of one of some kinds.

    Raises :class:`InputError` that says how to write one.
    """
    pattern = rf"({'|'.join(map(re.escape, kinds))})(-[a-z]+)*-([1-9][0-9]*)(-r[1-9][0-9]{{0,2}})?"
    match = re.fullmatch(pattern, scheme_id)
    if match is None or int(match[3]) > bandwidth_max:
        raise InputError(
            f"scheme {scheme_id!r}: write {' or '.join(f'{kind}-B' for kind in kinds)} "
            f"with a bandwidth B of 1 to {bandwidth_max}"
        )
    return match[1], int(match[3])


# Manifests


def _parse_info(value: object) -> object:
    """Returns a manifest's entry as the model of its kind."""
    if isinstance(value, SchemeInfo) or not isinstance(value, Mapping):
        return value
    name = value.get("kind")
    if not isinstance(name, str):
        raise PydanticCustomError("scheme", "kind: missing")
    if name not in _KINDS:
        raise PydanticCustomError(
            "scheme",
            "kind: '{name}' is none of {names}; install the package that brings it{broken}",
            {
                "name": name,
                "names": ", ".join(_KINDS.names()),
                "broken": broken_extensions(),
            },
        )
    try:
        return scheme_kind(name).info.model_validate(value)
    except ValidationError as error:
        raise inside(error) from None


AnyScheme = Annotated[SerializeAsAny[SchemeInfo], BeforeValidator(_parse_info)]
"""A scheme of any registered kind, told by its ``kind``."""


# The project's own kinds. Their networks are loaded when one is opened, not before.


def _open_jscc(bundle: Bundle, info: JsccInfo, threads: int, decode: bool) -> Scheme:
    from airreid.jscc import JsccScheme

    return JsccScheme(bundle, info, threads, decode)


def _open_nested(bundle: Bundle, info: NestedInfo, threads: int, decode: bool) -> Scheme:
    from airreid.nested.scheme import NestedScheme

    return NestedScheme(bundle, info, threads)


def _open_digital(bundle: Bundle, info: DigitalInfo, threads: int, decode: bool) -> Scheme:
    from airreid.digital.scheme import DigitalScheme

    return DigitalScheme(bundle, info, threads)


def _training_snr(bundle: Bundle, info: JsccInfo | NestedInfo) -> str:
    low, high = info.snr_db_train
    return f"{low:g} to {high:g} dB"


def _payload_sizes(bundle: Bundle, info: DigitalInfo) -> str:
    from airreid.digital.coding_tables import load_coding_tables

    codes = load_coding_tables(bundle.file(info.coding_tables)).codes
    return f"{', '.join(str(code.payload_bits) for code in codes)} bits"


for _name, _label in (("jscc-ae", "JSCC AE"), ("jscc-fc", "JSCC FC")):
    register_scheme_kind(
        SchemeKind(_name, _label, JsccInfo, _open_jscc, ("analog",), _training_snr)
    )
register_scheme_kind(
    SchemeKind("jscc-nested", "JSCC nested", NestedInfo, _open_nested, ("analog",), _training_snr)
)
register_scheme_kind(
    SchemeKind("digital", "digital", DigitalInfo, _open_digital, ("coded", "ideal"), _payload_sizes)
)


def open_scheme(bundle: Bundle, info: SchemeInfo, threads: int, decode: bool = True) -> Scheme:
    """Loads what a scheme needs. ``decode`` False leaves out what only a receiver does.

    Raises :class:`airreid.errors.BundleError` for files that do not fit together.
    """
    return scheme_kind(info.kind).open(bundle, info, threads, decode)
