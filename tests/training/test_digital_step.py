"""Training a digital scheme: fewer bits for the same search, the same on every run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from airreid.errors import InputError
from training.engine.progress import TrainingError
from training.engine.retrieval import rank1
from training.models.digital import DigitalCodec
from training.recipes.base import Batches
from training.recipes.steps import DigitalSpec, DigitalStep
from training.steps.context import HeadData
from training.steps.digital import train_digital

from .head_run import crowd, head_context
from .train_script import Losses

SPEC = DigitalSpec(id="digital-16", dimensions=20, rate_lambda=20.0)
LEARNING = DigitalStep().learning.model_copy(update={"lr": 0.03})
STEP = DigitalStep(
    epochs=24, learning=LEARNING, batches=Batches(sampler="identities", identities=16, images=6)
)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Steps are so small that threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def people() -> HeadData:
    """Identity lives in 8 directions, nuisance of twice its size in 16 others."""
    data = crowd(8, 16, jitter=0.1)
    return HeadData(data.features + 1, data.labels, data.cameras)


@pytest.fixture
def train(tmp_path: Path):  # type: ignore[no-untyped-def]
    runs = 0

    def run(
        people: HeadData, spec: DigitalSpec = SPEC, step: DigitalStep = STEP
    ) -> tuple[DigitalCodec, Losses]:
        nonlocal runs
        runs += 1
        report = Losses()
        context = head_context(tmp_path / str(runs), step, report)
        return train_digital(spec, step, people, context, spec.id), report

    return run


def rate_and_hits(model: DigitalCodec, people: HeadData) -> tuple[float, float]:
    with torch.no_grad():
        rounded = model.head(torch.from_numpy(people.features)).round()
        bits = float(model.prior.bits(rounded).sum(1).mean())
    return bits, rank1(rounded, rounded, torch.from_numpy(people.labels))


def test_training_spends_fewer_bits_and_finds_more(people: HeadData, train) -> None:  # type: ignore[no-untyped-def]
    start, _ = train(people, step=STEP.model_copy(update={"epochs": 0}))
    start_bits, start_hits = rate_and_hits(start, people)
    model, report = train(people)
    bits, hits = rate_and_hits(model, people)
    assert bits < 0.7 * start_bits
    assert start_hits < 0.2  # PCA sends nuisance
    assert hits > 0.6
    assert len(report.seen) % 24 == 0  # steps of each of the epochs
    assert sum(rate is not None for rate in report.validation) == 23 * len(report.seen) // 24
    again, _ = train(people)
    for first, second in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(first, second)


def test_bits_that_are_worth_less_are_not_sent(people: HeadData, train) -> None:  # type: ignore[no-untyped-def]
    rates = [
        rate_and_hits(train(people, SPEC.model_copy(update={"rate_lambda": worth}))[0], people)[0]
        for worth in (5.0, 80.0)
    ]
    assert rates[0] < 0.8 * rates[1]


def test_the_best_epoch_is_one_of_the_last_quarter(
    people: HeadData,
    tmp_path: Path,
    train,  # type: ignore[no-untyped-def]
) -> None:
    """With so small a rate every epoch is like the start; an early one must not win."""
    slow = LEARNING.model_copy(update={"lr": 1e-9, "prior_lr": 1e-9})
    train(people, step=STEP.model_copy(update={"epochs": 8, "learning": slow}))
    best = torch.load(tmp_path / "1" / "digital-16.best.pt", weights_only=True)
    assert best["epoch"] in (7, 8)
    assert best["validation"] < 0  # the loss on held-out people, negative


def test_schemes_of_one_setting_draw_different_noise(people: HeadData, train) -> None:  # type: ignore[no-untyped-def]
    short = STEP.model_copy(update={"epochs": 1})
    first, _ = train(people, step=short)
    second, _ = train(people, SPEC.model_copy(update={"id": "digital-32"}), short)
    assert not torch.equal(first.head.linear.weight, second.head.linear.weight)


def test_more_dimensions_than_the_feature_has(people: HeadData, train) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="dimensions above the feature's 24"):
        train(people, SPEC.model_copy(update={"dimensions": 25}))


def test_a_loss_that_is_not_finite_stops(people: HeadData, train) -> None:  # type: ignore[no-untyped-def]
    wild = STEP.model_copy(update={"learning": LEARNING.model_copy(update={"lr": 1e30})})
    with pytest.raises(TrainingError, match=r"digital-16: loss is .* lower digital\.learning\.lr"):
        train(people, step=wild)


def test_training_adds_noise_and_use_rounds(people: HeadData) -> None:
    torch.manual_seed(0)
    model = DigitalCodec(24, 20)
    model.init_from_pca(people.features, 4.0)
    x = torch.from_numpy(people.features)
    from training.models.channel import Channel

    with torch.no_grad():
        latent = model.head(x)
        noisy = model.train().transmit(x, Channel(), torch.Generator().manual_seed(0))
        sent = model.eval().transmit(x, Channel(), torch.Generator().manual_seed(0))
    assert float((noisy.queries - latent).abs().max()) <= 0.5
    assert float((noisy.queries - latent).mean()) == pytest.approx(0, abs=0.01)
    assert torch.equal(sent.queries, latent.round())
    np.testing.assert_allclose(float(latent[:, 0].std()), 4.0, rtol=0.01)
