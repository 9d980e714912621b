"""Preprocessing that a network was trained with, found by trying on people or tracks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from airreid.adopt.preprocessing import PRESETS, Preprocessing, plausible
from airreid.errors import InputError
from airreid.evaluation.exact_retrieval import retrieve
from airreid.retrieval import Labels, cosine

Array = NDArray[np.float32]
Crops = NDArray[np.uint8]
Extract = Callable[[Array], Array]
"""float32 (N, H, W, 3), preprocessed -> features (N, D)."""

FIRST_PEOPLE, FIRST_IMAGES = 60, 1
"""People, and images of each by each of two cameras, that every candidate is tried on."""
THEN_PEOPLE, THEN_IMAGES = 120, 2
"""The same for the candidates that are left."""
LEAST_PEOPLE = 10
"""People seen by two cameras, or twice by one, below which nothing is decided."""
_BATCH = 16
"""Crops that pass at once: their number does not grow what a large network needs."""
_GREY = 4.0
"""Mean spread between a pixel's colours below which crops are grey: 0 ... 255."""
_ALIKE = 0.9
"""Mean cosine of centred features above which two preprocessings serve a network alike."""
_GAP = 0.05
"""Difference of mean reciprocal rank within which alike preprocessings are equally good."""
_SURE = 1.645
"""Standard errors by which the best must lead: one-sided 95 %."""


@dataclass(frozen=True)
class Trial:
    """One candidate on the sample."""

    name: str
    top1: float
    reciprocal_rank: NDArray[np.float64]
    """(Q,): 1 / rank of the first right image of each query; NaN where there is none."""

    @property
    def mean(self) -> float:
        """Mean reciprocal rank: what candidates are compared by."""
        return float(np.nanmean(self.reciprocal_rank))

    def lead(self, other: Trial, people: NDArray[np.int64]) -> tuple[float, float]:
        """Difference of the means to another candidate, and its standard error over people."""
        difference = self.reciprocal_rank - other.reciprocal_rank
        valid = ~np.isnan(difference)
        _, number = np.unique(people[valid], return_inverse=True)
        sums = np.bincount(number, difference[valid])
        total = int(valid.sum())
        centred = sums - np.bincount(number) * difference[valid].mean()
        error = float(np.sqrt(np.square(centred).sum())) / total
        return float(difference[valid].mean()), error


@dataclass(frozen=True)
class Found:
    """The best preprocessing, and how sure that is."""

    name: str
    preprocessing: Preprocessing
    trials: tuple[Trial, ...]
    """Every candidate, the best first; those that were left on the larger sample."""
    alike: tuple[str, ...]
    """Candidates that give nearly the same features and are equally good."""
    people: int
    one_camera: bool = False
    """Whether each was searched for among images of the same camera: tracks, say."""
    grey: bool = False
    """Whether the crops have no colours, so that their order cannot be told."""

    @property
    def words(self) -> str:
        """One sentence with the margin."""
        best = self.trials[0]
        rest = [trial for trial in self.trials[1:] if trial.name not in self.alike]
        text = f"preprocessing {self.name}: top-1 {best.top1:.3f} on {self.people} people"
        if self.one_camera:
            text += " or tracks, each within one camera"
        if rest:
            text += f", next {rest[0].name} {rest[0].top1:.3f}"
        alike = [name for name in self.alike if not (self.grey and name.endswith("-bgr"))]
        if alike:
            text += f"; nearly the same to this network: {', '.join(alike)}"
        if self.grey:
            text += "; these crops are grey, so RGB or BGR is not told: give --preset if you know"
        return text


def sample_positions(labels: Labels, people: int, images: int, seed: int = 0) -> NDArray[np.int64]:
    """Positions of ``images`` images of each of ``people`` people by each of two cameras.

    Returns fewer where there are fewer, none where nobody was seen by two cameras.
    """
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 0x9AE9])))
    chosen: list[int] = []
    count = 0
    for person in random.permutation(np.unique(labels.identity)).tolist():
        rows = np.flatnonzero(labels.identity == person)
        cameras = random.permutation(np.unique(labels.camera[rows]))[:2]
        if len(cameras) < 2:
            continue
        for camera in cameras.tolist():
            by_camera = rows[labels.camera[rows] == camera]
            chosen += random.permutation(by_camera)[:images].tolist()
        count += 1
        if count == people:
            break
    return np.sort(np.asarray(chosen, np.int64))


