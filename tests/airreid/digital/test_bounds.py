"""Shannon's limit and the normal approximation, by their formulas."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from airreid.digital.bounds import (
    ideal_arrives,
    normal_approximation,
    normal_approximation_snr_db,
    shannon_snr_db,
)
from airreid.signal import capacity


@pytest.mark.parametrize(("bits", "uses"), [(1, 1), (128, 256), (60, 1024), (900, 256), (1, 8192)])
def test_shannon_is_where_capacity_carries_the_bits(bits: int, uses: int) -> None:
    snr_db = shannon_snr_db(bits, uses)
    assert uses * float(capacity(snr_db)) == pytest.approx(bits, rel=1e-9)
    assert not ideal_arrives(bits, uses, snr_db - 1e-6)
    assert ideal_arrives(bits, uses, snr_db + 1e-6)


def test_shannon_by_hand() -> None:
    assert shannon_snr_db(128, 256) == pytest.approx(0.0, abs=1e-12)
    assert shannon_snr_db(256, 256) == pytest.approx(10 * math.log10(3))
    assert shannon_snr_db(0, 256) == -math.inf
    # ln 2 per bit of energy in the limit of many uses: Eb/N0 = -1.59 dB, and SNR = 2 Es/N0
    per_bit = shannon_snr_db(1, 10**7) + 10 * math.log10(10**7 / 2)
    assert per_bit == pytest.approx(10 * math.log10(math.log(2)), abs=1e-4)


@pytest.mark.parametrize("uses", [128, 500, 2000])
@pytest.mark.parametrize("bler", [1e-1, 1e-3, 1e-6])
@pytest.mark.parametrize("snr", [0.1, 1.0, 10.0])
def test_polyanskiy_s_rate(uses: int, bler: float, snr: float) -> None:
    """``R = C - sqrt(V / n) Q^-1(e) + log2(n) / 2n``; V by moments of the information density."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    # Information density of one use, input sqrt(P) and noise z, as all inputs of power P have it.
    density = (np.sqrt(snr) + nodes) ** 2 / (2 * (1 + snr)) - nodes**2 / 2
    mean = weights @ density
    variance = (weights @ (density - mean) ** 2) / math.log(2) ** 2
    rate = 0.5 * math.log2(1 + snr) + 0.5 * math.log2(uses) / uses
    rate += math.sqrt(variance / uses) * NormalDist().inv_cdf(bler)
    bound = float(normal_approximation(rate * uses, uses, 10 * math.log10(snr)))
    assert bound == pytest.approx(bler, rel=1e-6)


def test_a_rate_of_the_literature() -> None:
    """0 dB, 500 uses, 10^-3: C = 0.5, V = 3 (log2 e)^2 / 8, worked out on paper."""
    rate = 0.5 - math.sqrt(0.780506 / 500) * 3.090232 + math.log2(500) / 1000
    assert float(normal_approximation(500 * rate, 500, 0.0)) == pytest.approx(1e-3, rel=1e-4)


def test_more_power_fewer_errors_more_bits_more_errors() -> None:
    snrs = np.linspace(-1, 3.5, 40)
    curve = normal_approximation(128, 256, snrs)
    assert curve.shape == (40,)
    assert (np.diff(curve) < 0).all()
    by_bits = [float(normal_approximation(bits, 256, 2.0)) for bits in range(60, 200, 10)]
    assert (np.diff(by_bits) > 0).all()


def test_long_blocks_come_close_to_shannon() -> None:
    gaps = [
        normal_approximation_snr_db(uses // 2, uses, 1e-3) - shannon_snr_db(uses // 2, uses)
        for uses in (64, 256, 1024, 4096, 65536, 10**7)
    ]
    assert (np.diff(gaps) < 0).all()
    assert 0 < gaps[-1] < 0.02
    # The gap falls as one over the root of the length.
    assert gaps[3] / gaps[2] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("bler", [1e-6, 1e-3, 0.01, 0.5, 0.9])
@pytest.mark.parametrize(("bits", "uses"), [(128, 256), (60, 1024), (256, 256)])
def test_the_inverse(bits: int, uses: int, bler: float) -> None:
    snr_db = normal_approximation_snr_db(bits, uses, bler)
    assert float(normal_approximation(bits, uses, snr_db)) == pytest.approx(bler, rel=1e-2)


@pytest.mark.parametrize("bler", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_no_rate_at_all(bler: float) -> None:
    with pytest.raises(ValueError, match="give one between 0 and 1"):
        normal_approximation_snr_db(128, 256, bler)
