"""A made-up world of people as Gaussian clusters, and a linear code for their features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from accesspoint.matching.trials import Enrolled
from airreid.noise import NoiseStream
from airreid.scheme import Received
from airreid.signal import awgn, normalise_power


class LinearCode:
    """Features (n, D) into a D-dimensional subspace of 256 symbols; compared as received.

    ``cliff_db``: below it every block is lost, as with a digital code.
    """

    def __init__(self, dim: int, seed: int = 0, cliff_db: float = -100.0) -> None:
        rng = np.random.default_rng(99)
        self._rotation = np.linalg.qr(rng.standard_normal((256, dim)))[0].T.astype(np.float32)
        self._stream = NoiseStream(seed, "linear")
        self._cliff_db = cliff_db

    def gallery(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(normalise_power(features @ self._rotation), np.float32)

    def receive(self, features: np.ndarray, snr_db: float, first: int) -> Received:
        symbols = self.gallery(features)
        noise = self._stream.blocks(first, len(symbols), symbols.shape[1])
        lost = np.full(len(symbols), snr_db < self._cliff_db)
        return Received(awgn(symbols, noise, snr_db) * ~lost[:, None], lost)


def cluster_people(
    people: int,
    cameras: int = 2,
    shots: int = 1,
    dim: int = 24,
    spread: float = 0.35,
    seed: int = 0,
) -> Enrolled:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((people, 1, dim))
    each = cameras * shots
    features = centres + spread * rng.standard_normal((people, each, dim))
    return Enrolled(
        features.reshape(-1, dim).astype(np.float32),
        [f"p{i:04d}" for i in range(people) for _ in range(each)],
        [f"c{k // shots}" for _ in range(people) for k in range(each)],
    )


@pytest.fixture
def make_people() -> Callable[..., Enrolled]:
    return cluster_people


@pytest.fixture
def make_code() -> Callable[..., LinearCode]:
    return LinearCode
