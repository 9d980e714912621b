"""Training a digital scheme: fewer bits for the same search, the same on every run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from airreid.errors import InputError
from training.engine.losses import nearest_hit_rate
from training.engine.progress import TrainingError
from training.models.digital import Digital
from training.recipes.steps import DigitalSpec, DigitalStep
from training.steps.digital import DigitalProgress, train_digital

SPEC = DigitalSpec(id="digital-16", dimensions=20, trade=20.0)
RECIPE = DigitalStep(epochs=24, lr=0.03, identities_per_batch=16, images_per_identity=6)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Steps are so small that threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Crowd:
    features: np.ndarray
    labels: np.ndarray
    cameras: np.ndarray


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    """Identity lives in 8 directions, nuisance of twice its size in 16 others."""
    rng = np.random.default_rng(0)
    identity = np.repeat(rng.standard_normal((120, 8)), 6, axis=0)
    identity += 0.1 * rng.standard_normal(identity.shape)
    nuisance = 2 * rng.standard_normal((720, 16))
    mixing = np.linalg.qr(rng.standard_normal((24, 24)))[0]
    features = (np.hstack([identity, nuisance]) @ mixing + 1).astype(np.float32)
    return Crowd(features, np.repeat(np.arange(120), 6), np.tile(np.arange(2), 360))


def train(
    crowd: Crowd, spec: DigitalSpec = SPEC, recipe: DigitalStep = RECIPE, seed: int = 0
) -> tuple[Digital, list[DigitalProgress]]:
    seen: list[DigitalProgress] = []
    arguments = (crowd.features, crowd.labels, crowd.cameras, seed, seen.append)
    return train_digital(spec, recipe, *arguments), seen


def rate_and_hits(model: Digital, crowd: Crowd) -> tuple[float, float]:
    with torch.no_grad():
        rounded = model.head(torch.from_numpy(crowd.features)).round()
        bits = float(model.prior.bits(rounded).sum(1).mean())
    return bits, nearest_hit_rate(rounded, torch.from_numpy(crowd.labels))


def test_training_spends_fewer_bits_and_finds_more(crowd: Crowd) -> None:
    start_bits, start_hits = rate_and_hits(
        train(crowd, recipe=RECIPE.model_copy(update={"epochs": 0}))[0], crowd
    )
    model, seen = train(crowd)
    bits, hits = rate_and_hits(model, crowd)
    assert bits < 0.7 * start_bits
    assert start_hits < 0.2  # PCA sends nuisance
    assert hits > 0.6
    assert [progress.epoch for progress in seen] == list(range(24))
    again, _ = train(crowd)
    for one, two in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


def test_bits_that_are_worth_less_are_not_sent(crowd: Crowd) -> None:
    rates = [
        rate_and_hits(train(crowd, SPEC.model_copy(update={"trade": trade}))[0], crowd)[0]
        for trade in (5.0, 80.0)
    ]
    assert rates[0] < 0.8 * rates[1]


def test_schemes_of_one_setting_draw_different_noise(crowd: Crowd) -> None:
    short = RECIPE.model_copy(update={"epochs": 1})
    one, _ = train(crowd, recipe=short)
    two, _ = train(crowd, SPEC.model_copy(update={"id": "digital-32"}), short)
    assert not torch.equal(one.head.linear.weight, two.head.linear.weight)


def test_more_dimensions_than_the_feature_has(crowd: Crowd) -> None:
    with pytest.raises(InputError, match="dimensions above the feature's 24"):
        train(crowd, SPEC.model_copy(update={"dimensions": 25}))


def test_a_loss_that_is_not_finite_stops(crowd: Crowd) -> None:
    with pytest.raises(TrainingError, match=r"digital-16: loss is .* lower digital\.lr"):
        train(crowd, recipe=RECIPE.model_copy(update={"lr": 1e30}))
