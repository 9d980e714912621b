"""Density evolution against integrals, simulation, and what must hold of any channel."""

from statistics import NormalDist

import numpy as np
import pytest

from airreid.digital.density_evolution import (
    bit_plane_means,
    check_node,
    error_probability,
    input_means,
)
from airreid.signal import noise_variance


def rest(mean: float) -> float:
    """1 - E[tanh(L / 2)] = E[2 / (1 + e^L)], L of this mean and twice the variance."""
    spread = (2.0 * mean) ** 0.5
    # The product has its top near 0 or at the mean, whichever density and tail make of it.
    grid = np.linspace(min(-60.0, mean - 12 * spread), mean + 12 * spread, 400_001)
    density = np.exp(-np.square(grid - mean) / (4 * mean)) / np.sqrt(4 * np.pi * mean)
    return float(np.trapezoid(2.0 * np.exp(-np.logaddexp(0.0, grid)) * density, grid))


@pytest.mark.parametrize("a", [0.01, 0.3, 2.0, 9.0, 40.0, 150.0])
@pytest.mark.parametrize("b", [0.01, 1.0, 10.0, 150.0])
def test_check_node_multiplies_what_is_known(a: float, b: float) -> None:
    out = float(check_node(np.array(a), np.array(b)))
    wanted = rest(a) + rest(b) - rest(a) * rest(b)
    if wanted > 0.5:
        assert 1 - rest(out) == pytest.approx(1 - wanted, rel=2e-3)
    else:
        assert rest(out) == pytest.approx(wanted, rel=2e-3)
    assert out < min(a, b) * (1 + 1e-3)
    assert out == float(check_node(np.array(b), np.array(a)))


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (1.0, 6.0), (8.0, 8.0)])
def test_check_node_by_simulation(a: float, b: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(a, (2 * a) ** 0.5, 400_000)
    y = rng.normal(b, (2 * b) ** 0.5, 400_000)
    both = np.tanh((np.logaddexp(0.0, x + y) - np.logaddexp(x, y)) / 2)
    out = float(check_node(np.array(a), np.array(b)))
    error = both.std() / len(both) ** 0.5
    assert both.mean() == pytest.approx(1 - rest(out), abs=5 * error + 1e-3)


def test_nothing_known_stays_nothing() -> None:
    means = np.array([0.0, 0.0, 5.0, 1e3])
    assert check_node(np.zeros(4), means).tolist() == [0.0] * 4
    assert check_node(means, np.zeros(4)).tolist() == [0.0] * 4
    assert not input_means(np.zeros(64)).any()


def test_a_bit_that_is_known_is_no_loss() -> None:
    means = np.array([0.01, 0.5, 5.0, 30.0])
    np.testing.assert_allclose(check_node(means, np.full(4, 1e3)), means, rtol=1e-3)


def test_four_inputs_by_hand() -> None:
    """Natural order: x_0 holds all inputs, x_3 the last alone."""
    a, b, c, d = (np.array(v) for v in (1.0, 2.0, 3.0, 4.0))
    expected = [
        check_node(check_node(a, c), check_node(b, d)),
        check_node(a, c) + check_node(b, d),
        check_node(a + c, b + d),
        a + b + c + d,
    ]
    np.testing.assert_allclose(input_means(np.array([1.0, 2.0, 3.0, 4.0])), expected, rtol=1e-12)


def test_inputs_are_ordered_and_grow_with_the_channel() -> None:
    weak, strong = input_means(np.full(64, 1.0)), input_means(np.full(64, 1.5))
    assert (strong >= weak).all()
    assert (strong > weak)[weak > 1e-5].all()  # below about 1e-6 all are alike
    for i in range(64):
        for j in range(64):
            if i & j == i:  # j has i's ones and more: never less reliable
                assert weak[j] >= weak[i]
    assert weak.argmin() == 0
    assert weak[63] == pytest.approx(64.0)


def information(means: np.ndarray) -> np.ndarray:
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    llrs = means[:, None] + np.sqrt(2 * means[:, None]) * nodes
    return 1 - np.logaddexp(0.0, -llrs) @ weights / weights.sum() / np.log(2)


@pytest.mark.parametrize("mean", [0.1, 1.0, 4.0, 10.0])
def test_the_transform_loses_hardly_any_information(mean: float) -> None:
    """Exactly none is lost; the Gaussian approximation is a little off."""
    before = float(information(np.array([mean]))[0])
    after = float(information(np.maximum(input_means(np.full(256, mean)), 1e-9)).mean())
    assert after == pytest.approx(before, abs=0.02)


def test_error_rates_of_inputs_by_simulation() -> None:
    """Inputs decided with all earlier ones known, for the codeword of zeros."""
    rng = np.random.default_rng(5)
    mean = 3.0
    level = rng.normal(mean, (2 * mean) ** 0.5, (1, 200_000, 16))
    while level.shape[2] > 1:
        half = level.shape[2] // 2
        a, b = level[..., :half], level[..., half:]
        checks = np.logaddexp(0.0, a + b) - np.logaddexp(a, b)
        level = np.stack([checks, a + b], axis=1).reshape(-1, 200_000, half)
    measured = (level[..., 0] < 0).mean(axis=1)
    predicted = error_probability(input_means(np.full(16, mean)))
    frequent = predicted > 1e-3
    assert frequent.sum() >= 10
    np.testing.assert_allclose(measured[frequent], predicted[frequent], rtol=0.25)
    # The best input is a plain sum of all: its error rate is known exactly.
    assert predicted[15] == pytest.approx(NormalDist().cdf(-((16 * mean / 2) ** 0.5)), rel=1e-9)


def plane_information(snr_db: float, m: int, count: int = 150_000) -> list[float]:
    """Bits per use that each label bit carries alone, by simulation from the definition."""
    rng = np.random.default_rng(m)
    place = np.arange(2**m)
    gray = [int(i ^ i >> 1) for i in place]
    levels = (2**m - 1 - 2.0 * place) / np.sqrt((4**m - 1) / 3)
    sent = rng.integers(0, 2**m, count)
    variance = 10 ** (-snr_db / 10)
    y = levels[sent] + rng.normal(0, variance**0.5, count)
    density = np.exp(-np.square(y[:, None] - levels) / (2 * variance))
    carried = []
    for plane in range(m):
        label = np.array([g >> (m - 1 - plane) & 1 for g in gray])
        right = (density * (label == label[sent][:, None])).sum(axis=1)
        carried.append(1 + float(np.log2(right / density.sum(axis=1)).mean()))
    return carried


@pytest.mark.parametrize("m", [1, 2, 3, 4])
@pytest.mark.parametrize("snr_db", [-5.0, 5.0, 12.0, 20.0])
def test_plane_means_carry_what_the_planes_do(m: int, snr_db: float) -> None:
    carried = information(bit_plane_means(snr_db, m))
    np.testing.assert_allclose(carried, plane_information(snr_db, m), atol=0.006)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_plane_means_grow_with_the_snr(m: int) -> None:
    means = np.array([bit_plane_means(snr_db, m) for snr_db in np.arange(-20.0, 41.0, 2.0)])
    assert (np.diff(means, axis=0) >= 0).all()
    growing = (means[:-1] > 1e-5) & (means[:-1] < 100)
    assert (np.diff(means, axis=0) > 0)[growing].all()
    assert growing.any(axis=0).all()


def test_bpsk_is_known_exactly() -> None:
    for snr_db in (-8.0, 0.0, 6.5):
        assert bit_plane_means(snr_db, 1).tolist() == [2.0 / float(noise_variance(snr_db))]
