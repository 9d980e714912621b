"""Every model: the SNR it claims, one gain for I and Q, the same values in any order."""

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from airreid.channels.models import apply, conditions, draw_realisation
from airreid.channels.settings import LinkSettings
from airreid.channels.traces import make_trace
from airreid.noise import NoiseStream
from airreid.signal import awgn, normalise_power
from airreid.wire import LARGEST

BLOCKS = np.arange(2000, dtype=np.uint64)
EVERY = {
    "awgn": LinkSettings(),
    "rayleigh": LinkSettings(model="rayleigh"),
    "rayleigh raw": LinkSettings(model="rayleigh", csi=False),
    "doppler": LinkSettings(model="rayleigh", doppler=0.02),
    "rician": LinkSettings(model="rician", k_factor_db=3, csi=False),
    "impulsive": LinkSettings(model="impulsive", impulse_probability=0.1),
    "erasure": LinkSettings(model="erasure", erasure_probability=0.3),
    "erasure real": LinkSettings(model="erasure", erasure_unit="real"),
    "range": LinkSettings(snr_range_db=(-5, 15)),
    "trace": LinkSettings(snr_trace=make_trace("t", [0, 3, 4], [10, -5, 20])),
}
every = pytest.mark.parametrize("name", EVERY)


def with_snr(settings: LinkSettings, snr_db: float) -> LinkSettings:
    fields = {name: getattr(settings, name) for name in settings.model_fields_set}
    others = {name: value for name, value in fields.items() if not name.startswith("snr")}
    return LinkSettings(**others, snr_db=snr_db)


@pytest.fixture(scope="module")
def sent() -> np.ndarray:
    u = np.random.default_rng(0).standard_normal((2000, 128))
    return normalise_power(u).astype(np.float32)


def decibels(x: float) -> float:
    return 10 * math.log10(x)


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 7.5])
@pytest.mark.parametrize("name", ["awgn", "impulsive"])
def test_the_noise_is_what_the_snr_says(sent: np.ndarray, name: str, snr_db: float) -> None:
    got, radio = apply(with_snr(EVERY[name], snr_db), sent, NoiseStream(1, "c"), BLOCKS)
    noise = (got - sent).astype(np.float64)
    assert decibels(1 / np.square(noise).mean()) == pytest.approx(snr_db, abs=0.08)
    assert (radio.report_db == snr_db).all()


@pytest.mark.parametrize("snr_db", [-10.0, 5.0])
def test_an_equalised_block_has_the_snr_of_its_report(sent: np.ndarray, snr_db: float) -> None:
    got, radio = apply(with_snr(EVERY["rayleigh"], snr_db), sent, NoiseStream(1, "c"), BLOCKS)
    noise = np.square((got - sent).astype(np.float64)).mean(axis=1)
    measured = 10 * np.log10(1 / noise)
    # chi^2 with 128 degrees of freedom: 0.54 dB of spread, whatever the gain
    error = measured - radio.report_db
    assert error.mean() == pytest.approx(0, abs=0.08)
    assert error.std() == pytest.approx(decibels(math.e) * math.sqrt(2 / 128), rel=0.1)
    np.testing.assert_allclose(
        radio.report_db, snr_db + 10 * np.log10(np.abs(radio.gain) ** 2), atol=1e-9
    )
    linear = 10 ** (radio.report_db / 10)
    assert linear.mean() == pytest.approx(10 ** (snr_db / 10), rel=0.1)


def test_without_channel_knowledge_the_block_is_faded_and_the_average_reported(
    sent: np.ndarray,
) -> None:
    raw, radio = apply(with_snr(EVERY["rayleigh raw"], 6.0), sent, NoiseStream(1, "c"), BLOCKS)
    assert (radio.report_db == 6.0).all()
    received = raw.view(np.complex64)
    noise = received - radio.gain[:, None] * sent.view(np.complex64)
    signal_energy = np.square(np.abs(received)).sum() - np.square(np.abs(noise)).sum()
    assert decibels(1 / np.square(np.abs(noise)).mean() * 2) == pytest.approx(6.0, abs=0.08)
    assert signal_energy / np.square(np.abs(sent.view(np.complex64))).sum() == pytest.approx(
        np.square(np.abs(radio.gain)).mean(), rel=0.02
    )


