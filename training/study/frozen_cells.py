"""Cells of study A: codes on features of a network that stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from airreid.bundle import Bundle
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.evaluation.study.anchors import IMAGE, QUANTISED, RAW
from airreid.evaluation.study.cells import Cell, StudyCurve, point_of
from airreid.evaluation.study.table import GIVEN, NOISELESS
from airreid.retrieval import NearestMatch, cosine
from airreid.signal import SNR_DB_MAX
from training.study.anchor_cells import fit_quantised, image_latents, raw_curve
from training.study.coded_cells import coded_cell
from training.study.compressed import CompressedQueries
from training.study.digital_cells import fit_digital
from training.study.features import TrainingPeople
from training.study.given_cells import given_codes, given_outcome, scatter_facts
from training.study.jscc_cells import Fitted, fit_closed_forms, fit_family
from training.study.run import CellSpec, Measure, Outcome
from training.study.settings import Family, StudySettings
from training.study.training import StudyContext


def cells_of(
    settings: StudySettings,
    images: CompressedQueries | None = None,
    bundle: Bundle | None = None,
) -> list[CellSpec]:
    """Returns the cells of study A, those that others wait for before them.

    ``images``: queries as image files, without which those cells are left out; ``bundle``: the
    network with the codes that came with it.
    """
    fields = {"snrs_db", "snr_range_db", "training_seeds", "noise_seeds"}
    shared = settings.model_dump(mode="json", include=fields)
    cells = [
        CellSpec(NOISELESS, {}, 10, _noiseless),
        CellSpec("scatter", {"of": "unit features"}, 10, _scatter),
    ]
    if bundle is not None and given_codes(bundle):
        given = {**shared, "bundle": bundle.bundle_id}
        cells.append(CellSpec(GIVEN, given, 1000, partial(_given, settings, bundle)))
    apart = [family for family in settings.families if not family.nested]
    for bandwidth in _nearest_first(settings.bandwidths):
        cells += [_family_cell(family, settings, shared, (bandwidth,)) for family in apart]
        of_bandwidth = {**shared, "bandwidth": bandwidth}
        fit = partial(_closed, settings, bandwidth)
        cells.append(CellSpec(f"closed-{bandwidth}", of_bandwidth, 1000, fit))
    every = tuple(sorted(settings.bandwidths))
    nested = [family for family in settings.families if family.nested]
    cells += [_family_cell(family, settings, shared, every) for family in nested]
    digital = []
    for dimensions in settings.digital.dimensions:
        for rate_lambda in settings.digital.rate_lambdas:
            of_grid = {"dimensions": dimensions, "rate_lambda": rate_lambda}
            of_grid |= {"epochs": settings.digital.epochs, "seeds": settings.training_seeds}
            digital.append(
                CellSpec(
                    f"digital-{dimensions}-{rate_lambda:g}",
                    of_grid,
                    8000,
                    partial(_digital, settings, dimensions, rate_lambda),
                )
            )
    cells += digital
    cells += _coded_cells("coded", digital, settings, shared)
    return cells + _anchors(settings, shared, images)


def _coded_cells(
    name: str, schemes: list[CellSpec], settings: StudySettings, shared: dict[str, Any]
) -> list[CellSpec]:
    """Returns the cells of messages over the polar link, one for each bandwidth."""
    return [
        CellSpec(
            f"{name}-{bandwidth}",
            {**shared, "bandwidth": bandwidth, "follows": [spec.settings for spec in schemes]},
            20_000,
            follow=partial(_coded, settings, bandwidth),
            follows=tuple(spec.name for spec in schemes),
        )
        for bandwidth in settings.bandwidths
    ]


def _anchors(
    settings: StudySettings, shared: dict[str, Any], images: CompressedQueries | None
) -> list[CellSpec]:
    """Returns the cells of quantised and whole features, and of images."""
    quantised = [
        CellSpec(
            f"{QUANTISED}{bits}",
            {"quantised_bits": bits, "seeds": settings.training_seeds},
            500,
            partial(_quantised, settings, bits),
        )
        for bits in settings.quantised_bits
    ]
    cells = quantised + _coded_cells(f"coded-{QUANTISED[:-1]}", quantised, settings, shared)
    for bandwidth in settings.long_bandwidths:
        of_bandwidth = {"bandwidth": bandwidth, "snrs_db": list(settings.snrs_db)}
        of_bandwidth["noise_seeds"] = settings.long_noise_seeds
        fit = partial(_raw, settings, bandwidth)
        cells.append(CellSpec(f"{RAW}-{bandwidth}", of_bandwidth, 20_000, fit))
    if images is not None:
        for kind in images.formats:
            of_format = {"format": kind, "images": images.about}
            fit = partial(_image, images, kind)
            cells.append(CellSpec(f"{IMAGE}{kind}", of_format, 10, fit))
    return cells


def _family_cell(
    family: Family, settings: StudySettings, shared: dict[str, Any], bandwidths: tuple[int, ...]
) -> CellSpec:
    steps = sum(stage.epochs or 0 for stage in family.stages) * 450
    steps += sum(stage.iterations or 0 for stage in family.stages) * 10
    snrs_train = settings.snrs_train(family, bandwidths[-1])
    every = (1 + len(settings.snrs_db)) / len(snrs_train)
    of_family = {"family": family.model_dump(mode="json"), "bandwidths": list(bandwidths)}
    if every > 1:
        of_family["snrs_train"] = snrs_train
    return CellSpec(
        family.name if family.nested else f"{family.name}-{bandwidths[0]}",
        {**shared, **of_family},
        steps * (1 + bandwidths[-1] / 256) / every,
        partial(_family, family, settings, bandwidths),
    )


def _nearest_first(bandwidths: Sequence[int]) -> list[int]:
    """Orders bandwidths so that those of the paper's Figures 4a and 4b come first."""
    return sorted(bandwidths, key=lambda bandwidth: (bandwidth != 256, bandwidth != 64, bandwidth))


