"""Cells of a network as it was given: how its features scatter, and codes that came with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import Bundle
from airreid.codecs.linear import unit_rows
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.evaluation.study.cells import StudyCurve
from airreid.evaluation.study.table import GIVEN
from airreid.jscc import JsccScheme
from airreid.scheme_info import JsccInfo
from airreid.scheme_kinds import open_scheme
from training.study.features import TrainingPeople
from training.study.measure import Noise, scheme_curve
from training.study.settings import StudySettings


def given_codes(bundle: Bundle) -> list[JsccInfo]:
    """Returns the JSCC schemes of a bundle, on its first backbone."""
    space = bundle.manifest.backbones[0].space_id
    return [
        info
        for info in bundle.manifest.schemes
        if isinstance(info, JsccInfo) and info.space_id == space
    ]


def given_curves(
    bundle: Bundle, test: RetrievalFeatures, settings: StudySettings
) -> list[StudyCurve]:
    """Measures every code that came with a network, through the same noise as the others."""
    noise = Noise(len(test.queries), settings.noise_seeds)
    curves = []
    for info in given_codes(bundle):
        scheme = open_scheme(bundle, info, threads=1)
        assert isinstance(scheme, JsccScheme)
        curves.append(scheme_curve(f"{GIVEN}-{info.kind}", scheme, test, settings.snrs_db, noise))
    return curves


def scatter_facts(people: TrainingPeople, test: RetrievalFeatures) -> dict[str, Any]:
    """Says how much of the features' variance lies within a person, in training and test.

    Features that were trained to tell the training people apart are said to collapse where hardly
    anything is left within a person: Papyan, Han and Donoho, *Prevalence of neural collapse during
    the terminal phase of deep learning training*, PNAS 117 (2020).
    """
    both = np.concatenate([test.queries, test.gallery])
    shown = np.concatenate([test.query_labels.identity, test.gallery_labels.identity])
    return {
        "within_training": within_share(people.features, people.labels.identity),
        "within_test": within_share(both, shown),
    }


def within_share(features: NDArray[np.float32], identity: NDArray[np.int64]) -> float:
    """Returns the variance within a person over that of everybody, of unit features (N, D).

    Both are estimated without bias: their degrees of freedom are N less the people, and N less 1.
    """
    rows = unit_rows(features.astype(np.float64))
    _, person = np.unique(identity, return_inverse=True)
    counts = np.bincount(person)
    sums = np.zeros((len(counts), rows.shape[1]))
    np.add.at(sums, person, rows)
    within = np.square(rows - (sums / counts[:, None])[person]).sum() / (len(rows) - len(counts))
    whole = np.square(rows - rows.mean(axis=0)).sum() / (len(rows) - 1)
    return round(float(within / whole), 5)
