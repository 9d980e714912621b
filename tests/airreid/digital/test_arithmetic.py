"""The arithmetic coder against a slow one in fractions, its own promises, and garbage."""

import math
from fractions import Fraction
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airreid.digital import arithmetic
from airreid.digital.arithmetic import CorruptMessageError, decode, encode
from airreid.digital.prior import LARGEST, TOTAL, Prior, quantise

ROW = (1000, 5000, 15000, 30000, 10000, 4000, 535, 1)
GOLDEN = Prior(low=(-3,) * 6, counts=(ROW,) * 6)
EVEN = Prior(low=(0,), counts=((32768, 32767, 1),))


@st.composite
def cases(draw: st.DrawFn, most: int = 64) -> tuple[list[int], Prior]:
    """A table of skewed rows and a latent with some symbols far outside of it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    power = draw(st.sampled_from([0.0, 1.0, 8.0, 60.0]))
    escapes = draw(st.sampled_from([0.0, 0.1, 1.0]))
    latent, lows, rows = [], [], []
    for _ in range(draw(st.integers(1, most))):
        size = int(rng.choice([1, 2, 3, 8, 33, 300]))
        rows.append(quantise(rng.random(size + 1) ** power))
        lows.append(int(rng.choice([-(2**20), -20, -1, 0, 3, 2**20])))
        value = lows[-1] + int(rng.integers(size))
        if rng.random() < escapes:
            value = int(rng.choice([-1, 1]) * rng.integers(0, 2 ** int(rng.integers(1, 32))))
            value = int(rng.choice([value, value, LARGEST, -LARGEST]))
        latent.append(value)
    return latent, Prior(low=tuple(lows), counts=tuple(rows))


def slow(latent: list[int], prior: Prior) -> str:
    """The shortest bits in the message's interval, found by trying all lengths."""
    low, width = Fraction(0), Fraction(1)
    for value, first, row in zip(latent, prior.low, prior.counts, strict=True):
        symbols = list(range(first, first + len(row) - 1))
        inside = value in symbols
        place = symbols.index(value) if inside else len(row) - 1
        low += width * Fraction(sum(row[:place]), TOTAL)
        width *= Fraction(row[place], TOTAL)
        if not inside:
            distance = value - (first if value < first else symbols[-1])
            digits = f"{abs(distance):b}"
            for bit in f"{int(distance < 0)}{'0' * (len(digits) - 1)}{digits}":
                width /= 2
                low += width * int(bit)
    for length in count():
        number = math.ceil(low * 2**length)
        if Fraction(number, 2**length) < low + width:
            return f"{number:0{length}b}" if length else ""
    raise AssertionError


def text(bits: np.ndarray) -> str:
    return "".join(map(str, bits.tolist()))


@settings(deadline=None)
@given(cases())
def test_round_trip_within_the_ideal_length_rounded_up(case: tuple[list[int], Prior]) -> None:
    latent, prior = case
    bits = encode(latent, prior)
    assert decode(bits, prior).tolist() == latent
    assert len(bits) <= math.ceil(prior.code_length(latent) + 1e-7)


@settings(deadline=None)
@given(cases(most=10))
def test_the_bits_are_those_of_the_slow_coder(case: tuple[list[int], Prior]) -> None:
    assert text(encode(*case)) == slow(*case)


@settings(deadline=None)
@given(cases(most=20), st.integers(0, 70))
def test_zeros_behind_the_message_do_not_matter(case: tuple[list[int], Prior], zeros: int) -> None:
    latent, prior = case
    bits = np.concatenate([encode(latent, prior), np.zeros(zeros, np.uint8)])
    assert decode(bits, prior).tolist() == latent


@settings(deadline=None)
@given(cases(most=20), st.integers(0, 70))
def test_ones_left_over_are_noticed(case: tuple[list[int], Prior], zeros: int) -> None:
    latent, prior = case
    padding = np.zeros(zeros, np.uint8)
    bits = np.concatenate([encode(latent, prior), padding, np.ones(1, np.uint8)])
    try:
        other = decode(bits, prior)
    except CorruptMessageError:
        return
    # Unless they spell another message, and then they are exactly its bits.
    assert other.tolist() != latent
    assert text(encode(other, prior)) == text(bits)


@settings(max_examples=300, deadline=None)
@given(cases(most=12), st.integers(0, 2**32 - 1), st.integers(0, 400))
def test_any_bits_are_a_message_or_corrupt(
    case: tuple[list[int], Prior], seed: int, length: int
) -> None:
    _, prior = case
    rng = np.random.default_rng(seed)
    bits = (rng.random(length) < rng.choice([0.02, 0.5, 0.98])).astype(np.uint8)
    try:
        latent = decode(bits, prior)
    except CorruptMessageError:
        return
    assert np.abs(latent).max() <= LARGEST
    assert text(encode(latent, prior)) == text(bits).rstrip("0")


