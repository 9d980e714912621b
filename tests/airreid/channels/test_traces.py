"""Traces at the limits of what is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from airreid.channels.traces import ROWS_MAX, make_trace, read_trace
from airreid.errors import InputError


def test_the_most_rows_are_taken_and_one_more_is_not() -> None:
    assert ROWS_MAX == 100_000
    trace = make_trace("t", range(100_000), [1.0] * 100_000)
    assert len(trace.blocks) == len(trace.snr_db) == 100_000
    with pytest.raises(InputError, match="trace t: 100001 rows; at most 100000 are taken"):
        make_trace("t", range(100_001), [1.0] * 100_001)


def test_the_largest_file_is_taken_and_a_larger_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    limit = 8 * 1024 * 1024
    end = b"\n3.5\n"
    path.write_bytes(b"#" * (limit - len(end)) + end)
    assert path.stat().st_size == limit
    assert read_trace(path).snr_db.tolist() == [3.5]
    path.write_bytes(b"#" * (limit + 1 - len(end)) + end)
    with pytest.raises(InputError, match="larger than 8 MiB"):
        read_trace(path)


def test_snrs_at_the_bounds_are_taken() -> None:
    assert make_trace("t", [0, 1], [-60.0, 100.0]).snr_db.tolist() == [-60.0, 100.0]
    for value in (-60.1, 100.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"trace t: row 2: snr_db .*; give one from -60 to"):
            make_trace("t", [0, 1], [0.0, value])


def test_the_last_block_number_is_below_2_to_63(tmp_path: Path) -> None:
    trace = make_trace("t", [0, 2**63 - 1], [1.0, 2.0])
    blocks = np.array([0, 2**63 - 2, 2**63 - 1, 2**63], np.uint64)
    assert trace.at(blocks).tolist() == [1.0, 1.0, 2.0, 1.0]
    assert str(trace) == "t (2 rows, 9223372036854775808 blocks)"
    with pytest.raises(InputError, match="row 2: block 9223372036854775808"):
        make_trace("t", [0, 2**63], [1.0, 2.0])
    path = tmp_path / "trace.csv"
    path.write_text(f"block,snr_db\n0,1\n{2**63 - 1},2\n")  # 19 digits
    assert read_trace(path).blocks.tolist() == [0, 2**63 - 1]
    path.write_text(f"block,snr_db\n0,1\n{10**19},2\n")  # 20 digits
    with pytest.raises(InputError, match=r"line 3: block .* is not a whole number"):
        read_trace(path)


@pytest.mark.parametrize("blocks", [[1], [0, 0], [0, 2, 1], [5, 6]])
def test_blocks_start_at_zero_and_only_grow(blocks: list[int]) -> None:
    with pytest.raises(InputError, match="block numbers start at 0 and only grow"):
        make_trace("t", blocks, [1.0] * len(blocks))
    assert make_trace("t", [0, 1, 7], [1.0, 2.0, 3.0]).at(
        np.arange(9, dtype=np.uint64)
    ).tolist() == [1, 2, 2, 2, 2, 2, 2, 3, 1]


def test_no_rows_and_rows_without_a_value_are_refused() -> None:
    for blocks, values in (([], []), ([0, 1], [1.0])):
        with pytest.raises(InputError, match="trace t: no rows"):
            make_trace("t", blocks, values)
