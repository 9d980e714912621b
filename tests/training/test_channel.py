"""The torch channel against the simulator: equal given equal draws, alike in what it draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from airreid.channels import impairments
from airreid.channels.models import Realisation, apply, draw_realisation
from airreid.channels.settings import LinkSettings
from airreid.errors import InputError
from airreid.noise import NoiseStream
from airreid.signal import SNR_DB_MIN, normalise_power
from training.models.channel import Channel, Draws, rotate

N = 20_000
P001 = 1.95
"""Kolmogorov-Smirnov: sqrt(n m / (n + m)) times the distance passes in 999 of 1000 tries."""
SETTINGS: dict[str, dict[str, object]] = {
    "awgn": {"model": "awgn"},
    "rayleigh": {"model": "rayleigh"},
    "rayleigh raw": {"model": "rayleigh", "csi": False},
    "rician": {"model": "rician", "k_factor_db": 3.0},
    "rician raw": {"model": "rician", "k_factor_db": -2.0, "csi": False},
    "impulsive": {"model": "impulsive", "impulse_probability": 0.2, "impulse_ratio_db": 15.0},
    "erasure": {"model": "erasure", "erasure_probability": 0.3},
    "erasure real": {"model": "erasure", "erasure_probability": 0.3, "erasure_unit": "real"},
}
every = pytest.mark.parametrize("name", SETTINGS)


def channel(name: str, snr_db: float | tuple[float, float]) -> Channel:
    return Channel(snr_db=snr_db, **SETTINGS[name])  # type: ignore[arg-type]


def link(name: str, snr_db: float | tuple[float, float]) -> LinkSettings:
    field = "snr_range_db" if isinstance(snr_db, tuple) else "snr_db"
    return LinkSettings(**SETTINGS[name], **{field: snr_db})


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blocks(count: int, bandwidth: int) -> np.ndarray:
    u = np.random.default_rng(3).standard_normal((count, bandwidth))
    return normalise_power(u).astype(np.float32)


def simulated(name: str, snr_db: float | tuple[float, float], bandwidth: int) -> Realisation:
    return draw_realisation(link(name, snr_db), NoiseStream(8, "cam"), 0, N, bandwidth)


def same_draws(settings: LinkSettings, stream: NoiseStream, radio: Realisation) -> Draws:
    """Draws of the simulator for blocks 0 .. n - 1, before it did anything with them."""
    count, bandwidth = radio.noise.shape
    chance = settings.impulse_probability
    hit = impairments.impulses(stream, 0, count, bandwidth, chance)
    return Draws(
        torch.from_numpy(radio.snr_db),
        torch.from_numpy(stream.blocks(0, count, bandwidth).copy()),
        gain=torch.from_numpy(radio.gain) if settings.model in ("rayleigh", "rician") else None,
        hit=torch.from_numpy(hit) if settings.model == "impulsive" else None,
        erased=torch.from_numpy(radio.erased) if settings.model == "erasure" else None,
    )


def ks(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Distance of two empirical CDFs, in units of what equal distributions scatter by."""
    both = np.concatenate([ours, theirs])
    first = np.searchsorted(np.sort(ours), both, side="right") / len(ours)
    second = np.searchsorted(np.sort(theirs), both, side="right") / len(theirs)
    scale = math.sqrt(len(ours) * len(theirs) / (len(ours) + len(theirs)))
    return float(np.abs(first - second).max()) * scale


@every
@pytest.mark.parametrize("bandwidth", [1, 7, 64])
@pytest.mark.parametrize("snr_db", [-7.0, (-10.0, 20.0), 100.0])
def test_given_the_simulators_draws_the_result_is_the_simulators(
    name: str, bandwidth: int, snr_db: float | tuple[float, float]
) -> None:
    settings, stream, sent = link(name, snr_db), NoiseStream(5, "cam"), blocks(300, bandwidth)
    expected, radio = apply(settings, sent, stream, np.arange(300, dtype=np.uint64))
    draws = same_draws(settings, stream, radio)
    got, effective = channel(name, snr_db).apply_draws(torch.from_numpy(sent), draws)
    assert got.dtype == torch.float32
    # Weak gains make large values of noise: float32's rounding grows with them.
    largest = np.maximum(np.abs(expected).max(axis=1, keepdims=True), 1)
    assert (np.abs(got.numpy() - expected) / largest).max() < 2e-6
    np.testing.assert_allclose(effective.numpy(), radio.effective_db, rtol=0, atol=1e-10)
    reported = effective if settings.csi else draws.snr_db
    np.testing.assert_allclose(reported.numpy(), radio.report_db, rtol=0, atol=1e-10)


