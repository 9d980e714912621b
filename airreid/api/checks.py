"""Checks of what the Python API is given, the same wherever it takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, SupportsIndex, cast

import numpy as np
from numpy.typing import NDArray

from airreid.channels.models import USES_MAX
from airreid.channels.settings import NAME_MAX, split_parameters
from airreid.errors import InputError
from airreid.scheme import DIRECT_SNR_DB
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN
from airreid.wire import check_magnitude


def real_array(values: object, what: str) -> NDArray[Any]:
    """Returns real numbers as an array of any shape. Raises :class:`InputError` for others."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{what}: no array of numbers ({error}); give floats") from None
    if array.dtype.kind == "c":
        raise InputError(f"{what}: complex numbers; give I and Q as two real uses")
    if array.dtype.kind not in "fiu":
        kind = type(values).__name__
        raise InputError(f"{what}: {kind} of {array.dtype}, no array of numbers; give floats")
    return array


def float_rows(values: object, what: str) -> NDArray[np.float32]:
    """Returns float32 rows (N, B) of finite numbers. Raises :class:`InputError`."""
    array = real_array(values, what)
    if array.ndim != 2 or not array.shape[1]:
        raise InputError(f"{what} of shape {array.shape}; give float (N, bandwidth)")
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(array, np.float32)
    check_magnitude(rows.reshape(-1), what)
    return rows


def check_bandwidth(bandwidth: int) -> None:
    """Raises :class:`InputError` for more channel uses than a block may have."""
    if not 0 < bandwidth <= USES_MAX:
        raise InputError(f"bandwidth {bandwidth}: give 1 to {USES_MAX} real channel uses")


def check_link_name(link: str) -> None:
    """Raises :class:`InputError` for a link's name that cannot cross the wire."""
    if not isinstance(link, str):
        raise InputError(f"link {link!r:.80}: give its name, a str, such as 'cam-1'")
    if len(link) > NAME_MAX:
        raise InputError(f"link: a name has at most {NAME_MAX} characters; this has {len(link)}")
    if not _encodable(link):
        raise InputError(f"link {link!r}: not valid text; give a name that UTF-8 can encode")


def model_parameters(given: object) -> dict[str, float]:
    """Returns a channel model's parameters by name. Raises :class:`InputError`."""
    values = split_parameters(given) if isinstance(given, list) else given
    if not isinstance(values, Mapping):
        raise InputError(f"link parameters {given!r:.80}: give a dict of numbers by name")
    for name, value in values.items():
        if not (isinstance(name, str) and isinstance(value, Real) and np.isfinite(float(value))):
            raise InputError(f"link parameters {name!r}: {value!r:.80}; give a finite number")
    return {name: float(value) for name, value in values.items()}


def check_numbers(first_block: int, count: int) -> int:
    """Returns the number of the first of ``count`` blocks, all within 0 to 2^64 - 1.

    Raises :class:`InputError` for others.
    """
    if not isinstance(first_block, Integral) or not 0 <= first_block <= 2**64 - count:
        raise InputError(
            f"first_block {first_block!r:.80}: give 0 to 2^64 - {count} for {count} blocks, an int"
        )
    return int(first_block)


def check_top_k(top_k: int) -> None:
    """Raises :class:`InputError` for what is no number of subjects."""
    if not isinstance(top_k, Integral) or top_k < 1:
        raise InputError(f"top_k {top_k!r:.80}: give at least 1, an int")


def check_names(names: Sequence[str], what: str) -> list[str]:
    """Lists names. Raises :class:`InputError` that says the position of what is none."""
    try:
        listed = list(names)
    except TypeError:
        raise InputError(f"{what}: a {type(names).__name__}; give one str for each") from None
    for position, name in enumerate(listed):
        if not isinstance(name, str) or not _encodable(name):
            raise InputError(f"{what}: {name!r:.80} at {position} is no name; give a str")
    return listed


def row_numbers(rows: object, count: int) -> list[int]:
    """Lists the rows of ``count`` that a mask or row numbers name. Raises :class:`InputError`."""
    wanted = np.asarray(rows)
    if not wanted.size and isinstance(rows, list | tuple):
        return []
    if wanted.ndim == 1 and wanted.dtype.kind in "biu":
        try:
            return cast("list[int]", np.arange(count)[wanted].tolist())
        except IndexError:
            pass
    raise InputError(
        f"{rows!r:.80} does not name rows of {count} blocks; "
        "give a number, a slice, row numbers or a mask of that length"
    )


def seed_list(seeds: object) -> list[int]:
    """Lists noise seeds: given, or counted from 0. Raises :class:`InputError`."""
    try:
        if isinstance(seeds, Integral):
            chosen = list(range(int(seeds)))
        else:
            chosen = [cast(SupportsIndex, seed).__index__() for seed in cast(Any, seeds)]
    except (TypeError, AttributeError):
        raise InputError(f"seeds {seeds!r:.80}: give how many, an int, or a list of ints") from None
    if not chosen:
        raise InputError("seeds: give at least one")
    return chosen


def snr_levels(report: object, count: int) -> list[float]:
    """Lists the SNR in dB that a receiver assumes for each of ``count`` blocks.

    From a channel's report, whose SNR may leave the bounds by a block's gain and power, and is
    held within them; from one number or one for each block, infinity standing for no noise; a
    direct link without a report. Raises :class:`InputError` for others.
    """
    if report is None:
        return [DIRECT_SNR_DB] * count
    measured = hasattr(report, "snr_db")
    given = getattr(report, "snr_db", report)
    values = real_array(float(given) if isinstance(given, Real) else given, "report")
    if values.ndim == 0:
        values = np.full(count, values)
    if values.shape != (count,):
        blocks = len(values) if values.ndim == 1 else f"shape {values.shape}"
        raise InputError(f"a report of {blocks} blocks for {count} blocks")
    levels = np.where(values == np.inf, SNR_DB_MAX, values.astype(np.float64))
    if measured:
        levels = np.clip(levels, SNR_DB_MIN, SNR_DB_MAX)
    unusable = np.flatnonzero(~((levels >= SNR_DB_MIN) & (levels <= SNR_DB_MAX)))
    if len(unusable):
        raise InputError(
            f"report: {values[unusable[0]]:g} dB for block {unusable[0]}; "
            f"give an SNR of {SNR_DB_MIN:g} to {SNR_DB_MAX:g} dB"
        )
    return cast("list[float]", levels.tolist())


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
