import gc
import weakref

import numpy as np
import pytest

from airreid import wire
from airreid.channels.models import USES_MAX, apply
from airreid.channels.settings import LinkSettings
from airreid.channels.traces import make_trace
from airreid.errors import InputError
from airreid.noise import NoiseStream
from airreid.signal import awgn, normalise_power
from airreid.v1 import common_pb2, uplink_pb2
from channel_sim.links import OWN_MAX, Links
from channel_sim.prefetch import PrefetchedLink
from channel_sim.stats import LINKS_MAX, OTHERS, Stats


def block(symbols: np.ndarray, sequence: int, edge: str = "cam-1") -> uplink_pb2.QueryRequest:
    return uplink_pb2.QueryRequest(
        id=common_pb2.BlockId(edge_id=edge, sequence=sequence),
        analog=uplink_pb2.AnalogBlock(symbols=wire.to_bytes(symbols)),
    )


@pytest.fixture
def sent() -> np.ndarray:
    u = np.random.default_rng(0).standard_normal((2000, 256))
    return normalise_power(u).astype(np.float32)


def received(links: Links, sent: np.ndarray, order: range | list[int], edge: str) -> np.ndarray:
    out = np.empty_like(sent)
    for i in order:
        request = block(sent[i], i, edge)
        links.transmit(request)
        out[i] = np.frombuffer(request.analog.symbols, "<f4")
    return out


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 7.5, 20.0])
def test_the_link_has_the_snr_it_reports(sent: np.ndarray, snr_db: float) -> None:
    links = Links(LinkSettings(snr_db=snr_db, seed=3))
    y = received(links, sent, range(len(sent)), "cam-1")
    noise = (y - sent).astype(np.float64)
    assert 10 * np.log10(1 / np.square(noise).mean()) == pytest.approx(snr_db, abs=0.05)
    per_block = 10 * np.log10(1 / np.square(noise).mean(axis=1))
    assert per_block.mean() == pytest.approx(snr_db, abs=0.05)
    request = block(sent[0], 0)
    links.transmit(request)
    assert (request.channel.model, request.channel.snr_db) == ("awgn", snr_db)


def test_noise_depends_on_the_block_not_on_the_order_of_arrival(sent: np.ndarray) -> None:
    symbols = sent[:50]
    forward = received(Links(LinkSettings(seed=1)), symbols, range(50), "a")
    shuffled = received(Links(LinkSettings(seed=1)), symbols, list(range(49, -1, -1)), "a")
    np.testing.assert_array_equal(forward, shuffled)
    # ... and equals the offline channel, all blocks at once.
    offline = awgn(symbols, NoiseStream(1, "a").blocks(0, 50, 256), 10.0)
    np.testing.assert_array_equal(forward, offline)


def test_links_have_settings_of_their_own(sent: np.ndarray) -> None:
    links = Links(LinkSettings(snr_db=10))
    links.set("cam-2", LinkSettings(snr_db=-5, seed=9))
    assert links.settings("cam-1").snr_db == 10
    assert links.settings("cam-2").snr_db == -5
    links.set("", LinkSettings(snr_db=3))
    assert links.settings("cam-1").snr_db == 3
    assert links.settings("cam-2").snr_db == -5


@pytest.mark.parametrize("data", [b"", b"abc", b"12345"])
def test_what_is_not_symbols_passes_untouched(data: bytes) -> None:
    request = uplink_pb2.QueryRequest(analog=uplink_pb2.AnalogBlock(symbols=data))
    Links(LinkSettings()).transmit(request)
    assert request.analog.symbols == data
    assert request.HasField("channel")


def test_nan_stays_nan(sent: np.ndarray) -> None:
    bad = sent[0].copy()
    bad[7] = np.nan
    request = block(bad, 0)
    Links(LinkSettings()).transmit(request)
    assert np.isnan(np.frombuffer(request.analog.symbols, "<f4")[7])


def test_a_block_of_another_power_is_reported_with_the_snr_it_had(sent: np.ndarray) -> None:
    links = Links(LinkSettings(snr_db=5.0))
    loud, silent = block(sent[0] * 10, 0), block(np.zeros(256), 1)
    links.transmit(loud)
    links.transmit(silent)
    assert loud.channel.snr_db == pytest.approx(25.0, abs=1e-4)
    assert silent.channel.snr_db == 5.0
    noise = np.frombuffer(loud.analog.symbols, "<f4") - sent[0] * 10
    assert 10 * np.log10(100 / np.square(noise).mean()) == pytest.approx(25.0, abs=1.0)


