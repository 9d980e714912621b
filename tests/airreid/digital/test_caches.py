"""Tables are computed once, and nobody can change what all share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from airreid.digital import crc, density_evolution
from airreid.digital.list_decoder import flip_patterns
from airreid.digital.modem import constellation, interleaver
from airreid.digital.polar_design import design_code
from airreid.digital.prior import Prior

SHARED: list[Callable[[], np.ndarray]] = [
    lambda: constellation(3),
    lambda: interleaver(256, 1),
    lambda: interleaver(256, 2),
    lambda: flip_patterns(8, 16, None),
]


@pytest.mark.parametrize("table", SHARED)
def test_a_shared_table_is_made_once_and_cannot_be_written_to(
    table: Callable[[], np.ndarray],
) -> None:
    assert table() is table()
    with pytest.raises(ValueError, match="read-only"):
        table()[0] = 1


def test_what_takes_long_is_done_once() -> None:
    assert design_code(40, 128) is design_code(40, 128)
    for once in (density_evolution._tables, density_evolution._information):
        assert once() is once()
    assert crc._matrix(40, 11) is crc._matrix(40, 11)
    prior = Prior(low=(0,), counts=((65535, 1),))
    assert prior.cumulative is prior.cumulative
    assert prior.digest is prior.digest
