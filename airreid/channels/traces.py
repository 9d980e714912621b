"""The SNR of a link over time, as measured or made up: one value for each block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.disk import read_given
from airreid.errors import InputError
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN

ROWS_MAX = 100_000
_BYTES_MAX = 8 * 1024 * 1024
_HEADERS = (["snr_db"], ["block", "snr_db"])


@dataclass(frozen=True, eq=False)
class Trace:
    """SNR by block number. It starts again after its last block."""

    name: str
    blocks: NDArray[np.uint64]
    """(n,): the first is 0, each greater than the one before."""
    snr_db: NDArray[np.float64]
    """(n,): SNR of that block and those after it, up to the next."""

    def at(self, blocks: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Returns the SNR in dB of block numbers (m,): float64 (m,)."""
        period = self.blocks[-1] + np.uint64(1)
        rows = np.searchsorted(self.blocks, blocks % period, side="right") - 1
        return np.asarray(self.snr_db[rows])

    def __str__(self) -> str:
        return f"{self.name} ({len(self.blocks)} rows, {int(self.blocks[-1]) + 1} blocks)"


def make_trace(name: str, blocks: Sequence[int], snr_db: Sequence[float]) -> Trace:
    """Makes a checked trace. Raises :class:`InputError` that names the trace and its row."""
    if not blocks or len(blocks) != len(snr_db):
        raise InputError(f"trace {name}: no rows; give lines of snr_db or block,snr_db")
    if len(blocks) > ROWS_MAX:
        raise InputError(f"trace {name}: {len(blocks)} rows; at most {ROWS_MAX} are taken")
    numbers, values = np.array(blocks, np.uint64), np.array(snr_db, np.float64)
    bad_values = ~((values >= SNR_DB_MIN) & (values <= SNR_DB_MAX))  # NaN is neither
    bad_numbers = numbers >= 2**63
    bad_numbers[0] |= numbers[0] != 0
    bad_numbers[1:] |= numbers[1:] <= numbers[:-1]
    if (wrong := bad_values | bad_numbers).any():
        row = int(wrong.argmax())
        where = f"trace {name}: row {row + 1}"
        if bad_values[row]:
            raise InputError(
                f"{where}: snr_db {values[row]:g}; give one from {SNR_DB_MIN:g} to {SNR_DB_MAX:g}"
            )
        raise InputError(
            f"{where}: block {numbers[row]}; block numbers start at 0 and only grow (below 2^63)"
        )
    return Trace(name, numbers, values)


def read_trace(path: Path) -> Trace:
    """Reads a CSV file: a header ``snr_db`` or ``block,snr_db``, then one row a block.

    With a ``block`` column a row holds until the next one's block; without, row n is
    block n. The header of a file with a single column may be left out; empty lines and
    lines that start with # are skipped. The trace starts again after its last block.
    Raises :class:`InputError` that names the file and, where there is one, the line.
    """
    if not path.is_file():
        raise InputError(f"trace {path}: no such file")
    if path.stat().st_size > _BYTES_MAX:
        raise InputError(f"trace {path}: larger than {_BYTES_MAX >> 20} MiB")
    try:
        text = read_given(path, _BYTES_MAX).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"trace {path}: not a text file") from None
    columns = 0
    blocks: list[int] = []
    values: list[float] = []
    for line, row in _rows(text):
        if not columns and row in _HEADERS:
            columns = len(row)
            continue
        columns = columns or 1
        where = f"trace {path}: line {line}"
        if len(row) != columns:
            need = "block,snr_db" if columns == 2 else "snr_db"
            raise InputError(f"{where}: {len(row)} columns where one row is {need}")
        values.append(_number(row[-1], where))
        blocks.append(_block(row[0], where) if columns == 2 else len(blocks))
    return make_trace(str(path), blocks, values)


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Returns line numbers and cells of the lines that hold something."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    return [
        (number, [cell.strip() for cell in line.split(",")])
        for number, line in lines
        if line and not line.startswith("#")
    ]


def _number(cell: str, where: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise InputError(f"{where}: snr_db {cell[:20]!r} is not a number") from None


def _block(cell: str, where: str) -> int:
    if not (cell.isascii() and cell.isdigit() and len(cell) < 20):
        raise InputError(f"{where}: block {cell[:20]!r} is not a whole number from 0 on")
    return int(cell)