def test_equalised_is_the_raw_block_over_its_gain(sent: np.ndarray) -> None:
    raw, radio = apply(EVERY["rayleigh raw"], sent, NoiseStream(1, "c"), BLOCKS)
    clean, _ = apply(EVERY["rayleigh"], sent, NoiseStream(1, "c"), BLOCKS)
    expected = (raw.view(np.complex64) / radio.gain[:, None]).astype(np.complex64)
    strong = np.abs(radio.gain) > 0.05
    np.testing.assert_allclose(clean[strong], expected.view(np.float32)[strong], atol=2e-4)


@pytest.mark.parametrize("bandwidth", [2, 7, 64])
def test_one_gain_for_i_and_q(bandwidth: int) -> None:
    """A wave of constant envelope keeps it: I and Q turn together."""
    t = np.arange(-(-bandwidth // 2)) * 0.7
    wave = np.stack([np.cos(t), np.sin(t)], 1).ravel()[:bandwidth].astype(np.float32)
    settings = with_snr(EVERY["rayleigh raw"], 100.0)
    got, radio = apply(settings, wave[None], NoiseStream(4, "c"), np.array([9], np.uint64))
    h = radio.gain[0]
    assert abs(h.imag) > 0.05
    assert abs(h.real) > 0.05
    pairs = got[0, : bandwidth // 2 * 2].reshape(-1, 2)
    np.testing.assert_allclose(np.hypot(*pairs.T), abs(h), atol=1e-3)
    turned = pairs[:, 0] + 1j * pairs[:, 1]
    np.testing.assert_allclose(turned, h * np.exp(1j * t[: len(pairs)]), atol=1e-3)
    if bandwidth % 2:
        assert got[0, -1] == pytest.approx(h.real * wave[-1], abs=1e-3)


def test_the_last_use_of_an_odd_bandwidth_has_the_blocks_own_snr() -> None:
    x = np.ones((20_000, 3), np.float32)
    got, radio = apply(
        EVERY["rayleigh"], x, NoiseStream(6, "c"), np.arange(20_000, dtype=np.uint64)
    )
    scaled = (got - x) * np.sqrt(10 ** (radio.report_db / 10))[:, None]
    np.testing.assert_allclose(np.square(scaled).mean(axis=0), 1, atol=0.05)


@every
def test_any_order_and_any_company_give_the_same(sent: np.ndarray, name: str) -> None:
    symbols, order = sent[:60], np.random.default_rng(1).permutation(60)
    together, _ = apply(EVERY[name], symbols, NoiseStream(2, "c"), BLOCKS[:60] + np.uint64(7))
    shuffled, radio = apply(
        EVERY[name], symbols[order], NoiseStream(2, "c"), BLOCKS[order] + np.uint64(7)
    )
    np.testing.assert_array_equal(shuffled, together[order])
    other_link, _ = apply(EVERY[name], symbols, NoiseStream(2, "d"), BLOCKS[:60] + np.uint64(7))
    assert (other_link != together).mean() > 0.9
    assert radio.noise.shape == symbols.shape


@every
@effort(max_examples=15)
@given(first=st.integers(0, 2**62), bandwidth=st.integers(1, 40), row=st.integers(0, 6))
def test_a_realisation_alone_and_among_others(
    name: str, first: int, bandwidth: int, row: int
) -> None:
    stream = NoiseStream(2, "c")
    together = draw_realisation(EVERY[name], stream, first, 7, bandwidth)
    alone = draw_realisation(EVERY[name], stream, first + row, 1, bandwidth)
    for field, value in vars(alone).items():
        np.testing.assert_array_equal(value[0], vars(together)[field][row], err_msg=field)


def test_awgn_is_the_noise_of_old(sent: np.ndarray) -> None:
    got, _ = apply(LinkSettings(snr_db=3), sent, NoiseStream(1, "c"), BLOCKS + np.uint64(50))
    expected = awgn(sent, NoiseStream(1, "c").blocks(50, 2000, 128), 3.0)
    np.testing.assert_array_equal(got, expected)


@every
def test_at_60_dB_below_everything_is_finite_and_fit_for_the_wire(
    sent: np.ndarray, name: str
) -> None:
    loud = sent * 100
    got, radio = apply(with_snr(EVERY[name], -60.0), loud, NoiseStream(3, "c"), BLOCKS)
    assert np.isfinite(got).all()
    assert np.abs(got).max() < LARGEST
    assert np.isfinite(radio.report_db).all()
    assert radio.report_db.min() >= -60


def test_the_worst_impulses_are_fit_for_the_wire(sent: np.ndarray) -> None:
    settings = LinkSettings(
        model="impulsive", snr_db=-60, impulse_probability=1e-4, impulse_ratio_db=40
    )
    got, radio = apply(settings, sent, NoiseStream(3, "c"), BLOCKS)
    assert radio.impulses.sum() > 0
    assert np.abs(got).max() < LARGEST


def test_impulses_hit_i_and_q_together_with_the_ratio_between(sent: np.ndarray) -> None:
    settings = LinkSettings(
        model="impulsive", snr_db=0, impulse_probability=0.05, impulse_ratio_db=30
    )
    got, radio = apply(settings, sent, NoiseStream(3, "c"), BLOCKS)
    noise = np.square((got - sent).astype(np.float64)).reshape(2000, 64, 2)
    # background 1/(0.95 + 50), impulses 1000 times that
    hit = noise.max(axis=2) > 0.4
    assert hit.mean() == pytest.approx(0.05, abs=0.01)
    assert radio.impulses.sum() / sent.size == pytest.approx(0.05, abs=0.003)
    assert noise[~hit].mean() == pytest.approx(1 / 50.95, rel=0.03)
    assert noise[hit].mean() == pytest.approx(1000 / 50.95, rel=0.05)


@pytest.mark.parametrize(("unit", "together"), [("complex", 0.3), ("real", 0.09)])
def test_erased_uses_carry_noise_alone(sent: np.ndarray, unit: str, together: float) -> None:
    settings = LinkSettings(model="erasure", snr_db=100, erasure_probability=0.3, erasure_unit=unit)
    got, radio = apply(settings, sent, NoiseStream(3, "c"), BLOCKS)
    erased = np.abs(got) < 1e-3
    erased &= np.abs(sent) > 2e-3
    assert radio.erased.mean() == pytest.approx(0.3, abs=0.01)
    assert (erased <= radio.erased).all()
    np.testing.assert_allclose(got[~radio.erased], sent[~radio.erased], atol=1e-3)
    pairs = radio.erased.reshape(-1, 2)
    assert pairs.all(axis=1).mean() == pytest.approx(together, abs=0.01)


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_erasing_nothing_and_everything(sent: np.ndarray, chance: float) -> None:
    settings = LinkSettings(model="erasure", erasure_probability=chance)
    got, radio = apply(settings, sent, NoiseStream(3, "c"), BLOCKS)
    assert (radio.erased == bool(chance)).all()
    noise = got - (0 if chance else sent)
    assert decibels(1 / np.square(noise).mean()) == pytest.approx(10, abs=0.1)


def test_a_range_is_uniform_and_a_trace_followed() -> None:
    snr_db = conditions(EVERY["range"], NoiseStream(1, "c"), 0, 20_000).snr_db
    uniform = np.sort((snr_db + 5) / 20)
    assert np.abs(uniform - np.arange(20_000) / 20_000).max() < 1.95 / math.sqrt(20_000)
    followed = conditions(EVERY["trace"], NoiseStream(1, "c"), 3, 7).snr_db
    assert followed.tolist() == [-5, 20, 10, 10, 10, -5, 20]


@every
def test_zeros_give_noise_and_what_is_not_finite_stays_so(name: str) -> None:
    x = np.zeros((4, 16), np.float32)
    x[1, 3], x[2, 3], x[3, 3] = np.nan, np.inf, -np.inf
    got, _ = apply(EVERY[name], x, NoiseStream(1, "c"), BLOCKS[:4])
    assert np.isfinite(got[0]).all()
    assert got[0].any()
    assert not np.isfinite(got[1:, 2:4]).all(axis=1).any()


def test_arguments_that_do_not_fit_are_refused(sent: np.ndarray) -> None:
    with pytest.raises(ValueError, match="block numbers"):
        apply(LinkSettings(), sent, NoiseStream(1, "c"), BLOCKS[:3])


GOLDEN = {
    "rayleigh": "c1ba2831de8f",
    "doppler": "9c66e9e57fcf",
    "rician": "b3246840c3ac",
    "impulsive": "a74317e04560",
    "erasure": "24a153c7f5e6",
    "erasure real": "098158697432",
    "range": "24ef0251a045",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_radio_stays_what_it_was(name: str) -> None:
    # The last bits may differ between processors, three decimals may not.
    radio = draw_realisation(EVERY[name], NoiseStream(42, "cam-1"), 1000, 2, 16)
    values = np.concatenate(
        [radio.gain.real, radio.gain.imag, radio.snr_db, radio.erased.ravel(), radio.impulses]
    )
    text = np.array2string(np.round(values.astype(np.float64), 3) + 0.0, precision=3)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == GOLDEN[name]
