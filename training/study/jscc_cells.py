"""Cells of JSCC codecs: a family at a bandwidth, closed forms, and the nested code."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from airreid.codecs.linear import LinearCode
from airreid.codecs.selection import Wanted, hold_out, select
from airreid.codecs.statistics import moments
from airreid.errors import InputError
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.evaluation.study.cells import StudyCurve
from training.models.stack import CodecStack
from training.study.features import TrainingPeople
from training.study.measure import Noise, linear_curve, stack_curves
from training.study.settings import Family, Stage, StudySettings
from training.study.training import Copy, Inputs, StudyContext, new_stack, train_stage

HELD_OUT = 10
"""One identity in so many is held out to choose settings by."""
_HELD_OUT_NOISE = 2


MeasureCurves = Callable[[RetrievalFeatures], list[StudyCurve]]


@dataclass
class Fitted:
    """Codes that are fitted, to be measured on people whom fitting has not seen."""

    measure: list[MeasureCurves] = field(default_factory=list)
    chosen: dict[str, Any] = field(default_factory=dict)

    def curves(self, test: RetrievalFeatures) -> list[StudyCurve]:
        """Measures everything on the test."""
        return [curve for measure in self.measure for curve in measure(test)]


def held_out_people(people: TrainingPeople) -> tuple[TrainingPeople, RetrievalFeatures]:
    """Splits people into those to train on and a search for the others, to choose settings by.

    Raises :class:`InputError` where too few were seen by two cameras.
    """
    split = hold_out(people.labels, one_in=HELD_OUT)
    if split is None:
        raise InputError("too few people seen by two cameras to hold ten out and choose by")
    gallery, queries = people.take(split.gallery), people.take(split.query)
    search = RetrievalFeatures(gallery.features, gallery.labels, queries.features, queries.labels)
    return people.take(split.fit), search


def closed_form(people: TrainingPeople, bandwidth: int) -> tuple[LinearCode, str]:
    """Returns the code in closed form that held-out people choose, and how it came about."""
    rank = len(moments(people.features).variances)
    wish = Wanted(min(bandwidth, rank))
    choices, _ = select(people.features, people.labels, [wish])
    return repeated(choices[wish].code, bandwidth), choices[wish].words


def pca_code(people: TrainingPeople, bandwidth: int) -> LinearCode:
    """Returns the principal components of unit features."""
    second = moments(people.features)
    return repeated(second.pca(min(bandwidth, len(second.variances))), bandwidth)


def repeated(code: LinearCode, bandwidth: int) -> LinearCode:
    """Fills more uses than a code has columns by sending them again, from the first one on."""
    columns = np.arange(bandwidth) % code.bandwidth
    return LinearCode(code.mean, np.ascontiguousarray(code.matrix[:, columns]))


def fit_closed_forms(people: TrainingPeople, settings: StudySettings, bandwidth: int) -> Fitted:
    """PCA, and the discriminant or mixture that held-out people choose."""
    fitted = Fitted()
    chosen, words = closed_form(people, bandwidth)
    fitted.chosen["discriminant"] = words

    def measure(test: RetrievalFeatures) -> list[StudyCurve]:
        noise = Noise(len(test.queries), settings.noise_seeds)
        codes = {"pca": pca_code(people, bandwidth), "discriminant": chosen}
        return [
            linear_curve(name, [code], test, settings.snrs_db, noise)
            for name, code in codes.items()
        ]

    fitted.measure.append(measure)
    return fitted


def fit_family(
    family: Family,
    people: TrainingPeople,
    settings: StudySettings,
    bandwidths: tuple[int, ...],
    context: StudyContext,
) -> Fitted:
    """Trains a family's codecs: every training SNR with every seed, side by side.

    ``bandwidths``: one, or all of a nested code, rising. Where a stage names several temperatures
    or learning rates, held-out people choose one pair for all, by codecs that were trained
    without them; the codecs that are measured are trained on everybody.
    """
    fitted = Fitted()
    group = _Group(family, settings, bandwidths, context)
    copies = [
        Copy(seed, snr_db) for seed in range(settings.training_seeds) for snr_db in group.snrs_train
    ]
    stack, inputs = group.new(people, copies)
    for stage in family.stages:
        chosen, rates = group.choose(stage, people)
        if rates:
            fitted.chosen |= {"chosen": f"{chosen[0]:g}, {chosen[1]:g}", "held_out": rates}
        stage, copies = _with(stage, copies, chosen)
        group.train(stage.measured_as, stage, stack, copies, people, inputs)
        fitted.measure.append(group.measure(stage.measured_as, stack, copies, inputs))
    return fitted


Pair = tuple[float, float]
"""Temperature and learning rate."""


def _with(stage: Stage, copies: list[Copy], pair: Pair) -> tuple[Stage, list[Copy]]:
    learning = stage.learning.model_copy(update={"lr": pair[1]})
    return (
        stage.model_copy(update={"learning": learning}),
        [Copy(each.seed, each.snr_db, pair[0]) for each in copies],
    )


@dataclass(frozen=True)
class _Group:
    """Codecs of a family and bandwidth, for whoever they are trained on."""

    family: Family
    settings: StudySettings
    bandwidths: tuple[int, ...]
    context: StudyContext

    @property
    def snrs_train(self) -> tuple[tuple[float, float], ...]:
        """Bounds of every training SNR."""
        return self.settings.snrs_train(self.family, self.bandwidths[-1])

    @property
    def _prefixes(self) -> tuple[int, ...]:
        return self.bandwidths if self.family.nested else ()

    def new(self, people: TrainingPeople, copies: list[Copy]) -> tuple[CodecStack, Inputs]:
        """Makes the codecs before training, and the map from features to their inputs."""
        inputs = Inputs.fitted(people.features, self.family.inputs)
        largest = self.bandwidths[-1]
        start = None
        if self.family.start == "closed-form":
            start, _ = closed_form(people, largest)
        features = people.features.shape[1]
        return new_stack(self.family, features, largest, copies, inputs, start), inputs

    def train(
        self,
        name: str,
        stage: Stage,
        stack: CodecStack,
        copies: list[Copy],
        people: TrainingPeople,
        inputs: Inputs,
    ) -> None:
        train_stage(name, stage, stack, copies, people, inputs, self.context, self._prefixes)

    def choose(self, stage: Stage, people: TrainingPeople) -> tuple[Pair, dict[str, float]]:
        """Returns the pair of best top-1 of held-out people, a mean over training SNRs."""
        temperatures = stage.temperatures or (1.0,)
        rates = stage.rates or (stage.learning.lr,)
        if len(temperatures) * len(rates) == 1:
            return (temperatures[0], rates[0]), {}
        part, search = held_out_people(people)
        top1: dict[Pair, float] = {}
        for rate in rates:
            copies = [
                Copy(0, snr_db, temperature)
                for temperature in temperatures
                for snr_db in self.snrs_train
            ]
            stack, inputs = self.new(part, copies)
            trial, _ = _with(stage, copies, (1.0, rate))
            name = f"{stage.measured_as}-choice-{rate:g}"
            self.train(name, trial, stack, copies, part, inputs)
            for temperature in temperatures:
                places = {
                    each.snr_db: [place]
                    for place, each in enumerate(copies)
                    if each.temperature == temperature
                }
                noise = Noise(len(search.queries), _HELD_OUT_NOISE)
                curves = self._curves("choice", stack, places, inputs, search, noise)
                top1[temperature, rate] = float(np.mean([_matched(curve) for curve in curves]))
        best = max(top1, key=lambda pair: top1[pair])
        return best, {f"{pair[0]:g}, {pair[1]:g}": round(rate, 5) for pair, rate in top1.items()}

    def measure(
        self, name: str, stack: CodecStack, copies: list[Copy], inputs: Inputs
    ) -> MeasureCurves:
        """Returns what measures the codecs as they are now, whatever is trained after."""
        places = {
            snr_db: [place for place, each in enumerate(copies) if each.snr_db == snr_db]
            for snr_db in self.snrs_train
        }
        stack = copy.deepcopy(stack)

        def measured(test: RetrievalFeatures) -> list[StudyCurve]:
            noise = Noise(len(test.queries), self.settings.noise_seeds)
            return self._curves(name, stack, places, inputs, test, noise)

        return measured

    def _curves(
        self,
        name: str,
        stack: CodecStack,
        places: dict[tuple[float, float], list[int]],
        inputs: Inputs,
        test: RetrievalFeatures,
        noise: Noise,
    ) -> list[StudyCurve]:
        stacks = [stack.prefix(bandwidth) for bandwidth in self._prefixes] or [stack]
        device, snrs_db = self.context.device, self.settings.snrs_db
        return [
            curve
            for part in stacks
            for curve in stack_curves(name, part, places, inputs, test, snrs_db, noise, device)
        ]


def _matched(curve: StudyCurve) -> float:
    """Mean top-1 at the SNRs that a curve was trained at."""
    low, high = curve.snr_db_train or (-np.inf, np.inf)
    return float(np.mean([p.top1 for p in curve.points if low <= p.snr_db <= high]))
