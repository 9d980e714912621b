"""Gains against the closed forms of the distributions that they claim to have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airreid.channels import fading
from airreid.channels.models import conditions
from airreid.channels.settings import LinkSettings
from airreid.noise import NoiseStream

from .oracles import j0, ks_distance, rician_power_cdf

N = 40_000
P001 = 1.95 / np.sqrt(N)
"""Kolmogorov-Smirnov distance that N right draws pass in 999 of 1000 tries."""


def exponential(x: np.ndarray) -> np.ndarray:
    return 1 - np.exp(-x)


def test_rayleigh_power_is_exponential_and_its_phase_uniform() -> None:
    h = fading.independent(NoiseStream(3, "cam"), 0, N)
    power = np.square(np.abs(h))
    assert ks_distance(power, exponential) < P001
    assert ks_distance(np.angle(h) / (2 * np.pi) + 0.5, lambda x: x) < P001
    assert power.mean() == pytest.approx(1, abs=5 / np.sqrt(N))
    assert abs((h[1:] * h[:-1].conj()).mean()) < 5 / np.sqrt(N)
    assert abs(np.corrcoef(h.real, h.imag)[0, 1]) < 5 / np.sqrt(N)


@pytest.mark.parametrize("k_db", [-10.0, 3.0, 10.0])
def test_rician_power_has_the_rician_distribution(k_db: float) -> None:
    settings = LinkSettings(model="rician", k_factor_db=k_db)
    h = conditions(settings, NoiseStream(1, "cam"), 0, N).gain
    power = np.square(np.abs(h))
    k = 10 ** (k_db / 10)
    assert ks_distance(power, rician_power_cdf(k)) < P001
    assert power.mean() == pytest.approx(1, abs=5 / np.sqrt(N))
    assert h.mean() == pytest.approx(np.sqrt(k / (1 + k)), abs=5 / np.sqrt(N))


def test_the_oracle_of_rician_power_is_that_of_rayleigh_without_a_line_of_sight() -> None:
    x = np.linspace(0, 8, 50)
    np.testing.assert_allclose(rician_power_cdf(0.0)(x), exponential(x), atol=1e-5)
    # Abramowitz and Stegun, table 9.1; the first zero
    np.testing.assert_allclose(
        j0(np.array([0, 1, 2.404826, 5])), [1, 0.765198, 0, -0.177597], atol=1e-6
    )


@pytest.mark.parametrize("doppler", [0.002, 0.03, 0.3])
def test_slow_fading_is_correlated_as_clarke_says(doppler: float) -> None:
    lags = np.arange(0, 40)
    across = np.zeros(len(lags), np.complex128)
    powers = []
    links = 300
    for link in range(links):
        h = fading.SlowFading(NoiseStream(5, f"cam-{link}"), doppler).gains(1000, 80)
        across += [(h[lag : lag + 40] * h[:40].conj()).mean() for lag in lags]
        powers.append(np.square(np.abs(h)).mean())
    expected = j0(2 * np.pi * doppler * lags)
    np.testing.assert_allclose(across / links, expected, atol=5 / np.sqrt(links) * 0.7)
    assert np.mean(powers) == pytest.approx(1, abs=5 / np.sqrt(links))


def test_one_link_over_a_long_time_follows_clarke_too() -> None:
    doppler, count = 0.05, 100_000
    h = fading.SlowFading(NoiseStream(8, "cam"), doppler).gains(0, count)
    lags = np.arange(0, 60, 3)
    measured = [(h[lag : count - 60 + lag] * h[: count - 60].conj()).mean() for lag in lags]
    np.testing.assert_allclose(measured, j0(2 * np.pi * doppler * lags), atol=0.05)
    assert np.square(np.abs(h)).mean() == pytest.approx(1, abs=0.02)


def test_slow_fading_is_rayleigh_over_many_links() -> None:
    # One block of each link: 64 paths are near enough to a complex Gaussian
    power = [
        abs(fading.SlowFading(NoiseStream(2, f"cam-{link}"), 0.1).gains(12_345, 1)[0]) ** 2
        for link in range(3000)
    ]
    assert ks_distance(np.array(power), exponential) < 1.95 / np.sqrt(3000) + 0.25 / fading.PATHS


@given(
    first=st.integers(0, 2**64 - 70),
    count=st.integers(1, 60),
    index=st.integers(0, 59),
    doppler=st.sampled_from([0.0, 1e-6, 0.01, 1.7]),
)
def test_a_gain_is_the_same_alone_and_among_others(
    first: int, count: int, index: int, doppler: float
) -> None:
    settings = LinkSettings(model="rayleigh", doppler=doppler)
    together = conditions(settings, NoiseStream(5, "cam"), first, count).gain
    alone = conditions(settings, NoiseStream(5, "cam"), first + index % count, 1).gain[0]
    assert together[index % count] == alone


def test_slow_fading_is_as_slow_at_the_end_of_the_numbers_as_at_their_beginning() -> None:
    for first in (0, 2**53 - 5, 2**63 - 5, 2**64 - 12):
        h = fading.SlowFading(NoiseStream(0, "cam"), 1e-4).gains(first, 10)
        assert np.abs(np.diff(h)).max() < 2 * np.pi * 1e-4 * 10


def test_the_gain_does_not_depend_on_the_bandwidth_and_is_not_the_noise() -> None:
    stream = NoiseStream(1, "cam")
    h = fading.independent(stream, 0, N)
    z = stream.blocks(0, N, 8)
    for column in z.T:
        assert abs((column * h).mean()) < 5 / np.sqrt(N)
