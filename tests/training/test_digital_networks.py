"""The learned prior is a distribution, and training estimates what is sent."""

import numpy as np
import pytest
import torch

from airreid.codecs.pca import fit_pca
from training.models.digital import DigitalHead, EntropyBottleneck


def shaken_prior(dimensions: int) -> EntropyBottleneck:
    """Parameters far from their start, in float64: nothing holds by accident of symmetry."""
    torch.manual_seed(0)
    prior = EntropyBottleneck(dimensions, torch.linspace(0.3, 8.0, dimensions)).double()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter += 0.7 * torch.randn(parameter.shape, dtype=torch.float64)
    return prior


def test_every_cdf_rises_from_0_to_1() -> None:
    prior = shaken_prior(5)
    x = torch.linspace(-400.0, 400.0, 4001, dtype=torch.float64)[:, None].expand(-1, 5)
    with torch.no_grad():
        logits, c = prior.logits(x), prior.cumulative(x)
    assert bool((logits.diff(dim=0) > 0).all())
    assert float(c.min()) >= 0
    assert float(c.max()) <= 1
    assert float(c[0].max()) < 1e-6
    assert float(c[-1].min()) > 1 - 1e-6


def test_bits_are_the_integral_of_the_density() -> None:
    prior = shaken_prior(4)
    points = torch.tensor([-3.0, -1.0, 0.0, 0.4, 2.0], dtype=torch.float64)
    with torch.no_grad():
        bits = prior.bits(points[:, None].expand(-1, 4))
    for row, point in zip(bits, points, strict=True):
        grid = torch.linspace(float(point) - 0.5, float(point) + 0.5, 2001, dtype=torch.float64)
        x = grid[:, None].expand(-1, 4).clone().requires_grad_()
        (density,) = torch.autograd.grad(prior.cumulative(x).sum(), x)
        mass = torch.trapezoid(density, grid, dim=0)
        np.testing.assert_allclose(row, -torch.log2(mass), rtol=1e-5)


def test_bits_keep_digits_and_gradient_where_the_cdf_has_none_left() -> None:
    torch.manual_seed(0)
    prior = EntropyBottleneck(2)
    for x in (-60.0, 60.0):
        latent = torch.full((1, 2), x, requires_grad=True)
        bits = prior.bits(latent)
        bits.sum().backward()
        exact = prior.double().bits(latent.detach().double())
        prior.float()
        assert latent.grad is not None
        np.testing.assert_allclose(bits.detach(), exact.detach(), rtol=1e-4)
        assert float(bits.detach().min()) > 20
        assert bool((latent.grad * np.sign(x) > 0.1).all())  # farther out costs more


@pytest.mark.parametrize("spread", [0.05, 1.0, 30.0])
def test_a_prior_starts_as_wide_as_it_is_told(spread: float) -> None:
    torch.manual_seed(0)
    prior = EntropyBottleneck(50, torch.full((50,), spread))
    width = max(spread, 0.2)
    x = torch.tensor([-4.0, 4.0])[:, None].expand(-1, 50) * width
    with torch.no_grad():
        inside = (prior.cumulative(x)[1] - prior.cumulative(x)[0]).mean()
    assert float(inside) > 0.8


def test_uniform_noise_estimates_the_bits_of_rounding() -> None:
    """A prior fitted to noisy Laplace latents: its mean over noise is near the entropy."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([0.4, 1.0, 4.0])
    uniform = torch.rand(20000, 3, generator=generator) - 0.5
    latent = -scales * uniform.sign() * torch.log1p(-2 * uniform.abs() + 1e-7)
    prior = EntropyBottleneck(3, scales)
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.02)
    for _ in range(300):
        batch = latent[torch.randint(len(latent), (1000,), generator=generator)]
        noisy = batch + torch.rand(batch.shape, generator=generator) - 0.5
        loss = prior.bits(noisy).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    k = np.arange(-200, 201)[:, None]
    b = scales.numpy().astype(np.float64)

    def cdf(x: np.ndarray) -> np.ndarray:
        return np.where(x < 0, 0.5 * np.exp(np.minimum(x, 0) / b), 1 - 0.5 * np.exp(-abs(x) / b))

    p = np.maximum(cdf(k + 0.5) - cdf(k - 0.5), 1e-300)
    entropy = -(p * np.log2(p)).sum(0)
    with torch.no_grad():
        estimate = prior.bits(latent + torch.rand(latent.shape, generator=generator) - 0.5)
        rounded = prior.bits(latent.round())
    np.testing.assert_allclose(rounded.mean(0), entropy, atol=0.06)
    # noisy latents have at least the entropy of the rounded ones
    assert bool((estimate.mean(0) > rounded.mean(0) - 0.03).all())
    np.testing.assert_allclose(estimate.mean(0), entropy, atol=0.15)


def test_a_head_starts_as_scaled_pca() -> None:
    rng = np.random.default_rng(0)
    features = (rng.standard_normal((200, 20)) + 3).astype(np.float32)
    pca = fit_pca(features, 4)
    head = DigitalHead(20, 4)
    head.init_from_pca(torch.from_numpy(pca.mean), torch.from_numpy(pca.components), 2.5)
    with torch.no_grad():
        latent = head(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(latent, 2.5 * (features - pca.mean) @ pca.components.T, atol=1e-4)
