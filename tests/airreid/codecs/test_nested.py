"""Nested codes: pieces of equal power, prefixes that rank, and the choice between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from airreid.codecs.comparison import SNRS_DB
from airreid.codecs.discriminant import scatter
from airreid.codecs.graphs import check_graph, write_nested_encoder
from airreid.codecs.nested import nest
from airreid.codecs.nested_selection import NestedWay, left_out_trials, select_nested
from airreid.codecs.statistics import TooFewDirectionsError, moments
from airreid.errors import InputError
from airreid.nested.pieces import PIECE
from airreid.noise import NoiseStream
from airreid.retrieval import Labels, NearestMatch
from airreid.signal import awgn

DIM, BANDWIDTH = 96, 128


def people(count: int = 80, shots: int = 4, seed: int = 0) -> tuple[np.ndarray, Labels]:
    """Features whose strongest directions say nothing about who it is, seen by two cameras."""
    random = np.random.default_rng(seed)
    strength = np.linspace(1.0, 0.1, DIM)
    strength[:16] = 0.05
    nuisance = np.full(DIM, 0.25)
    nuisance[:16] = 2.0
    identity = np.repeat(np.arange(count), shots)
    who = random.standard_normal((count, DIM)) * strength
    features = who[identity] + random.standard_normal((len(identity), DIM)) * nuisance
    camera = np.tile(np.arange(shots) % 2, count)
    return (features + 0.3).astype(np.float32), Labels(identity, camera)


def top1(code, features, labels, snr_db: float, uses: int, seeds: int = 6) -> float:  # type: ignore[no-untyped-def]
    symbols = code.encode(features)
    nearest = NearestMatch(labels, labels)
    rates = []
    for seed in range(seeds):
        noise = NoiseStream(seed, "test").blocks(0, len(symbols), symbols.shape[1])
        received = awgn(symbols, noise, snr_db)[:, :uses]
        rates.append(nearest.top1(received @ symbols[:, :uses].T))
    return float(np.mean(rates))


def test_every_piece_has_power_one_and_a_prefix_is_the_code_of_fewer_pieces() -> None:
    features, labels = people()
    code = nest(scatter(features, labels.identity).discriminant(0.3), moments(features), BANDWIDTH)
    symbols = code.encode(features)
    power = np.square(symbols.reshape(len(symbols), -1, PIECE)).mean(axis=2)
    np.testing.assert_allclose(power, 1.0, rtol=1e-4)
    # to the last bits: a BLAS may sum matrices of other widths in another order
    np.testing.assert_allclose(code.truncated(64).encode(features), symbols[:, :64], atol=1e-5)
    with pytest.raises(ValueError, match="no whole pieces"):
        code.truncated(40)


def test_pieces_hold_together_where_the_columns_of_a_code_cut_apart_do_not() -> None:
    """Inner products add up to those of the whole code; plain columns end in noise."""
    features, labels = people()
    target = scatter(features, labels.identity).discriminant(0.3)
    second = moments(features)
    code = nest(target, second, BANDWIDTH)
    whole = target.truncated(BANDWIDTH)
    for snr_db in (-5.0, 5.0):
        nested = top1(code, features, labels, snr_db, BANDWIDTH)
        special = top1(whole, features, labels, snr_db, BANDWIDTH)
        assert nested >= special - 0.03
    pca = nest(second.pca(DIM - 1), second, BANDWIDTH)
    assert top1(code, features, labels, 0.0, 64) > top1(pca, features, labels, 0.0, 64) + 0.05


def test_a_target_of_few_directions_fills_every_piece() -> None:
    features, labels = people(count=12)
    code = nest(scatter(features, labels.identity).discriminant(1.0), moments(features), 64)
    assert code.encode(features).shape == (len(features), 64)
    assert np.isfinite(code.matrix).all()


def test_a_lower_exponent_gives_weak_directions_more_power() -> None:
    features, labels = people()
    second, target = moments(features), scatter(features, labels.identity).discriminant(0.3)
    shares = []
    for exponent in (1.0, 0.75, 0.5):
        code = nest(target, second, BANDWIDTH, exponent=exponent)
        kernel = np.linalg.svd(code.project(features), compute_uv=False) ** 2
        shares.append(float(kernel[:8].sum() / kernel.sum()))
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1] + 0.1
    plain = nest(target, second, BANDWIDTH)
    np.testing.assert_array_equal(
        nest(target, second, BANDWIDTH, exponent=1.0).matrix, plain.matrix
    )


@pytest.mark.parametrize("bandwidth", [0, 16, 100])
def test_a_bandwidth_of_no_whole_pieces_is_refused(bandwidth: int) -> None:
    features, labels = people(count=20)
    with pytest.raises(InputError, match="made of pieces of 32 uses; give a multiple of 32"):
        select_nested(features, labels, bandwidth)


def test_features_of_fewer_directions_than_a_piece_are_refused() -> None:
    features = np.random.default_rng(0).standard_normal((50, 20)).astype(np.float32)
    with pytest.raises(TooFewDirectionsError, match="20 directions"):
        select_nested(features, None, 64)


def test_the_choice_is_never_below_pca_on_people_held_out() -> None:
    features, labels = people()
    choice, split = select_nested(features, labels, BANDWIDTH)
    assert split is not None
    means = {method: float(np.mean(rates)) for method, rates in choice.held_out.items()}
    assert choice.method == max(means, key=lambda method: means[method])
    assert means[choice.method] >= means["pca"]
    assert all(len(rates) == len(SNRS_DB) for rates in choice.held_out.values())
    assert choice.words.startswith(("discriminant", "PCA"))


def test_without_labels_it_is_pca_in_pieces() -> None:
    features, _ = people()
    choice, split = select_nested(features, None, 64)
    assert (choice.way, split) == (NestedWay(), None)
    assert choice.words == "PCA, in pieces"


def test_everybody_is_left_out_once() -> None:
    features, labels = people()
    choice, split = select_nested(features, labels, 64)
    assert split is not None
    trials = left_out_trials(features, labels, choice, split, None)
    names = [set(trial.query_labels.identity.tolist()) for trial in trials]
    assert sum(map(len, names)) == len(set.union(*names)) == 80
    for trial in trials:
        assert set(trial.gallery_labels.identity.tolist()) == set(
            trial.query_labels.identity.tolist()
        )


def test_the_graph_is_the_code(tmp_path: Path) -> None:
    features, labels = people()
    code = nest(scatter(features, labels.identity).discriminant(0.3), moments(features), 64)
    write_nested_encoder(code, tmp_path / "x.onnx")
    sample = features[:7].copy()
    sample[3] = 0.0
    assert check_graph(tmp_path / "x.onnx", sample, code.encode(sample)) < 1e-4
