"""Stopping rules of nested schemes fitted on the people of a gallery, and how reliable they are.

The rule in a bundle knows the people that its scheme was made from. A gallery has other people, and
more or fewer of them; who was enrolled by two cameras shows how soon the best identity is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from accesspoint.matching.trials import Enrolled
from airreid.nested.calibration import Trial, fit_rule
from airreid.nested.stopping import ACCEPTED_LOSS, StoppingRule
from airreid.retrieval import Labels
from airreid.scheme import Scheme
from airreid.scheme_info import NestedInfo
from airreid.validation import FiniteModel

LEAST_PEOPLE = 50
"""People by two cameras from whom on a rule is fitted; with fewer the bundle's stays in force."""
_QUERIES = 1000
_ENTRIES = 4000


class SavingReport(FiniteModel):
    """Channel uses and top-1 at one SNR, on the people that a rule was fitted on."""

    snr_db: float
    uses: float
    """Mean uses at the usual accepted loss."""
    top1: float
    whole_top1: float
    """Top-1 when every piece is heard."""


class StoppingReport(FiniteModel):
    """Reliability of a fitted rule: blocks after each piece, by the probability it states."""

    people: int
    """People whom two cameras have seen."""
    queries: int
    stated: tuple[float, ...]
    """Mean probability that the best identity is right, in ten bins."""
    observed: tuple[float, ...]
    """Share of the blocks of a bin whose best identity is right."""
    blocks: tuple[int, ...]
    bin_people: tuple[int, ...] = ()
    """People whose blocks those of a bin are."""
    error: float
    """Mean difference between stated and observed, weighted by blocks."""
    accepted_loss: float = ACCEPTED_LOSS
    """Loss in top-1 that the savings are of."""
    bandwidth: int = 0
    """Channel uses of a whole block."""
    savings: tuple[SavingReport, ...] = ()


def fit_stopping(
    enrolled: Enrolled, scheme: Scheme, seed: int
) -> tuple[StoppingRule, StoppingReport] | None:
    """Fits the rule of a nested scheme on enrolled people; None for others and for too few people.

    Entries of one camera search for those of the others, through noise, piece by piece: up to
    1,000 of them among up to 4,000, drawn by the seed.
    """
    info = scheme.info
    if not isinstance(info, NestedInfo):
        return None
    labels = Labels(_numbers(enrolled.subjects), _numbers(enrolled.cameras))
    people = _seen_twice(labels)
    if len(people) < LEAST_PEOPLE:
        return None
    draws = np.random.default_rng(seed)
    known = draws.permutation(np.flatnonzero(np.isin(labels.identity, people)))
    others = draws.permutation(np.flatnonzero(~np.isin(labels.identity, people)))
    stored = np.sort(np.concatenate([known, others])[:_ENTRIES])
    queries = np.sort(known[:_ENTRIES][:_QUERIES])
    trial = Trial(
        scheme.gallery(np.asarray(enrolled.features[queries])),
        scheme.gallery(np.asarray(enrolled.features[stored])),
        labels.take(queries),
        labels.take(stored),
    )
    if not trial.counted.any():
        return None
    rule, reliability = fit_rule([trial], info.piece)
    return rule, StoppingReport(
        people=len(people),
        queries=int(trial.counted.sum()),
        stated=reliability.stated,
        observed=reliability.observed,
        blocks=reliability.blocks,
        bin_people=reliability.people,
        error=round(reliability.error, 4),
        bandwidth=info.bandwidth,
        savings=tuple(SavingReport(**asdict(saving)) for saving in reliability.savings),
    )


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int64)


def _seen_twice(labels: Labels) -> NDArray[np.int64]:
    """Identities that more than one camera has seen."""
    pairs = np.unique(np.stack([labels.identity, labels.camera], axis=1), axis=0)
    identities, views = np.unique(pairs[:, 0], return_counts=True)
    return identities[views > 1]