def _measured(fitted: Fitted) -> Measure:
    return lambda test: Outcome(curves=fitted.curves(test), chosen=fitted.chosen)


def _family(
    family: Family,
    settings: StudySettings,
    bandwidths: tuple[int, ...],
    people: TrainingPeople,
    on: StudyContext,
) -> Measure:
    if family.nested:  # a linear code has no more directions than the feature
        bandwidths = tuple(b for b in bandwidths if b <= people.features.shape[1])
    return _measured(fit_family(family, people, settings, bandwidths, on))


def _closed(
    settings: StudySettings, bandwidth: int, people: TrainingPeople, on: StudyContext
) -> Measure:
    return _measured(fit_closed_forms(people, settings, bandwidth))


def _digital(
    settings: StudySettings,
    dimensions: int,
    rate_lambda: float,
    people: TrainingPeople,
    on: StudyContext,
) -> Measure:
    trained = fit_digital(people, settings, dimensions, rate_lambda, on)
    return lambda test: Outcome(latents=[scheme.measured(test) for scheme in trained])


def _quantised(
    settings: StudySettings, bits: int, people: TrainingPeople, on: StudyContext
) -> Measure:
    fitted = fit_quantised(people, bits, settings)
    return lambda test: Outcome(latents=[quantised.measured(test) for quantised in fitted])


def _raw(
    settings: StudySettings, bandwidth: int, people: TrainingPeople, on: StudyContext
) -> Measure:
    def measure(test: RetrievalFeatures) -> Outcome:
        curves, facts = raw_curve(test, bandwidth, settings)
        return Outcome(curves=curves, facts=facts)

    return measure


def _image(
    images: CompressedQueries, kind: str, people: TrainingPeople, on: StudyContext
) -> Measure:
    return lambda test: Outcome(latents=[image_latents(test, images, kind)])


def _scatter(people: TrainingPeople, on: StudyContext) -> Measure:
    return lambda test: Outcome(facts=scatter_facts(people, test))


def _given(
    settings: StudySettings, bundle: Bundle, people: TrainingPeople, on: StudyContext
) -> Measure:
    def measure(test: RetrievalFeatures) -> Outcome:
        curves, latents, facts = given_outcome(bundle, test, settings)
        return Outcome(curves, latents, facts=facts)

    return measure


def _noiseless(people: TrainingPeople, on: StudyContext) -> Measure:
    def measure(test: RetrievalFeatures) -> Outcome:
        nearest = NearestMatch(test.query_labels, test.gallery_labels)
        hits = nearest.hits(cosine(test.queries, test.gallery))
        retrieval = test.search(test.queries, test.gallery)
        point = point_of(SNR_DB_MAX, hits[None, None], map=round(retrieval.mean_ap, 5))
        width = test.queries.shape[1]
        curve = StudyCurve(scheme=NOISELESS, bandwidth=width, points=(point,))
        counted = test.query_labels.identity[nearest.counted]
        return Outcome([curve], facts={"people": counted.tolist()})

    return measure


def _coded(settings: StudySettings, bandwidth: int, digital: dict[str, Cell]) -> Outcome:
    curves, facts = coded_cell(digital, bandwidth, settings)
    return Outcome(curves=curves, facts=facts)
