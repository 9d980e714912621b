import numpy as np
import pytest

from airreid import wire
from airreid.errors import InputError
from airreid.noise import NoiseStream
from airreid.signal import awgn, normalise_power
from airreid.v1 import common_pb2, uplink_pb2
from channel_sim.links import Links, LinkSettings, link_settings


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
    some = sent[:50]
    forward = received(Links(LinkSettings(seed=1)), some, range(50), "a")
    shuffled = received(Links(LinkSettings(seed=1)), some, list(range(49, -1, -1)), "a")
    np.testing.assert_array_equal(forward, shuffled)
    # ... and equals the offline channel, all blocks at once.
    offline = awgn(some, NoiseStream(1, "a").blocks(0, 50, 256), 10.0)
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


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("rain", 0.0, 0), "model"),
        (("awgn", float("nan"), 0), "snr_db"),
        (("awgn", 1e9, 0), "snr_db"),
        (("awgn", 0.0, -1), "seed"),
    ],
)
def test_impossible_settings_name_the_field(arguments: tuple[str, float, int], field: str) -> None:
    with pytest.raises(InputError, match=f"link {field}"):
        link_settings(*arguments)


def test_a_block_of_another_power_is_reported_with_the_snr_it_had(sent: np.ndarray) -> None:
    links = Links(LinkSettings(snr_db=5.0))
    loud, silent = block(sent[0] * 10, 0), block(np.zeros(256), 1)
    links.transmit(loud)
    links.transmit(silent)
    assert loud.channel.snr_db == pytest.approx(25.0, abs=1e-4)
    assert silent.channel.snr_db == 5.0
    noise = np.frombuffer(loud.analog.symbols, "<f4") - sent[0] * 10
    assert 10 * np.log10(100 / np.square(noise).mean()) == pytest.approx(25.0, abs=1.0)
