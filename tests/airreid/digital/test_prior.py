"""Integer tables: whole, the same on every machine, and honest about what a symbol costs."""

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from airreid.digital.prior import LARGEST, TOTAL, Prior, escape_bits, excess, quantise

TABLE = Prior(low=(-2, 5), counts=((1000, 50000, 10000, 4535, 1), (65535, 1)))


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 1e9, allow_subnormal=False), min_size=2, max_size=300).filter(any),
)
def test_quantised_counts_are_whole_and_close(weights: list[float]) -> None:
    counts = quantise(np.asarray(weights))
    assert sum(counts) == TOTAL
    assert min(counts) >= 1
    total = sum(map(Fraction, weights))
    room = TOTAL - len(weights)
    for count, weight in zip(counts, weights, strict=True):
        # Each gets 1, and of the rest its share rounded down or up.
        assert abs(count - 1 - Fraction(weight) / total * room) < 1 + 1e-6


def test_quantised_by_hand() -> None:
    assert quantise(np.array([1.0, 1.0])) == (32768, 32768)
    assert quantise(np.array([1.0, 0.0])) == (65535, 1)
    # 65533 = 3 * 21844 + 1: what is left goes to the first of equals.
    assert quantise(np.ones(3)) == (21846, 21845, 21845)
    assert quantise(np.array([3e-9, 1e-9])) == (49152, 16384)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.array([1.0]), "needs 2 to 32768"),
        (np.ones((2, 2)), "needs 2 to 32768"),
        (np.ones(TOTAL // 2 + 1), "needs 2 to 32768"),
        (np.array([1.0, np.nan]), "finite"),
        (np.array([1.0, np.inf]), "finite"),
        (np.array([1.0, -0.1]), "not negative"),
        (np.zeros(4), "not all zero"),
    ],
)
def test_what_is_no_distribution(probabilities: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quantise(probabilities)


def test_the_digest_is_that_of_the_numbers() -> None:
    text = b"-2:1000,50000,10000,4535,1;5:65535,1"
    assert TABLE.digest == hashlib.sha256(text).digest()
    # Another file with the same numbers: spaces, another order of keys.
    spaced = '{ "counts": [[1000, 50000, 10000, 4535, 1],\n [65535, 1]], "low": [-2, 5] }'
    assert Prior.model_validate_json(spaced).digest == TABLE.digest


def test_any_changed_number_changes_the_digest() -> None:
    digests = {TABLE.digest}
    rows = [list(row) for row in TABLE.counts]
    changes = 0
    for i, row in enumerate(rows):
        for a in range(len(row)):
            for b in range(len(row)):
                if a != b and row[a] > 1:
                    changed = [list(r) for r in rows]
                    changed[i][a] -= 1
                    changed[i][b] += 1
                    digests.add(Prior(low=TABLE.low, counts=changed).digest)
                    changes += 1
        low = list(TABLE.low)
        low[i] += 1
        digests.add(Prior(low=low, counts=rows).digest)
        changes += 1
    # Numbers that run together differently are other numbers.
    digests.add(Prior(low=TABLE.low, counts=((1000, 50000, 10000, 4536), rows[1])).digest)
    assert len(digests) == changes + 2


def gamma(distance: int) -> str:
    """Sign and Elias gamma code as text."""
    digits = f"{abs(distance):b}"
    return str(int(distance < 0)) + "0" * (len(digits) - 1) + digits


@settings(deadline=None)
@given(st.lists(st.integers(-LARGEST, LARGEST) | st.integers(-4, 8), min_size=2, max_size=2))
def test_code_length_is_minus_log2_of_the_probability(latent: list[int]) -> None:
    probability = Fraction(1)
    for value, low, row in zip(latent, TABLE.low, TABLE.counts, strict=True):
        symbols = dict(zip(range(low, low + len(row) - 1), row, strict=False))
        if value in symbols:
            probability *= Fraction(symbols[value], TOTAL)
        else:
            beyond = value - low if value < low else value - max(symbols)
            probability *= Fraction(row[-1], TOTAL) / 2 ** len(gamma(beyond))
    ideal = math.log2(probability.denominator) - math.log2(probability.numerator)
    assert TABLE.code_length(latent) == pytest.approx(ideal, abs=1e-9)
    assert TABLE.symbol_bits(latent).sum() == pytest.approx(ideal, abs=1e-9)


@pytest.mark.parametrize("distance", [1, -1, 2, -2, 3, 4, 7, -8, 255, 256, LARGEST, -LARGEST])
def test_escape_bits_count_the_code(distance: int) -> None:
    assert escape_bits(distance) == len(gamma(distance))


@pytest.mark.parametrize(
    ("value", "distance"), [(-3, -1), (-2, 0), (0, 0), (1, 0), (2, 1), (9, 8), (-12, -10)]
)
def test_excess_counts_from_the_table_s_ends(value: int, distance: int) -> None:
    assert excess(value, low=-2, size=4) == distance


def test_most_likely_never_means_escape() -> None:
    prior = Prior(low=(-2, 5, 0), counts=(*TABLE.counts, (1, 2, 65533)))
    assert prior.most_likely().tolist() == [-1, 5, 1]
    assert prior.cumulative[2] == (0, 1, 3, 65536)


@pytest.mark.parametrize(
    ("low", "counts", "message"),
    [
        ((0,), ((65535, 2),), "counts of dimension 0 add up to 65537, not 65536"),
        ((0, 0), ((65535, 1),), "2 lows and 1 tables"),
        ((0,), ((65536, 0),), "less than 65536"),
        ((0,), ((65537, -1),), "greater than or equal to 1"),
        ((0,), ((65536,),), "at least 2 items"),
        ((), (), "at least 1 item"),
        ((2**20 + 1,), ((65535, 1),), "less than or equal to"),
        ((0,), ((65534.5, 1.5),), "valid integer"),
    ],
)
def test_bad_tables_are_refused(low: tuple, counts: tuple, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Prior(low=low, counts=counts)