def _halves(labels: Labels) -> Labels:
    """Labels by which the first half of each person's images is searched for in the second.

    The order is that of a track, so the halves are as far apart in time as it allows.
    """
    half = np.zeros(len(labels.identity), np.int64)
    for person in np.unique(labels.identity):
        rows = np.flatnonzero(labels.identity == person)
        half[rows[len(rows) // 2 :]] = 1
    return Labels(labels.identity, half)


def find_preprocessing(
    extract: Extract,
    load: Callable[[NDArray[np.int64]], Crops],
    labels: Labels,
    dtype: str,
    tick: Callable[[], object] = lambda: None,
) -> Found:
    """Tries what the network may have been trained with, and returns the best.

    ``load`` gives the crops at some positions of the image set, ``labels`` who they show. Every
    candidate is tried on a small sample, those near the best on a larger one. ``tick`` is called
    for each candidate tried. Where too few people were seen by two cameras, half of each one's
    images is searched for in the other half: tracks of one camera are enough. Raises
    :class:`InputError` where these, too, are few, and where two candidates differ but the sample
    cannot tell which is right.
    """
    first = sample_positions(labels, FIRST_PEOPLE, FIRST_IMAGES)
    one_camera = len(np.unique(labels.identity[first])) < LEAST_PEOPLE
    if one_camera:
        labels = _halves(labels)
        first = sample_positions(labels, FIRST_PEOPLE, FIRST_IMAGES)
    if len(np.unique(labels.identity[first])) < LEAST_PEOPLE:
        raise InputError(
            f"fewer than {LEAST_PEOPLE} people or tracks with two images, too few to find the "
            f"preprocessing; say it with --preset ({', '.join(PRESETS)}) or --mean and --std"
        )
    candidates = dict(plausible(dtype))
    trials, _ = _try(extract, load(first), labels.take(first), candidates, tick)
    people = labels.identity[first]
    leader = trials[0]
    near = {}
    for trial in trials:
        difference, error = leader.lead(trial, people)
        if difference <= max(3 * error, _GAP):
            near[trial.name] = candidates[trial.name]
    then = sample_positions(labels, THEN_PEOPLE, THEN_IMAGES)
    crops = load(then)
    again, features = _try(extract, crops, labels.take(then), near)
    far = tuple(trial for trial in trials if trial.name not in near)
    best = _decide(again, far, features, labels.take(then).identity, candidates)
    return replace(best, one_camera=one_camera, grey=_grey(crops))


def _grey(crops: Crops) -> bool:
    spreads = [np.ptp(crop.reshape(-1, 3), axis=1).mean() for crop in crops]
    return float(np.mean(spreads)) < _GREY


def _try(
    extract: Extract,
    crops: Crops,
    labels: Labels,
    candidates: Mapping[str, Preprocessing],
    tick: Callable[[], object] = lambda: None,
) -> tuple[list[Trial], dict[str, Array]]:
    """Trials, the best first, and each candidate's features."""
    trials, features = [], {}
    for name, preprocessing in candidates.items():
        parts = (crops[start : start + _BATCH] for start in range(0, len(crops), _BATCH))
        features[name] = np.concatenate([extract(preprocessing.apply(part)) for part in parts])
        tick()
        if not np.isfinite(features[name]).all():
            continue
        result = retrieve(features[name], labels, features[name], labels)
        trials.append(Trial(name, result.top1, 1.0 / (1.0 + result.first_hit)))
    if not trials:
        raise InputError("the network gives NaN or infinity with every preprocessing")
    return sorted(trials, key=lambda trial: -trial.mean), features


def _decide(
    trials: list[Trial],
    far: tuple[Trial, ...],
    features: Mapping[str, Array],
    people: NDArray[np.int64],
    candidates: Mapping[str, Preprocessing],
) -> Found:
    best = trials[0]
    alike = [
        trial
        for trial in trials[1:]
        if best.mean - trial.mean <= _GAP and _alike(features[best.name], features[trial.name])
    ]
    # Of presets that serve this network alike, the usual one: the first of the list.
    group = [best, *alike]
    order = list(candidates)
    usual = min(group, key=lambda trial: order.index(trial.name))
    for trial in trials[1:]:
        difference, error = best.lead(trial, people)
        if trial not in group and difference <= _SURE * error:
            raise InputError(
                f"the preprocessing is not clear: {best.name} finds {best.top1:.3f} and "
                f"{trial.name} {trial.top1:.3f} of {len(people)} images of "
                f"{len(np.unique(people))} people; say which with --preset, or give more people"
            )
    others = [trial for trial in trials if trial is not usual]
    return Found(
        usual.name,
        candidates[usual.name],
        (usual, *others, *far),
        tuple(trial.name for trial in group if trial is not usual),
        len(np.unique(people)),
    )


def _alike(ours: Array, theirs: Array) -> bool:
    centred = [features - features.mean(axis=0) for features in (ours, theirs)]
    return float(np.diag(cosine(*centred)).mean()) >= _ALIKE