def test_a_message_of_no_bits() -> None:
    assert encode([0], EVEN).tolist() == []
    assert decode(np.zeros(0, np.uint8), EVEN).tolist() == [0]
    assert decode(np.zeros(9, np.uint8), EVEN).tolist() == [0]
    many = Prior(low=(4,) * 64, counts=((65535, 1),) * 64)
    assert len(encode([4] * 64, many)) == 0


def test_one_symbol() -> None:
    assert encode([1], EVEN).tolist() == [1]
    for value in (0, 1, 2, -1, 77, LARGEST, -LARGEST):
        assert decode(encode([value], EVEN), EVEN).tolist() == [value]


# Made by ``slow``: whatever machine, these bits and no others.
@pytest.mark.parametrize(
    ("latent", "length", "packed"),
    [
        ([0, 0, 0, 0, 0, 0], 5, "98"),
        ([-3, -3, -3, -3, -3, -3], 0, ""),
        ([3, 2, 1, 0, -1, -2], 21, "fff538"),
        ([0, 1, -1, 2, 0, -2], 15, "b2c2"),
        ([4, -4, 100, -100, 0, 0], 97, "ffff7ffffffff0187fffe06180"),
        ([LARGEST, -LARGEST, 0, 0, 0, 0], 161, "ffff00000001fffffff3fffe00000007ffffffc980"),
    ],
)
def test_golden_streams(latent: list[int], length: int, packed: str) -> None:
    bits = encode(latent, GOLDEN)
    assert (len(bits), np.packbits(bits).tobytes().hex()) == (length, packed)
    assert text(bits) == slow(latent, GOLDEN)
    assert decode(bits, GOLDEN).tolist() == latent


@pytest.mark.parametrize("group", [1, 3, 7, 1000])
def test_groups_change_no_bit(monkeypatch: pytest.MonkeyPatch, group: int) -> None:
    rng = np.random.default_rng(8)
    rows = [quantise(rng.random(int(n)) ** 4) for n in rng.integers(2, 20, 100)]
    prior = Prior(low=tuple(rng.integers(-9, 2, 100).tolist()), counts=tuple(rows))
    messages = [rng.integers(-12, 16, 100).tolist(), prior.most_likely().tolist()]
    expected = [text(encode(latent, prior)) for latent in messages]
    monkeypatch.setattr(arithmetic, "_GROUP", group)
    for latent, bits in zip(messages, expected, strict=True):
        assert text(encode(latent, prior)) == bits == slow(latent, prior)
        heard = np.array([int(bit) for bit in bits] + [0] * 5, np.uint8)
        assert decode(heard, prior).tolist() == latent


def test_what_cannot_be_encoded() -> None:
    with pytest.raises(ValueError, match="2 symbols for a prior of 1 dimensions"):
        encode([0, 0], EVEN)
    for value in (LARGEST + 1, -LARGEST - 1, 2**40):
        with pytest.raises(ValueError, match="magnitude above"):
            encode([value], EVEN)


def test_an_escape_beyond_all_bounds_is_corrupt() -> None:
    escape = np.ones(16, np.uint8)  # the last of 2^16 counts
    endless = np.concatenate([escape, np.zeros(4000, np.uint8), np.ones(1, np.uint8)])
    with pytest.raises(CorruptMessageError, match="beyond all bounds"):
        decode(endless, EVEN)
    just_above = f"0{'0' * 31}{LARGEST + 1:b}"
    with pytest.raises(CorruptMessageError, match="beyond all bounds"):
        decode(np.concatenate([escape, np.array(list(just_above), np.uint8)]), EVEN)


def test_never_longer_than_constriction() -> None:
    """Its range coder aligns to words of 32 bits; the ideal length is the same."""
    constriction = pytest.importorskip("constriction")
    rng = np.random.default_rng(3)
    row = np.asarray(ROW[:-1])
    model = constriction.stream.model.Categorical(row / row.sum(), perfect=False)
    longer = []
    for _ in range(50):
        symbols = rng.choice(len(row), 64, p=row / row.sum()).astype(np.int32)
        coder = constriction.stream.queue.RangeEncoder()
        coder.encode(symbols, model)
        prior = Prior(low=(0,) * 64, counts=(ROW,) * 64)
        longer.append(coder.num_bits() - len(encode(symbols.tolist(), prior)))
    assert min(longer) >= 0
    assert max(longer) <= 64
