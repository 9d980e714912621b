"""Messages that fit, and frames in which a flipped bit, another size or table shows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airreid.digital import arithmetic
from airreid.digital.coding_tables import CodingTables
from airreid.digital.crc import Crc
from airreid.digital.message import message, padded, smallest_size
from airreid.digital.polar_design import design_code
from airreid.digital.prior import Prior, quantise

DIMENSIONS = 24
SIZES = (40, 60, 90)


def table(seed: int, sharp: float) -> Prior:
    rng = np.random.default_rng(seed)
    rows = tuple(quantise(rng.random(10) ** sharp) for _ in range(DIMENSIONS))
    return Prior(low=(-4,) * DIMENSIONS, counts=rows)


PRIOR = table(0, 4.0)
BOOK = CodingTables(prior=PRIOR, codes=tuple(design_code(size, 128, 11, 1) for size in SIZES))


def frame(bits: np.ndarray, size: int, prior: Prior, crc_bits: int) -> np.ndarray:
    return Crc(size, crc_bits, prior.digest[:4]).append(padded(bits, size))


def frames() -> list[tuple[np.ndarray, int]]:
    """Messages of 30 latents with the payload size that each takes."""
    rng = np.random.default_rng(7)
    messages = []
    for _ in range(30):
        latent = np.array(
            [
                low + rng.choice(9, p=np.array(row[:-1]) / sum(row[:-1]))
                for low, row in zip(PRIOR.low, PRIOR.counts, strict=True)
            ]
        )
        bits = message(latent, PRIOR, SIZES[-1]).bits
        messages.append((bits, SIZES[smallest_size(len(bits), BOOK)]))
    assert {size for _, size in messages} >= set(SIZES[1:])
    return messages


@pytest.mark.parametrize("crc_bits", [11, 24])
def test_every_flipped_bit_is_caught(crc_bits: int) -> None:
    for bits, size in frames():
        whole = frame(bits, size, PRIOR, crc_bits)
        check = Crc(size, crc_bits, PRIOR.digest[:4])
        assert check.passes(whole)
        assert not check.passes(whole ^ np.eye(len(whole), dtype=np.uint8)).any()


@pytest.mark.parametrize("crc_bits", [11, 24])
def test_every_cut_to_a_smaller_size_is_caught(crc_bits: int) -> None:
    for bits, size in frames():
        whole = frame(bits, size, PRIOR, crc_bits)
        for other in SIZES:
            if other < size:
                cut = whole[: other + crc_bits]
                assert not Crc(other, crc_bits, PRIOR.digest[:4]).passes(cut)


@pytest.mark.parametrize("crc_bits", [11, 24])
def test_a_foreign_table_is_caught(crc_bits: int) -> None:
    counts = [list(row) for row in PRIOR.counts]
    counts[5][3] += 1
    counts[5][np.argmax(counts[5])] -= 1
    for foreign in (table(1, 4.0), Prior(low=PRIOR.low, counts=counts)):
        for bits, size in frames():
            whole = frame(bits, size, PRIOR, crc_bits)
            assert not Crc(size, crc_bits, foreign.digest[:4]).passes(whole)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 4.0, 30.0]), st.floats(0.0, 1.5))
def test_a_message_always_fits(seed: int, sharp: float, loose: float) -> None:
    rng = np.random.default_rng(seed)
    prior = table(seed, sharp)
    latent = rng.integers(-7, 9, DIMENSIONS)
    likely = prior.most_likely()
    least = prior.code_length(likely)
    limit = math.ceil(least + loose * (prior.code_length(latent) - least) + 1e-9)
    fitted = message(latent, prior, limit)
    assert len(fitted.bits) <= limit
    received = arithmetic.decode(padded(fitted.bits, limit), prior)
    changed = np.flatnonzero(received != latent)
    assert fitted.shortened == len(changed)
    assert (received[changed] == likely[changed]).all()
    if len(arithmetic.encode(latent, prior)) <= limit:
        assert fitted.shortened == 0
        return
    # Those that cost most went, and with one fewer the ideal length is above the limit.
    extra = prior.symbol_bits(latent) - prior.symbol_bits(likely)
    unchanged = np.flatnonzero((received == latent) & (latent != likely))
    assert extra[changed].min() >= extra[unchanged].max(initial=0.0) - 1e-9
    back = received.copy()
    cheapest = changed[np.argmin(extra[changed])]
    back[cheapest] = latent[cheapest]
    assert prior.code_length(back) > limit - 1e-9


def test_what_cannot_fit() -> None:
    with pytest.raises(ValueError, match="not even the most likely latent fits"):
        message(np.full(DIMENSIONS, 3), table(0, 1.0), 5)


def test_the_size_is_the_smallest_that_holds_the_bits() -> None:
    assert [smallest_size(k, BOOK) for k in (0, 1, 40, 41, 60, 61, 90)] == [0, 0, 0, 1, 1, 2, 2]
    assert padded(np.array([1, 0, 1], np.uint8), 5).tolist() == [1, 0, 1, 0, 0]
