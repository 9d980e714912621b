"""Blocks drawn ahead: as many as come in order, in bounded memory, and the same as one by one."""

from __future__ import annotations

import numpy as np
import pytest

from airreid.channels.settings import link_settings
from airreid.noise import NoiseStream
from channel_sim.prefetch import PrefetchedLink


def link() -> PrefetchedLink:
    settings = link_settings(model="rayleigh", snr_db=5.0, seed=2)
    return PrefetchedLink(settings, NoiseStream(settings.seed, "cam"))


def windows(prefetched: PrefetchedLink) -> dict[int, tuple[int, int]]:
    """First block and number of blocks that are drawn, by bandwidth."""
    return {b: (w.first, w.count) for b, w in prefetched._windows.items()}


def test_windows_double_while_blocks_come_in_order() -> None:
    prefetched, symbols = link(), np.ones(16, np.float32)
    drawn = []
    for number in range(300):
        prefetched.send(symbols, number)
        first, count = windows(prefetched)[16]
        assert first <= number < first + count
        if (first, count) not in drawn:
            drawn.append((first, count))
    counts = [1, 2, 4, 8, 16, 32, 64, 64, 64, 64]
    assert [count for _, count in drawn] == counts[: len(drawn)]
    assert len(drawn) >= 9


@pytest.mark.parametrize("number", [3, 10**6, 2**40])
def test_a_jump_draws_one_block_again(number: int) -> None:
    prefetched, symbols = link(), np.ones(16, np.float32)
    for before in range(100, 131):
        prefetched.send(symbols, before)
    assert windows(prefetched)[16] == (115, 16)
    prefetched.send(symbols, number)
    assert windows(prefetched)[16] == (number, 1)


def test_a_small_gap_goes_on_drawing_ahead() -> None:
    """A block that was lost before the channel does not slow down the next ones."""
    prefetched, symbols = link(), np.ones(16, np.float32)
    for number in (0, 1, 2, 3, 4, 5, 6):
        prefetched.send(symbols, number)
    assert windows(prefetched)[16] == (3, 4)
    prefetched.send(symbols, 11)
    assert windows(prefetched)[16] == (11, 8)


@pytest.mark.parametrize(("bandwidth", "most"), [(256, 64), (1024, 16), (8192, 2), (20_000, 1)])
def test_a_window_holds_16384_symbols_at_most(bandwidth: int, most: int) -> None:
    prefetched, symbols = link(), np.ones(bandwidth, np.float32)
    largest = 0
    for number in range(200 if bandwidth < 1000 else 40):
        prefetched.send(symbols, number)
        largest = max(largest, windows(prefetched)[bandwidth][1])
    assert largest == most


def test_two_bandwidths_are_drawn_ahead_at_a_time() -> None:
    prefetched = link()
    for bandwidth in (8, 16):
        prefetched.send(np.ones(bandwidth, np.float32), 0)
    assert set(windows(prefetched)) == {8, 16}
    prefetched.send(np.ones(24, np.float32), 0)
    assert set(windows(prefetched)) == {24}


def test_whatever_the_order_a_block_is_received_alike() -> None:
    rng = np.random.default_rng(0)
    sent = rng.standard_normal((40, 12)).astype(np.float32)
    in_order, shuffled = link(), link()
    expected = [in_order.send(row, number) for number, row in enumerate(sent)]
    for number in rng.permutation(40).tolist():
        outcome = shuffled.send(sent[number], number)
        np.testing.assert_array_equal(outcome.received, expected[number].received)
        assert outcome[1:] == pytest.approx(expected[number][1:])
        assert outcome.power == pytest.approx(float(np.square(sent[number]).mean()), rel=1e-5)
