"""Closed-form codes against SciPy's own solvers, and graphs against NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from airreid.codecs.decoding import fit_decoder, isometric_decoder
from airreid.codecs.discriminant import scatter
from airreid.codecs.graphs import check_graph, write_decoder, write_encoder, write_latent_encoder
from airreid.codecs.pca import fit_pca
from airreid.codecs.quantised import fit_quantised, target_bits
from airreid.codecs.selection import Wanted, select
from airreid.codecs.statistics import moments
from airreid.digital.arithmetic import decode, encode
from airreid.errors import InputError, ParityError

DIM = 24


def people(identities: int = 40, images: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features whose strongest directions say nothing about who it is."""
    random = np.random.default_rng(seed)
    who = np.zeros(DIM)
    who[8:16] = 1.0
    noise = np.zeros(DIM)
    noise[:8] = 3.0
    names = np.repeat(np.arange(identities), images)
    identity = random.standard_normal((identities, DIM)) * who
    features = identity[names] + random.standard_normal((len(names), DIM)) * (noise + 0.2)
    return (features + 0.5).astype(np.float32), names.astype(np.int64)


@pytest.mark.parametrize("identities", [10, 40])
@pytest.mark.parametrize("regularisation", [0.01, 1.0])
def test_the_discriminant_solves_the_generalised_eigenproblem(
    identities: int, regularisation: float
) -> None:
    features, names = people(identities)
    code = scatter(features, names).discriminant(regularisation)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    standard = (unit - unit.mean(0)) / unit.std(0)
    means = np.stack([standard[names == name].mean(0) for name in range(identities)])
    inner = standard - means[names]
    within = inner.T @ inner / len(unit)
    between = sum(
        (names == name).mean() * np.outer(means[name], means[name]) for name in range(identities)
    )
    right = within + regularisation * np.trace(within) / DIM * np.eye(DIM)
    values, vectors = linalg.eigh(between, right)
    rank = min(DIM, identities)
    expected = (vectors[:, ::-1] * np.sqrt(np.maximum(values[::-1], 0)))[:, :rank]
    # Signs of eigenvectors are free, and directions without power are any: compare inner products.
    ours = code.matrix.astype(np.float64) * unit.std(0)[:, None]
    np.testing.assert_allclose(ours @ ours.T, expected @ expected.T, rtol=1e-4, atol=2e-4)
    assert np.all(np.diff(np.linalg.norm(code.project(features), axis=0)[:4]) <= 1e-3)


def test_pca_of_unit_features_is_pca() -> None:
    features, _ = people()
    ours = moments(features).pca(5)
    unit = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    theirs = fit_pca(unit, 5)
    np.testing.assert_allclose(
        ours.matrix @ ours.matrix.T, theirs.components.T @ theirs.components, atol=1e-4
    )
    power = np.square(ours.encode(features)).mean(axis=1)
    np.testing.assert_allclose(power, 1.0, rtol=1e-5)


def test_a_mixture_of_nothing_or_all_is_one_of_its_parts() -> None:
    features, names = people()
    second = moments(features)
    pca, discriminant = second.pca(6), scatter(features, names).discriminant(0.1).truncated(6)
    for share, part in ((0.0, discriminant), (1.0, pca)):
        mixed, alone = (
            code.project(features) for code in (second.blend(discriminant, pca, share, 6), part)
        )
        ratio = np.linalg.norm(mixed) / np.linalg.norm(alone)
        np.testing.assert_allclose(mixed @ mixed.T, alone @ alone.T * ratio**2, atol=2e-3)


def test_the_decoder_is_the_wiener_filter() -> None:
    """No other linear map has a smaller error on noisy symbols, measured by drawing noise."""
    features, _ = people(seed=3)
    code = moments(features).pca(6)
    decoder = fit_decoder(code, features, snr_db=0.0)
    target = features / np.linalg.norm(features, axis=1, keepdims=True) - code.mean
    random = np.random.default_rng(1)
    sent = np.tile(code.encode(features), (200, 1))
    received = (sent + random.standard_normal(sent.shape)).astype(np.float32)
    wanted = np.tile(target, (200, 1))
    best = np.linalg.lstsq(received, wanted, rcond=None)[0]
    ours = np.square(decoder.decode(received) - wanted).mean()
    assert ours <= 1.002 * np.square(received @ best - wanted).mean()


