"""Integer tables say what the network says."""

import numpy as np
import torch

from airreid.digital.arithmetic import decode, encode
from airreid.digital.prior import TOTAL
from airreid.digital.table_design import code_lengths
from training.export.integer_prior import TAIL, WIDEST, integer_prior
from training.models.digital import EntropyBottleneck


def prior_and_latents(spread: float = 3.0) -> tuple[EntropyBottleneck, np.ndarray]:
    torch.manual_seed(1)
    widths = torch.linspace(0.05, spread, 12)
    prior = EntropyBottleneck(12, widths)
    noise = torch.randn(400, 12, generator=torch.Generator().manual_seed(1))
    return prior, (widths * noise).round().long().numpy()


def test_tables_are_the_learned_probabilities() -> None:
    prior, latents = prior_and_latents()
    tables = integer_prior(prior, latents)
    exact = prior.double()
    for i, (low, row) in enumerate(zip(tables.low, tables.counts, strict=True)):
        assert sum(row) == TOTAL
        assert min(row) >= 1
        assert low <= latents[:, i].min()
        assert low + len(row) - 2 >= latents[:, i].max()
        k = torch.arange(low, low + len(row) - 1, dtype=torch.float64)
        with torch.no_grad():
            c = [exact.cumulative((k + d)[:, None].expand(-1, 12))[:, i] for d in (-0.5, 0.5)]
        inside = (c[1] - c[0]).numpy()
        p = np.append(inside, 1 - inside.sum())
        q = np.asarray(row) / TOTAL
        assert p[-1] <= TAIL * 1.01
        divergence = np.sum(np.where(p > 0, p * np.log2(np.maximum(p, 1e-300) / q), 0.0))
        assert 0 <= divergence < 2e-3
        assert np.abs(p - q).max() < len(row) / TOTAL + 1e-4


def test_a_table_reaches_over_everything_seen_and_no_farther_than_its_bound() -> None:
    prior, latents = prior_and_latents()
    latents[0, 3], latents[1, 4], latents[2, 5] = 300, -(10**6), 10**6
    tables = integer_prior(prior, latents)
    assert tables.low[3] + len(tables.counts[3]) - 2 == 300
    assert tables.low[4] == -WIDEST
    assert tables.low[5] + len(tables.counts[5]) - 2 == WIDEST
    for latent in latents[:4]:  # what lies outside is escaped
        np.testing.assert_array_equal(decode(encode(latent, tables), tables), latent)


def test_messages_are_as_long_as_the_tables_say() -> None:
    prior, latents = prior_and_latents()
    tables = integer_prior(prior, latents)
    latents[0, 0], latents[1, 11] = 77, -5000
    ideal = code_lengths(latents, tables)
    np.testing.assert_allclose(ideal, [tables.code_length(row) for row in latents], rtol=1e-9)
    coded = np.asarray([len(encode(row, tables)) for row in latents])
    assert (coded - ideal).max() < 2
    with torch.no_grad():
        learned = prior.bits(torch.from_numpy(latents[2:]).float()).sum(1).numpy()
    np.testing.assert_allclose(ideal[2:], learned, atol=0.3)
