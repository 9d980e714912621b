import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from airreid.noise import NoiseStream
from airreid.signal import awgn, capacity, measured_snr_db, noise_variance, normalise_power


@pytest.mark.parametrize(
    ("snr_db", "variance"), [(0.0, 1.0), (10.0, 0.1), (-10.0, 10.0), (3.0102999566, 0.5)]
)
def test_noise_variance_is_the_closed_form(snr_db: float, variance: float) -> None:
    assert noise_variance(snr_db) == pytest.approx(variance, rel=1e-9)


def test_capacity_per_real_use() -> None:
    # 0 dB: half of log2(2); 4.7712 dB is an SNR of 3: half of log2(4).
    assert capacity(0.0) == pytest.approx(0.5)
    assert capacity(10 * math.log10(3)) == pytest.approx(1.0)
    assert capacity([0.0, 10 * math.log10(15)]).tolist() == pytest.approx([0.5, 2.0])


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 5), st.integers(1, 64)),
        elements=st.floats(-1e6, 1e6).map(lambda v: 0.0 if abs(v) < 1e-3 else v),
    )
)
def test_every_block_has_power_one_unless_it_is_zero(u: np.ndarray) -> None:
    power = np.square(normalise_power(u)).mean(axis=-1)
    for block, value in zip(u, power, strict=True):
        assert value == pytest.approx(1.0 if block.any() else 0.0, abs=1e-9)


def test_power_is_equal_per_block_not_over_the_batch() -> None:
    x = normalise_power(np.array([[100.0, 0.0], [0.001, 0.001]]))
    np.testing.assert_allclose(x, [[np.sqrt(2), 0], [1, 1]])


@pytest.mark.parametrize("snr_db", [-20.0, -3.0, 0.0, 12.5, 40.0])
@pytest.mark.parametrize("bandwidth", [64, 255, 1024])
def test_measured_snr_is_what_was_asked_for(snr_db: float, bandwidth: int) -> None:
    rng = np.random.default_rng(3)
    x = normalise_power(rng.standard_normal((4000, bandwidth))).astype(np.float32)
    y = awgn(x, NoiseStream(1, "cam").blocks(0, 4000, bandwidth), snr_db)
    noise_power = np.square((y - x).astype(np.float64)).mean()
    assert 10 * np.log10(1.0 / noise_power) == pytest.approx(snr_db, abs=0.05)
    # Each block scatters around it as a chi-square with B degrees of freedom does.
    per_block = measured_snr_db(x, y)
    expected_sd = 10 / math.log(10) * math.sqrt(2 / bandwidth)
    assert per_block.std() == pytest.approx(expected_sd, rel=0.1)


def test_each_block_may_have_its_own_snr() -> None:
    x = normalise_power(np.random.default_rng(0).standard_normal((2, 1024))).astype(np.float32)
    z = NoiseStream(1, "cam").blocks(0, 2, 1024)
    both = awgn(x, z, [0.0, 20.0])
    np.testing.assert_array_equal(both[1], awgn(x[1], z[1], 20.0))
    np.testing.assert_array_equal(both[0], awgn(x[0], z[0], 0.0))
