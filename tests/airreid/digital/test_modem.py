"""Levels, power and log-likelihood ratios, against their definitions."""

from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airreid.digital import modem
from airreid.digital.modem import constellation, interleaver, llrs, modulate
from airreid.signal import noise_variance


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_neighbours_differ_in_one_bit(m: int) -> None:
    levels = constellation(m)
    order = np.argsort(levels).tolist()
    assert sorted(order) == list(range(2**m))
    for a, b in pairwise(order):
        assert (a ^ b).bit_count() == 1
    assert np.ptp(np.diff(np.sort(levels))) < 1e-12
    assert np.square(levels).mean() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(np.sort(levels), np.sort(-levels))


def test_levels_by_hand() -> None:
    assert constellation(1).tolist() == [1.0, -1.0]
    expected = np.array([3, 1, -3, -1]) / np.sqrt(5)
    np.testing.assert_allclose(constellation(2), expected)
    np.testing.assert_allclose(
        constellation(3) * np.sqrt(21), [7, 5, 1, 3, -7, -5, -1, -3], atol=1e-12
    )


def definition(y: np.ndarray, variance: float, m: int) -> np.ndarray:
    """(B, m): ln of the two sums of densities, in long double, the largest term taken out."""
    levels = constellation(m).astype(np.longdouble)
    out = np.empty((len(y), m), np.longdouble)
    for i, plane in product(range(len(y)), range(m)):
        # -(y - l)^2 / 2 s^2 without y^2, which both sums have
        exponent = (2 * np.longdouble(y[i]) * levels - levels**2) / (2 * np.longdouble(variance))
        is_one = np.array([label >> (m - 1 - plane) & 1 for label in range(2**m)], bool)
        sums = []
        for part in (exponent[~is_one], exponent[is_one]):
            top = part.max()
            sums.append(top + np.log(np.exp(part - top).sum()))
        out[i, plane] = sums[0] - sums[1]
    return out


def in_planes(soft: np.ndarray, m: int) -> np.ndarray:
    """Coded order (B m,) -> by symbol and label bit (B, m)."""
    return soft[interleaver(len(soft), m)].reshape(m, -1).T


@pytest.mark.parametrize("m", [1, 2, 3, 4])
@pytest.mark.parametrize("snr_db", [-40.0, -10.0, 0.0, 10.0, 30.0, 60.0, 100.0])
def test_llrs_are_those_of_the_definition(m: int, snr_db: float) -> None:
    rng = np.random.default_rng(m)
    variance = float(noise_variance(snr_db))
    y = np.concatenate(
        [
            constellation(m)[rng.integers(0, 2**m, 40)] + rng.normal(0, variance**0.5, 40),
            rng.uniform(-4, 4, 20),
            [0.0, 1e-12, -1e-12, 30.0, -30.0],
        ]
    )
    computed = in_planes(llrs(y, variance, m), m)
    expected = definition(y, variance, m).astype(np.float64)
    exact = np.abs(expected) < 600
    np.testing.assert_allclose(
        computed[exact], expected[exact], rtol=1e-7, atol=1e-9 + 1e-16 / variance
    )
    # Farther out the largest term of each sum may stand for it.
    np.testing.assert_allclose(computed, expected, rtol=1e-9, atol=np.log(2.0 ** (m - 1)) + 1e-5)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
@pytest.mark.parametrize("y", [1e6, -1e6, 1e3, -50.0])
@pytest.mark.parametrize("variance", [1e-10, 1e-3, 1.0, 1e6])
def test_extreme_values_stay_finite_and_keep_their_sign(m: int, y: float, variance: float) -> None:
    soft = in_planes(llrs(np.full(4, y), variance, m), m)
    assert np.isfinite(soft).all()
    nearest = int(np.argmax(constellation(m)) if y > 0 else np.argmin(constellation(m)))
    signs = [1 - 2 * (nearest >> (m - 1 - plane) & 1) for plane in range(m)]
    # At 10^6 times the power of a block, all but the largest term is gone.
    if abs(y) / variance > 1.0:
        assert (np.sign(soft) == signs).all()


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_each_block_may_have_its_own_variance(m: int) -> None:
    y = np.random.default_rng(0).normal(0, 1, (3, 20))
    variances = np.array([0.1, 1.0, 5.0])
    together = llrs(y, variances, m)
    for row in range(3):
        np.testing.assert_array_equal(together[row], llrs(y[row], float(variances[row]), m))


def symbols_by_hand(bits: np.ndarray, m: int) -> np.ndarray:
    """Odd numbers, with a Gray code read as text."""
    gray = {f"{i ^ i >> 1:0{m}b}": 2**m - 1 - 2 * i for i in range(2**m)}
    planes = bits[interleaver(len(bits), m)].reshape(m, -1)
    return np.array([gray["".join(map(str, column))] for column in planes.T], float)


