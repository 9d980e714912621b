import hashlib
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airreid.noise import NoiseStream, Purpose


@given(
    first=st.integers(0, 2**62),
    count=st.integers(1, 9),
    index=st.integers(0, 8),
    bandwidth=st.integers(1, 300),
)
def test_a_block_is_the_same_alone_and_among_others(
    first: int, count: int, index: int, bandwidth: int
) -> None:
    stream = NoiseStream(5, "cam-1")
    index %= count
    together = stream.blocks(first, count, bandwidth)
    assert together.shape == (count, bandwidth)
    np.testing.assert_array_equal(stream.blocks(first + index, 1, bandwidth)[0], together[index])


def test_a_new_stream_repeats_it_and_another_seed_or_link_does_not() -> None:
    here = NoiseStream(1, "a").blocks(7, 1, 64)
    np.testing.assert_array_equal(NoiseStream(1, "a").blocks(7, 1, 64), here)
    for other in (NoiseStream(2, "a"), NoiseStream(1, "b")):
        assert abs(np.corrcoef(other.blocks(7, 1, 64)[0], here[0])[0, 1]) < 0.5


def test_standard_normal_by_kolmogorov_smirnov() -> None:
    draws = np.sort(NoiseStream(0, "ks").blocks(0, 800, 250).ravel().astype(np.float64))
    cdf = np.vectorize(NormalDist().cdf)(draws)
    steps = np.arange(1, len(draws) + 1) / len(draws)
    distance = np.abs(cdf - steps).max()
    assert distance < 1.95 / np.sqrt(len(draws))  # p = 0.001
    assert np.mean(draws**4) == pytest.approx(3.0, abs=0.1)
    assert 4.2 < np.abs(draws).max() < 6.5  # tails are there


def test_neighbouring_blocks_and_symbols_are_uncorrelated() -> None:
    z = NoiseStream(0, "corr").blocks(0, 4000, 128).astype(np.float64)
    assert abs((z[1:] * z[:-1]).mean()) < 0.01
    assert abs((z[:, 1:] * z[:, :-1]).mean()) < 0.01
    assert abs((z[:, :64] * z[:, 64:]).mean()) < 0.01  # the two halves of Box-Muller
    assert abs((z[:, :64] ** 2 * z[:, 64:] ** 2).mean() - 1) < 0.02


def test_the_noise_stays_what_it_was() -> None:
    # The last bits may differ between processors, three decimals may not.
    z = NoiseStream(42, "cam-1").blocks(1000, 2, 16)
    text = np.array2string(np.round(z.astype(np.float64), 3) + 0.0, precision=3)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == "a076cbecdf2d"


@pytest.mark.parametrize("arguments", [(-1, 1, 8), (0, -1, 8), (0, 1, 0)])
def test_impossible_blocks_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no noise"):
        NoiseStream(0, "x").blocks(*arguments)


@pytest.mark.parametrize("arguments", [(-1, 1), (0, -1), (-1, -1)])
def test_impossible_words_are_refused(arguments: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"no random words for blocks -?\d\+-?\d"):
        NoiseStream(0, "x").words(Purpose.SNR, *arguments, 1)
    assert NoiseStream(0, "x").words(Purpose.SNR, 0, 0, 1).shape == (0, 1)
