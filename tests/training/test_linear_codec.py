"""The codecs: power, noise, and a start that is exactly the linear baseline."""

import numpy as np
import pytest
import torch

from airreid.codecs.pca import fit_pca
from airreid.errors import InputError
from airreid.retrieval import cosine
from airreid.signal import normalise_power
from training.models.codec import Codec, awgn
from training.models.codec import normalise_power as torch_normalise_power
from training.recipes.scheme_ids import parse_scheme
from training.recipes.steps import CodecStep
from training.steps.linear_codec import split, train_codec


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 3.0, 20.0])
def test_training_noise_has_the_snr_it_claims(snr_db: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch_normalise_power(torch.randn(4000, 256, dtype=torch.float64))
    assert torch.allclose(x.square().mean(1), torch.ones(4000, dtype=torch.float64))
    y = awgn(x, torch.full((4000,), snr_db, dtype=torch.float64), generator)
    per_block = 10 * torch.log10(1 / (y - x).square().mean(1))
    assert float(per_block.mean()) == pytest.approx(snr_db, abs=0.05)
    assert float(10 * torch.log10(1 / (y - x).square().mean())) == pytest.approx(snr_db, abs=0.05)


def test_both_power_normalisations_agree() -> None:
    u = np.random.default_rng(0).standard_normal((5, 64)) * [[1e-6], [1], [1e6], [0], [3]]
    np.testing.assert_allclose(torch_normalise_power(torch.tensor(u)), normalise_power(u))


@pytest.mark.parametrize("hidden", [0, 32])
def test_an_untrained_codec_ranks_as_pca_does(hidden: int) -> None:
    rng = np.random.default_rng(0)
    features = (rng.standard_normal((200, 40)) * np.linspace(3, 0.1, 40) + 2).astype(np.float32)
    pca = fit_pca(features, 16)
    np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(16), atol=1e-5)
    codec = Codec("jscc-ae", 40, 16, hidden)
    mean = torch.from_numpy(pca.mean)
    codec.init_encoder_from_pca(mean, torch.from_numpy(pca.components))
    codec.eval()
    codec.init_decoder_as_isometry(torch.from_numpy(features), mean)
    with torch.no_grad():
        x = codec.encoder(torch.from_numpy(features))
        y = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
        ours = cosine(codec.decode(y).numpy(), codec.decode(x).numpy())
        back = cosine(codec.decode(x).numpy(), features - pca.mean)
    np.testing.assert_allclose(x.numpy(), pca.encode(features), atol=1e-4)
    np.testing.assert_allclose(ours, cosine(y.numpy(), pca.encode(features)), atol=1e-5)
    assert np.diag(back).min() > 0.5  # and decodes towards the feature


def test_pca_spans_what_an_svd_spans() -> None:
    rng = np.random.default_rng(1)
    features = (rng.standard_normal((300, 20)) * np.linspace(5, 0.5, 20)).astype(np.float32)
    _, _, right = np.linalg.svd(features - features.mean(0), full_matrices=False)
    ours = fit_pca(features, 5).components
    np.testing.assert_allclose(np.abs(np.sum(ours * right[:5], axis=1)), 1.0, atol=1e-4)


def test_training_beats_its_start_where_noise_hides_the_identity() -> None:
    """Identity lives in 8 weak directions, large nuisance in 24 others: PCA sends nuisance."""
    rng = np.random.default_rng(0)
    identity = np.repeat(rng.standard_normal((120, 8)), 6, axis=0)
    nuisance = 2 * rng.standard_normal((720, 24))
    mixing = np.linalg.qr(rng.standard_normal((32, 32)))[0]
    features = (np.hstack([identity, nuisance]) @ mixing).astype(np.float32)
    labels, cameras = np.repeat(np.arange(120), 6), np.tile(np.arange(2), 360)
    recipe = CodecStep(
        schemes=("jscc-fc-8",), epochs=40, lr=0.01, identities_per_batch=32, snr_db_min=10.0
    )
    seen: list[float] = []
    trained = train_codec(
        "jscc-fc-8",
        recipe,
        features,
        labels,
        cameras,
        0,
        lambda progress: seen.append(progress.top1),
    )
    assert max(seen) > 0.9  # PCA alone finds 6 %
    again = train_codec("jscc-fc-8", recipe, features, labels, cameras, 0, lambda progress: None)
    for one, two in zip(trained.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)
    pca_only = train_codec(
        "jscc-fc-8",
        recipe.model_copy(update={"epochs": 0}),
        features,
        labels,
        cameras,
        0,
        lambda progress: None,
    )
    start = fit_pca(features[split(labels, cameras)[0]], 8)
    with torch.no_grad():
        x = pca_only.encoder(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(x, start.encode(features), atol=1e-4)


def test_the_best_epoch_is_chosen_on_strangers_seen_by_strange_cameras() -> None:
    labels, cameras = (grid.ravel() for grid in np.mgrid[0:30, 0:12])
    training, held_out = split(labels, cameras)
    assert not set(labels[training]) & set(labels[held_out])
    assert not set(cameras[training]) & set(cameras[held_out])
    training, held_out = split(labels, cameras % 2)  # two cameras: none can be spared
    assert (training ^ held_out).all()
    training, held_out = split(labels, cameras % 6)  # one would be held out: no pairs
    assert (training ^ held_out).all()


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 1, 2, 3, 4, 5]])
def test_too_few_people_or_pictures_to_choose_an_epoch_on(labels: list[int]) -> None:
    with pytest.raises(InputError, match="too few people or pictures"):
        split(np.array(labels), np.zeros(len(labels), int))


@pytest.mark.parametrize("scheme", ["jscc-ae", "jscc-ae-0", "jscc-xx-64", "jscc-ae-9999", "64"])
def test_scheme_ids_that_say_nothing(scheme: str) -> None:
    with pytest.raises(InputError, match="write jscc-ae-B"):
        parse_scheme(scheme)
