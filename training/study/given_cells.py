"""Cells of a network as it was given: how its features scatter, and codes that came with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import Bundle
from airreid.codecs.linear import unit_rows
from airreid.digital import arithmetic
from airreid.digital.scheme import DigitalScheme
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.evaluation.study.cells import Latents, StudyCurve, digits
from airreid.evaluation.study.table import GIVEN
from airreid.jscc import JsccScheme
from airreid.retrieval import NearestMatch, cosine
from airreid.scheme_info import DigitalInfo, JsccInfo
from airreid.scheme_kinds import open_scheme
from training.study.digital_cells import coded_curve, fits
from training.study.features import TrainingPeople
from training.study.measure import Noise, scheme_curve
from training.study.settings import StudySettings

Given = JsccInfo | DigitalInfo


def given_codes(bundle: Bundle) -> list[Given]:
    """Returns a bundle's JSCC and digital schemes, the first of each kind and B.

    Only those on its first backbone.
    """
    space = bundle.manifest.backbones[0].space_id
    codes: dict[tuple[str, int], Given] = {}
    for info in bundle.manifest.schemes:
        if isinstance(info, JsccInfo | DigitalInfo) and info.space_id == space:
            codes.setdefault((info.kind, info.bandwidth), info)
    return list(codes.values())


def given_outcome(
    bundle: Bundle, test: RetrievalFeatures, settings: StudySettings
) -> tuple[list[StudyCurve], list[Latents], dict[str, Any]]:
    """Measures every code that came with a network, through the same noise as the others.

    Digital schemes go over the polar link, if it has codes of their B; their messages and its facts
    come beside the curves.
    """
    noise = Noise(len(test.queries), settings.noise_seeds)
    curves: list[StudyCurve] = []
    latents: list[Latents] = []
    facts: dict[str, Any] = {}
    for info in given_codes(bundle):
        name, scheme = f"{GIVEN}-{info.kind}", open_scheme(bundle, info, threads=1)
        if isinstance(scheme, DigitalScheme):
            messages = digital_latents(scheme, test)
            if not fits((messages,), info.bandwidth):
                continue
            curve, facts[f"{name}-{info.bandwidth}"] = coded_curve(
                name, (messages,), info.bandwidth, settings.snrs_db, settings.noise_seeds
            )
            curves.append(curve)
            latents.append(messages)
        elif isinstance(scheme, JsccScheme):
            curves.append(scheme_curve(name, scheme, test, settings.snrs_db, noise))
    return curves, latents, facts


def digital_latents(scheme: DigitalScheme, test: RetrievalFeatures) -> Latents:
    """Makes the messages of the test's queries, and says who is found by them."""
    nearest = NearestMatch(test.query_labels, test.gallery_labels)
    prior = scheme.tables.prior
    messages = scheme.messages(test.queries[nearest.counted])
    decoded = np.stack([arithmetic.decode(sent.bits, prior) for sent in messages])
    queries = np.zeros((len(test.queries), decoded.shape[1]), np.float32)
    queries[nearest.counted] = decoded
    gallery = scheme.gallery(test.gallery)
    hits = nearest.hits(cosine(queries, gallery))
    return Latents(
        seed=0,
        bits=tuple(len(sent.bits) for sent in messages),
        hits=digits(hits.astype(np.int64)),
        held_out_bits=(),
        held_out_hits="",
        payload_sizes=tuple(code.payload_bits for code in scheme.tables.codes),
        messages=tuple(np.packbits(sent.bits).tobytes().hex() for sent in messages),
        crc_seed=prior.digest[:4].hex(),
        mean_ap=round(test.search(queries, gallery).mean_ap, 5),
    )


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