@settings(deadline=None)
@given(st.sampled_from([1, 2, 3, 4]), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_modulate_and_back(m: int, uses: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (2, uses * m), dtype=np.uint8)
    if rng.random() < 0.2:
        bits[:] = bits[:, :1]
    sent = modulate(bits, m)
    assert sent.dtype == np.float32
    np.testing.assert_allclose(np.square(sent.astype(float)).mean(axis=1), 1.0, atol=1e-6)
    for row in range(2):
        plain = symbols_by_hand(bits[row], m)
        np.testing.assert_allclose(
            sent[row], plain / np.sqrt(np.square(plain).mean()), rtol=1e-6, atol=1e-6
        )
        # A receiver that knew the block's scale would have every bit back.
        levels = plain / np.sqrt(float(Fraction(4**m - 1, 3)))
        np.testing.assert_array_equal(llrs(levels, 1e-3, m) < 0, bits[row])


@settings(deadline=None)
@given(st.sampled_from([1, 2, 3, 4]), st.integers(1, 3000))
def test_the_interleaver_is_a_permutation(m: int, length: int) -> None:
    order = interleaver(length, m)
    assert sorted(order.tolist()) == list(range(length))
    if m == 1:
        assert (np.diff(order) == 1).all()


def test_the_interleaver_s_first_values_are_fixed() -> None:
    """Both ends compute it, maybe on different machines with different NumPy versions."""
    assert interleaver(512, 2)[:12].tolist() == [
        162,
        185,
        322,
        431,
        318,
        207,
        66,
        178,
        0,
        285,
        472,
        439,
    ]
    assert interleaver(768, 3)[-6:].tolist() == [456, 713, 335, 278, 381, 27]
    assert interleaver(6, 2).tolist() == [0, 2, 1, 5, 4, 3]


@pytest.mark.parametrize(("bits", "uses", "snr_db"), [(2, 64, 14.0), (3, 64, 18.0), (4, 256, 20.0)])
def test_the_gain_of_a_block_is_found_without_being_sent(
    bits: int, uses: int, snr_db: float
) -> None:
    rng = np.random.default_rng(5)
    coded = rng.integers(0, 2, (300, uses * bits)).astype(np.uint8)
    sent = modem.modulate(coded, bits)
    label = np.zeros((300, uses), np.int64)
    planes = coded[:, modem.interleaver(uses * bits, bits)].reshape(300, bits, uses)
    for plane in range(bits):
        label = label << 1 | planes[:, plane]
    truth = (sent / modem.constellation(bits)[label]).mean(axis=1)
    variance = 10 ** (-snr_db / 10)
    received = sent + np.sqrt(variance) * rng.standard_normal(sent.shape)
    estimate = modem.block_gain(received, variance, bits)
    before, after = np.square(truth - 1).mean(), np.square(truth - estimate).mean()
    assert after < 0.8 * before


def test_noiseless_blocks_of_any_size_survive_their_scaling() -> None:
    rng = np.random.default_rng(6)
    for bits, uses in ((2, 8), (3, 16), (4, 16), (4, 64)):
        coded = rng.integers(0, 2, (200, uses * bits)).astype(np.uint8)
        sent = modem.modulate(coded, bits)
        gain = modem.block_gain(sent, 1e-4, bits)
        soft = modem.llrs(sent / gain[:, None], 1e-4 / gain**2, bits)
        wrong = ((soft < 0) != coded).any(axis=1).mean()
        assert wrong <= 0.02, (bits, uses)


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("step", [-3.0, -2.5, -1.0, 0.0, 0.5, 2.0, 3.0])
def test_a_gain_as_wide_as_three_deviations_is_found(m: int, step: float) -> None:
    """``g = exp(step s)``, s the spread of the mean power of B levels: on the grid, exactly."""
    levels = constellation(m)
    sent = np.random.default_rng(m).permutation(np.repeat(levels, 64))
    spread = np.square(levels).std() / 2 / np.sqrt(len(sent))
    gain = modem.block_gain(np.exp(spread * step) * sent, 1e-6, m)
    assert gain == pytest.approx(np.exp(spread * step), rel=1e-9)


def test_bpsk_has_no_gain() -> None:
    assert modem.block_gain(np.ones((3, 8)), 0.1, 1).tolist() == [1.0, 1.0, 1.0]


def test_noise_alone_is_taken_for_the_most_usual_gain() -> None:
    """The prior decides where the symbols say nothing: g = 1."""
    noise = 30 * np.random.default_rng(0).standard_normal((5, 64))
    assert modem.block_gain(noise, 900.0, 2) == pytest.approx(1.0, abs=0.02)