MODELS = {
    "awgn": LinkSettings(seed=2),
    "rayleigh": LinkSettings(model="rayleigh", seed=2),
    "slow, raw": LinkSettings(model="rayleigh", doppler=0.01, csi=False, seed=2),
    "rician": LinkSettings(model="rician", seed=2, snr_range_db=(0, 10)),
    "impulsive": LinkSettings(model="impulsive", seed=2),
    "erasure": LinkSettings(model="erasure", seed=2),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_service_does_what_the_models_do(sent: np.ndarray, name: str) -> None:
    """In order, where blocks are drawn ahead, and shuffled, where they are not."""
    symbols, settings = sent[:150], MODELS[name]
    expected, radio = apply(settings, symbols, NoiseStream(2, "a"), np.arange(150, dtype=np.uint64))
    links = Links(settings)
    np.testing.assert_array_equal(received(links, symbols, range(150), "a"), expected)
    [(_, sums)] = links.stats.items()
    assert sums.blocks == sums.faded == 150
    assert sums.uses == symbols.size
    assert sums.mean_gain == pytest.approx(np.square(np.abs(radio.gain)).mean())
    assert sums.erased == radio.erased.sum()
    assert sums.impulses == radio.impulses.sum()
    assert sums.last_snr_db == radio.report_db[-1]
    shuffled = np.random.default_rng(0).permutation(150).tolist()
    np.testing.assert_array_equal(received(Links(settings), symbols, shuffled, "a"), expected)


@pytest.mark.parametrize("name", MODELS)
def test_the_measured_snr_is_that_at_the_antenna(sent: np.ndarray, name: str) -> None:
    links = Links(MODELS[name])
    received(links, sent, range(2000), "a")
    [(_, sums)] = links.stats.items()
    assert sums.measured_snr_db is not None
    radio = apply(MODELS[name], sent, NoiseStream(2, "a"), np.arange(2000, dtype=np.uint64))[1]
    signal = np.square(np.abs(radio.gain)).mean() * (1 - radio.erased.mean() if sums.erased else 1)
    noise = (10 ** (-radio.snr_db / 10)).mean()
    spread = 0.25 if name == "impulsive" else 0.05  # few impulses carry half of the noise
    assert sums.measured_snr_db == pytest.approx(10 * np.log10(signal / noise), abs=spread)


def test_a_change_counts_from_the_next_block_on_even_where_blocks_are_drawn_ahead(
    sent: np.ndarray,
) -> None:
    links = Links(LinkSettings(snr_db=10, seed=1))
    before = received(links, sent[:20], range(20), "a")
    links.change("a", {"snr_db": -10.0})
    after = received(links, sent[:30], range(20, 30), "a")[20:]
    noise = NoiseStream(1, "a").blocks(0, 30, 256)
    np.testing.assert_array_equal(before, awgn(sent[:20], noise[:20], 10.0))
    np.testing.assert_array_equal(after, awgn(sent[20:30], noise[20:], -10.0))
    links.change("a", {"seed": 9})
    reseeded = received(links, sent[:31], range(30, 31), "a")[30]
    np.testing.assert_array_equal(
        reseeded, awgn(sent[30], NoiseStream(9, "a").blocks(30, 1, 256)[0], -10.0)
    )


def test_bandwidths_may_alternate(sent: np.ndarray) -> None:
    links = Links(LinkSettings(seed=1))
    streams = NoiseStream(1, "a")
    for i in range(60):
        x = sent[i, : (64, 100, 256, 31)[i % 4]]
        request = block(x, i, "a")
        links.transmit(request)
        expected = awgn(x, streams.blocks(i, 1, len(x))[0], 10.0)
        np.testing.assert_array_equal(np.frombuffer(request.analog.symbols, "<f4"), expected)


def test_windows_stay_small(sent: np.ndarray) -> None:
    link = PrefetchedLink(LinkSettings(), NoiseStream(0, "a"))
    for i in range(500):
        for bandwidth in (64, 256, 20_000):
            link.send(np.zeros(bandwidth, np.float32), i)
    held = [window.radio.noise.size for window in link._windows.values()]
    assert len(held) <= 2
    assert max(held) <= 20_000


def test_a_block_longer_than_any_is_not_worked_on() -> None:
    request = block(np.ones(USES_MAX + 1), 0)
    links = Links(LinkSettings())
    links.transmit(request)
    assert request.analog.symbols == np.ones(USES_MAX + 1, "<f4").tobytes()
    assert links.stats.of("cam-1").unusable == 1


def test_reset_follows_the_default_again() -> None:
    links = Links(LinkSettings(snr_db=7))
    links.change("a", {"snr_db": 1.0})
    links.change("", {"snr_db": 3.0})
    assert links.reset("a").snr_db == 3
    assert links.reset("nobody").snr_db == 3
    assert links.reset("").snr_db == 7
    assert links.own == {}


def test_first_settings_start_from_the_defaults() -> None:
    links = Links(LinkSettings(model="rician", k_factor_db=2, snr_db=7, seed=5))
    mine = links.change("a", {"snr_db": -3.0})
    assert mine == LinkSettings(model="rician", k_factor_db=2, snr_db=-3, seed=5)
    links.change("", {"seed": 6})
    assert links.settings("a").seed == 5


def test_memory_is_bounded(sent: np.ndarray) -> None:
    links = Links(LinkSettings())
    for i in range(LINKS_MAX + 40):
        links.transmit(block(sent[0, :8], 0, f"edge-{i}"))
    links.transmit(block(sent[0, :8], 0, "x" * 5000))
    rows = links.stats.items()
    assert len(rows) == LINKS_MAX + 1
    assert rows[-1][0] == OTHERS
    assert rows[-1][1].blocks == 41
    assert sum(sums.blocks for _, sums in rows) == LINKS_MAX + 41
    assert len(links._prefetched) <= 256
    for i in range(OWN_MAX):
        links.change(f"l-{i}", {"seed": i})
    with pytest.raises(InputError, match="reset some"):
        links.change("one-more", {"seed": 1})
    links.change("l-3", {"seed": 9})
    with pytest.raises(InputError, match="at most 128 characters"):
        links.change("x" * 129, {"seed": 1})


def test_what_cannot_be_measured_does_not_spoil_the_sums(sent: np.ndarray) -> None:
    links = Links(LinkSettings())
    assert Stats().of("x").measured_snr_db is None
    bad = sent[0].copy()
    bad[5] = np.nan
    links.transmit(block(bad, 0))
    assert links.stats.of("cam-1").measured_snr_db is None
    links.transmit(block(np.zeros(256), 1))
    links.transmit(block(np.full(256, 1e30), 2))
    for i in range(3, 60):
        links.transmit(block(sent[i], i))
    sums = links.stats.of("cam-1")
    assert sums.unusable == 2
    assert sums.measured_snr_db == pytest.approx(10, abs=0.4)


def test_rows_of_all_traces_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("channel_sim.links.TRACE_ROWS_MAX", 10)
    links = Links(LinkSettings())
    shared = make_trace("shared", range(4), [1.0] * 4)
    links.change("", {"snr_trace": shared})
    for number in range(20):
        links.change(f"cam-{number}", {"seed": number})  # each with the default's trace
    links.change("a", {"snr_trace": make_trace("a", range(6), [2.0] * 6)})
    for link, rows in (("b", 2), ("", 7)):
        another = make_trace("b", range(rows), [0.0] * rows)
        with pytest.raises(InputError, match=r"rows, more than 10; give a shorter one, or reset"):
            links.change(link, {"snr_trace": another})
    links.change("a", {"snr_trace": make_trace("again", range(6), [3.0] * 6)})
    links.reset("a")
    links.change("b", {"snr_trace": make_trace("b", range(6), [2.0] * 6)})


def test_a_trace_that_no_link_has_is_forgotten() -> None:
    links = Links(LinkSettings())
    traces = []
    for link, edge in (("a", "a"), ("", "follows")):
        trace = make_trace("t", range(4), [1.0] * 4)
        traces.append(weakref.ref(trace))
        links.change(link, {"snr_trace": trace})
        del trace
        links.transmit(block(np.ones(8), 0, edge))
    gc.collect()
    assert all(trace() is not None for trace in traces)
    links.reset("a")
    links.reset("")
    gc.collect()
    assert [trace() for trace in traces] == [None, None]