@pytest.mark.parametrize("csi", [True, False])
def test_a_gain_of_nothing_stays_finite_as_in_the_simulator(csi: bool) -> None:
    draws = Draws(
        torch.tensor([10.0, 10.0], dtype=torch.float64),
        torch.ones(2, 4, dtype=torch.float64),
        gain=torch.tensor([0j, 1e-30j], dtype=torch.complex128),
    )
    x = torch.ones(2, 4, dtype=torch.float64, requires_grad=True)
    y, effective = Channel("rayleigh", csi=csi).apply_draws(x, draws)
    assert effective.tolist() == [SNR_DB_MIN] * 2
    assert torch.isfinite(y).all()
    y.sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    if csi:  # one complex use of noise (1, 1) turned back by 90 degrees, at -60 dB
        torch.testing.assert_close(
            y[1].detach(), 1 + torch.tensor([1000.0, -1000.0] * 2, dtype=torch.float64)
        )


@every
def test_the_effective_snr_is_distributed_as_the_simulators(name: str) -> None:
    radio = simulated(name, (-5.0, 15.0), 2)
    draws = channel(name, (-5.0, 15.0)).draw(torch.zeros(N, 2), generator(1))
    _, effective = channel(name, (-5.0, 15.0)).apply_draws(torch.zeros(N, 2), draws)
    assert effective.dtype == draws.snr_db.dtype == torch.float64
    assert ks(effective.numpy(), radio.effective_db) < P001
    assert ks(draws.snr_db.numpy(), radio.snr_db) < P001


@pytest.mark.parametrize("name", [name for name in SETTINGS if name.startswith("r")])
def test_gains_are_distributed_as_the_simulators(name: str) -> None:
    ours = channel(name, 0.0).draw(torch.zeros(N, 2), generator(2)).gain
    assert ours is not None
    theirs = simulated(name, 0.0, 2).gain
    for part in (np.abs, np.real, np.imag, np.angle):
        assert ks(part(ours.numpy()), part(theirs)) < P001
    power = np.square(np.abs(ours.numpy()))
    assert power.mean() == pytest.approx(1, abs=5 / math.sqrt(N))
    if name.startswith("rayleigh"):  # the closed form: exponential of mean 1
        exact = 1 - np.exp(-np.sort(power))
        distance = np.abs(exact - (np.arange(N) + 0.5) / N).max()
        assert distance * math.sqrt(N) < P001


@every
def test_the_noise_is_distributed_as_the_simulators(name: str) -> None:
    """Powers of single uses, and of whole blocks, of what comes out when nothing goes in."""
    radio = simulated(name, 4.0, 6)
    got, _ = channel(name, 4.0)(torch.zeros(N, 6), generator(3))
    ours, theirs = got.numpy().astype(np.float64), radio.noise.astype(np.float64)
    assert ks(ours[:, 5], theirs[:, 5]) < P001
    assert ks(np.square(ours).sum(axis=1), np.square(theirs).sum(axis=1)) < P001


@every
@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 12.0])
def test_each_block_has_the_snr_that_is_said_of_it(name: str, snr_db: float) -> None:
    """In float64. 10 log10 of a mean of B squares of N(0, 1) is -4.34/B in the mean and has
    a spread of 4.34 sqrt(2/B), to first order; 4.34 is 10 / ln 10."""
    count, bandwidth = 4000, 128
    x = torch.from_numpy(blocks(count, bandwidth)).double()
    module = channel(name, snr_db)
    draws = module.draw(x, generator(4))
    y, effective = module.apply_draws(x, draws)
    arrived = signal_of(x, draws, module)
    unerased = torch.ones_like(x) if draws.erased is None else (~draws.erased).double()
    energy = (arrived * unerased).square().sum(1)
    noise = ((y - arrived) * unerased).square().sum(1)
    sent = (x * unerased).square().sum(1) if module.csi else energy
    if name == "impulsive":  # the power of all blocks' noise; single ones vary widely
        assert 10 * math.log10(1 / (y - x).square().mean()) == pytest.approx(snr_db, abs=0.1)
        return
    stated = effective + 10 * torch.log10(sent / unerased.sum(1)) * (name.startswith("erasure"))
    error = (10 * torch.log10(sent / noise) - stated).numpy()
    freedom = float(unerased.sum(1).mean())
    assert error.mean() == pytest.approx(10 / math.log(10) / freedom, abs=0.05)
    assert error.std() == pytest.approx(10 / math.log(10) * math.sqrt(2 / freedom), rel=0.1)