def test_the_isometric_decoder_ranks_as_the_symbols_do() -> None:
    """Its inner products are those of the symbols; no isometry found by chance is nearer."""
    features, names = people(seed=3)
    code = scatter(features, names).discriminant(0.3).truncated(6)
    decoder, received = isometric_decoder(code, features), code.encode(features)
    decoded = decoder.decode(received)
    np.testing.assert_allclose(decoded @ decoded.T, received @ received.T, atol=1e-4)
    wiener = fit_decoder(code, features).matrix
    distance = np.linalg.norm(decoder.matrix - wiener)
    random = np.random.default_rng(1)
    for _ in range(100):
        near = decoder.matrix + 0.1 * random.standard_normal(decoder.matrix.shape)
        other = np.linalg.qr(near.T)[0].T
        other *= np.sign(np.sum(other * near, axis=1, keepdims=True))
        assert np.linalg.norm(other - wiener) > distance


def test_a_decoded_scheme_of_nobody_in_particular_ranks_as_pca() -> None:
    features, _ = people(seed=4)
    wishes = [Wanted(6), Wanted(6, decoded=True)]
    choices, _ = select(features, None, wishes)
    plain, decoded = (choices[wish] for wish in wishes)
    assert decoded.decoder is not None
    noisy = plain.code.encode(features) + np.float32(0.5)
    back = decoded.decoder.decode(noisy)
    np.testing.assert_allclose(back @ back.T, noisy @ noisy.T, atol=1e-4)


def test_graphs_compute_what_numpy_computes(tmp_path: Path) -> None:
    features, names = people()
    features[0] = 0.0  # no direction: must not give NaN
    code = scatter(features, names).discriminant(0.3).truncated(8)
    path = tmp_path / "code.onnx"
    write_encoder(code, path)
    symbols = code.encode(features)
    assert np.isfinite(symbols).all()
    check_graph(path, features, symbols)
    decoder = fit_decoder(code, features)
    write_decoder(decoder, path)
    check_graph(path, symbols, decoder.decode(symbols))
    write_latent_encoder(code, 0.25, path)
    check_graph(path, features, code.project(features) / np.float32(0.25))
    with pytest.raises(ParityError, match="differs from NumPy"):
        check_graph(path, features, code.project(features) / np.float32(0.26))


@pytest.mark.parametrize("bandwidth", [64, 256])
def test_a_quantised_code_takes_the_bits_it_was_fitted_for(bandwidth: int) -> None:
    features, names = people(60, 8)
    code = scatter(features, names).discriminant(0.3).truncated(16)
    quantised = fit_quantised(code, features, target_bits(bandwidth))
    other, _ = people(30, 4, seed=9)
    lengths = []
    for latent in quantised.latents(other).tolist():
        message = encode(latent, quantised.prior)
        lengths.append(len(message))
        np.testing.assert_array_equal(decode(message, quantised.prior), latent)
    assert abs(np.mean(lengths) - target_bits(bandwidth)) < 0.15 * target_bits(bandwidth) + 2


@settings(max_examples=30, deadline=None)
@given(st.floats(0.05, 0.95), st.integers(0, 1000))
def test_a_mixture_has_no_more_columns_than_asked_and_is_finite(share: float, seed: int) -> None:
    features, names = people(12, 3, seed)
    second = moments(features)
    discriminant = scatter(features, names).discriminant(0.1)
    mixed = second.blend(discriminant.truncated(8), second.pca(4), share, 4)
    assert mixed.matrix.shape == (DIM, 4)
    assert np.isfinite(mixed.matrix).all()


def test_features_that_carry_nothing_are_refused() -> None:
    features, _ = people()
    with pytest.raises(InputError, match="at least two images"):
        moments(features[:1])
    with pytest.raises(InputError, match="same feature"):
        moments(np.ones((10, 8), np.float32))
    broken = features.copy()
    broken[3, 2] = np.nan
    with pytest.raises(InputError, match="not finite"):
        moments(broken)
    with pytest.raises(InputError, match="24 directions"):
        moments(features).pca(25)
    with pytest.raises(InputError, match="two identities"):
        scatter(features, np.arange(len(features)))
