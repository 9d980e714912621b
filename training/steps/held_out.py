"""Held-out people on whom the best epoch of a head is chosen, and the test itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from airreid.datasets.held_out import hold_out
from airreid.errors import InputError
from training.engine.fit import Validation
from training.engine.retrieval import rank1
from training.models.channel import Channel
from training.models.scheme_network import SchemeNetwork

HELD_OUT = 6
"""One identity in so many is held out, and one camera with it where there are as many."""
TESTED_SNRS = 4
"""SNRs of the training range at which the best epoch is chosen."""


class LabelledFeatures(NamedTuple):
    """Features (N, D), or images, with the identities and cameras (N,), on one device."""

    features: Tensor
    labels: Tensor
    cameras: Tensor

    def to(self, device: torch.device) -> LabelledFeatures:
        """Returns the same rows on a device."""
        return LabelledFeatures(*(values.to(device) for values in self))


def split(
    labels: NDArray[np.int64], cameras: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Returns masks (N,) of what to train on and what to choose the best epoch on.

    They share no identity, and no camera where what is left without them is enough: the
    held-out people need pictures by two held-out cameras. Raises :class:`InputError`
    for too few identities.
    """
    people, places = _one_in_six(labels, seed, 2), _one_in_six(cameras, seed, 1)
    both = people & places
    if all(len(set(cameras[both & (labels == who)])) >= 2 for who in set(labels[people])):
        training, held_out = ~people & ~places, both
    else:
        training, held_out = ~people, people
    counts = np.bincount(labels[held_out])
    few = min(len(set(labels[mask].tolist())) for mask in (training, held_out)) < 2
    if few or counts.max(initial=0) < 2:  # among pictures of one person everybody is right
        raise InputError(
            "too few people or pictures to train a codec on: it needs four identities or "
            "more, with two pictures each"
        )
    return training, held_out


def _one_in_six(numbers: NDArray[np.int64], seed: int, fewest: int) -> NDArray[np.bool_]:
    distinct: set[int] = set(numbers.tolist())
    count = max(fewest, -(-len(distinct) // HELD_OUT))
    return np.isin(numbers, list(hold_out(distinct, count, seed)))


@torch.no_grad()
def validate(
    network: SchemeNetwork,
    model: str,
    snr_db: tuple[float, float],
    people: LabelledFeatures,
    seed: int,
) -> Validation:
    """Tests a scheme on held-out people, averaged over SNRs of a range, with fixed noise.

    A digital scheme, which no channel changes, is tested once.
    """
    draws = torch.Generator().manual_seed(seed)
    rates: list[float] = []
    for tested in torch.linspace(*snr_db, TESTED_SNRS).tolist():
        sent = network.transmit(people.features, Channel(model, tested), draws)
        rates.append(rank1(sent.queries, sent.gallery, people.labels, people.cameras))
        if sent.bits is not None:
            break
    return Validation(sum(rates) / len(rates), metrics=sent.metrics)