def signal_of(x: Tensor, draws: Draws, module: Channel) -> Tensor:
    """Returns what of x arrives, in numpy's complex numbers."""
    if draws.gain is not None and not module.csi:
        turned = x.numpy().view(np.complex128) * draws.gain.numpy()[:, None]
        return torch.from_numpy(turned.view(np.float64).copy())
    return x if draws.erased is None else torch.where(draws.erased, 0.0, x)


@pytest.mark.parametrize("bandwidth", [1, 2, 5, 64])
def test_a_rotation_multiplies_complex_numbers(bandwidth: int) -> None:
    x = torch.from_numpy(blocks(9, bandwidth)).double()
    h = torch.randn(9, 2, generator=generator(), dtype=torch.float64)
    padded = np.zeros((9, bandwidth + bandwidth % 2))
    padded[:, :bandwidth] = x
    expected = padded.view(np.complex128) * torch.view_as_complex(h).numpy()[:, None]
    got = rotate(x, torch.view_as_complex(h)).numpy()
    np.testing.assert_allclose(got, expected.view(np.float64)[:, :bandwidth], atol=1e-12)


@every
@pytest.mark.parametrize("bandwidth", [5, 6])
def test_gradients_with_respect_to_the_symbols_are_exact(name: str, bandwidth: int) -> None:
    x = torch.from_numpy(blocks(3, bandwidth)).double().requires_grad_()
    module = channel(name, 3.0)
    draws = module.draw(x, generator(6))
    assert torch.autograd.gradcheck(lambda x: module.apply_draws(x, draws)[0], (x,))
    y, effective = module(x, generator(6))
    assert not effective.requires_grad
    y.sum().backward()
    assert x.grad is not None
    if draws.erased is not None:
        assert torch.equal(x.grad == 0, draws.erased)


@every
def test_one_state_of_the_generator_gives_one_result(name: str) -> None:
    x = torch.from_numpy(blocks(20, 7))
    first, again = (channel(name, (0.0, 5.0))(x, generator(7)) for _ in range(2))
    other, _ = channel(name, (0.0, 5.0))(x, generator(8))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other)
    plain = Channel("awgn", 2.0).draw(x, generator(7))
    assert torch.equal(channel(name, 9.0).draw(x, generator(7)).noise, plain.noise)
    assert list(channel(name, 9.0).parameters()) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "fog"}, "channel model 'fog': use one of awgn"),
        ({"snr_db": math.nan}, "snr_db: nan is not between -60 and 100"),
        ({"snr_db": (5.0, 2.0)}, "snr_db: 2 is not between 5 and 100"),
        ({"k_factor_db": 41.0}, "k_factor_db: 41 is not between"),
        ({"impulse_probability": 1.1}, "impulse_probability: 1.1 is not between 0 and 1"),
        ({"impulse_ratio_db": -1.0}, "impulse_ratio_db: -1 is not between"),
        ({"erasure_probability": -0.1}, "erasure_probability: -0.1 is not between"),
        ({"erasure_unit": "byte"}, "erasure_unit: 'byte' is neither"),
    ],
)
def test_settings_out_of_bounds_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Channel(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("x", [torch.zeros(4), torch.zeros(2, 4, dtype=torch.int64)])
def test_symbols_of_another_shape_or_kind_are_refused(x: Tensor) -> None:
    with pytest.raises(ValueError, match="symbols of shape"):
        Channel()(x, generator())


def test_a_channel_says_what_it_is() -> None:
    assert repr(Channel("rayleigh", (-5.0, 10.0))) == "Channel(rayleigh, -5 to 10 dB)"
    assert repr(Channel(snr_db=3)) == "Channel(awgn, 3 dB)"
