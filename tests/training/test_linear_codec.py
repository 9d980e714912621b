"""The codecs: power, noise, a start that is exactly the linear baseline, and training."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from airreid.codecs.pca import fit_pca
from airreid.errors import InputError
from airreid.retrieval import cosine
from airreid.signal import normalise_power
from training.models.channel import Channel
from training.models.codec import Codec
from training.models.codec import normalise_power as torch_normalise_power
from training.recipes.base import Batches, SnrRange
from training.recipes.scheme_ids import parse_scheme
from training.recipes.steps import CodecStep
from training.steps.context import HeadData
from training.steps.held_out import split, validate
from training.steps.linear_codec import train_codec

from .head_run import crowd, head_context
from .train_script import Losses

PEOPLE = crowd(8, 24)
"""Identity lives in 8 weak directions, large nuisance in 24 others: PCA sends nuisance."""
STEP = CodecStep(
    schemes=("jscc-fc-8",),
    epochs=40,
    learning=CodecStep.model_fields["learning"].default.model_copy(update={"lr": 0.01}),
    batches=Batches(sampler="identities", identities=32, images=4),
    snr_db=10.0,
)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Steps are so small that threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def train(
    out: Path, step: CodecStep = STEP, scheme_id: str = "jscc-fc-8", data: HeadData = PEOPLE
) -> tuple[Codec, Losses]:
    report = Losses()
    context = head_context(out, step, report)
    return train_codec(scheme_id, step, data, context, scheme_id), report


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 3.0, 20.0])
def test_training_noise_has_the_snr_it_claims(snr_db: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch_normalise_power(torch.randn(4000, 256, dtype=torch.float64))
    assert torch.allclose(x.square().mean(1), torch.ones(4000, dtype=torch.float64))
    y, _ = Channel("awgn", snr_db)(x, generator)
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
    codec.eval()
    codec.init_from_pca(features)
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


def test_training_beats_its_start_where_noise_hides_the_identity(tmp_path: Path) -> None:
    trained, report = train(tmp_path / "a")
    assert max(rate for rate in report.validation if rate is not None) > 0.9  # PCA alone: 6 %
    again, _ = train(tmp_path / "b")
    for first, second in zip(trained.parameters(), again.parameters(), strict=True):
        assert torch.equal(first, second)


def test_without_epochs_a_codec_is_pca_of_the_people_it_may_learn_from(tmp_path: Path) -> None:
    codec, _ = train(tmp_path, STEP.model_copy(update={"epochs": 0}))
    training, _ = split(PEOPLE.labels, PEOPLE.cameras, seed=0)
    start = fit_pca(PEOPLE.features[training], 8)
    with torch.no_grad():
        x = codec.encoder(torch.from_numpy(PEOPLE.features)).numpy()
    np.testing.assert_allclose(x, start.encode(PEOPLE.features), atol=1e-4)


def test_no_phase_ends_worse_on_held_out_people_than_it_began(tmp_path: Path) -> None:
    """Steps far too long: every epoch is worse than the start, and the start remains."""
    wild = STEP.learning.model_copy(update={"lr": 30.0})
    step = STEP.model_copy(
        update={"epochs": 2, "decoder_epochs": 2, "learning": wild, "decoder_learning": wild}
    )
    easy = crowd(24, 8)  # PCA is good at once
    codec, report = train(tmp_path, step, "jscc-ae-24", easy)
    assert set(report.names) == {"jscc-ae-24.encoder", "jscc-ae-24"}
    training, held_out = split(easy.labels, easy.cameras, seed=0)
    pca = Codec("jscc-ae", 32, 24, 0)
    pca.init_from_pca(easy.features[training])
    strangers = easy.rows(held_out, torch.device("cpu"))
    ours, start = (
        validate(network, "awgn", (10.0, 10.0), strangers, 0).top1 for network in (codec, pca)
    )
    assert ours >= start > 0.5


@pytest.mark.parametrize("model", ["awgn", "rayleigh", "rician", "impulsive", "erasure"])
def test_a_codec_trains_through_every_channel(model: str, tmp_path: Path) -> None:
    fast = STEP.learning.model_copy(update={"lr": 0.03})
    snr_db = SnrRange(low=5.0, high=15.0)
    step = STEP.model_copy(
        update={"channel": model, "epochs": 12, "learning": fast, "snr_db": snr_db}
    )
    _, report = train(tmp_path, step, data=crowd(8, 16))
    top1 = [rate for rate in report.validation if rate is not None]
    assert top1[0] < 0.1
    assert max(top1) > 0.8


def test_the_best_epoch_is_chosen_on_strangers_seen_by_strange_cameras() -> None:
    labels, cameras = (grid.ravel() for grid in np.mgrid[0:30, 0:12])
    training, held_out = split(labels, cameras, seed=0)
    assert len(set(labels[held_out])) == 5
    assert len(set(cameras[held_out])) == 2
    assert not set(labels[training]) & set(labels[held_out])
    assert not set(cameras[training]) & set(cameras[held_out])
    assert (split(labels, cameras, seed=1)[1] != held_out).any()
    training, held_out = split(labels, cameras % 2, seed=0)  # two cameras: none can be spared
    assert (training ^ held_out).all()
    training, held_out = split(labels, cameras % 6, seed=0)  # one would be held out: no pairs
    assert (training ^ held_out).all()


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 1, 2, 3, 4, 5]])
def test_too_few_people_or_pictures_to_choose_an_epoch_on(labels: list[int]) -> None:
    with pytest.raises(InputError, match="too few people or pictures"):
        split(np.array(labels), np.zeros(len(labels), int), seed=0)


@pytest.mark.parametrize("scheme", ["jscc-ae", "jscc-ae-0", "jscc-xx-64", "jscc-ae-9999", "64"])
def test_scheme_ids_that_say_nothing(scheme: str) -> None:
    with pytest.raises(InputError, match="write jscc-ae-B"):
        parse_scheme(scheme)
