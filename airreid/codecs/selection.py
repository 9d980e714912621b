"""The choice between PCA, the discriminant and mixtures, on people who were not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from airreid.codecs.comparison import AWGN, Comparison, Radio
from airreid.codecs.decoding import LinearDecoder, fit_decoder, isometric_decoder
from airreid.codecs.discriminant import REGULARISATIONS, Scatter, scatter
from airreid.codecs.linear import LinearCode
from airreid.codecs.statistics import Moments, moments
from airreid.errors import InputError
from airreid.retrieval import Labels

Array = NDArray[np.float32]
Method = Literal["pca", "discriminant", "blend", "trained"]
PCA_SHARES = (0.1, 0.25, 0.5, 0.75)
"""Shares of PCA in a mixture."""
_HELD_OUT = 5
"""One identity in so many is held out, and one camera in so many where there are enough."""
_MANY_CAMERAS = 5
_FEWEST = 10
"""Held-out people below which a comparison says nothing."""


@dataclass(frozen=True)
class HeldOut:
    """A split of labelled images: people to fit on, and people to compare codes on."""

    fit: NDArray[np.bool_]
    """(N,): images to fit on."""
    query: NDArray[np.bool_]
    """(N,): queries of people who are not fitted on."""
    gallery: NDArray[np.bool_]
    """(N,): the images among which they are searched; those of the query's camera do not count."""
    people: int
    """Identities that are held out."""
    cameras: int
    """Cameras that are held out as well; 0 where there are too few."""


@dataclass(frozen=True)
class Wanted:
    """Bandwidth and kind that a code is chosen for."""

    bandwidth: int
    decoded: bool = False
    """Whether received symbols are decoded back to the feature and compared there. The decoder
    is isometric, or that of least error where held-out people are found better with it."""


@dataclass(frozen=True)
class TrainedCode:
    """A code that was trained on the features, a candidate as it is at every bandwidth."""

    compared: LinearCode
    """Trained without the people who are held out."""
    shipped: LinearCode
    """The one that is taken if it wins; it may have seen everybody."""


@dataclass(frozen=True)
class Choice:
    """The code of one bandwidth, and how it was chosen."""

    code: LinearCode
    """Fitted on every image."""
    decoder: LinearDecoder | None
    """Back to the feature, likewise; None where received symbols are compared as they are."""
    method: Method
    regularisation: float | None = None
    pca_share: float | None = None
    least_squares: bool = False
    """Whether the decoder is that of least error, not the isometric one."""
    held_out: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Top-1 of each method's best candidate at the radio's SNRs; empty without held-out people."""

    @property
    def words(self) -> str:
        """The choice in a few words: ``discriminant, r = 0.3``."""
        if self.method == "pca":
            name = "PCA"
        elif self.method == "trained":
            name = "trained through noise"
        else:
            name = f"discriminant, r = {self.regularisation:g}"
            if self.method == "blend":
                name = f"{name}, {self.pca_share:.0%} PCA"
        return f"{name}, least-squares decoder" if self.least_squares else name


def hold_out(labels: Labels, seed: int = 0, one_in: int = _HELD_OUT) -> HeldOut | None:
    """Splits labelled images by identity, and by camera too where there are five or more.

    One identity in ``one_in`` is held out, ten at least where there are fifty. No camera is held
    out by which most of the others are seen by two cameras. Returns None where
    fewer than ten people seen by two cameras could be held out, or too few would be left to fit
    on.
    """
    people = np.unique(labels.identity)
    cameras = np.unique(labels.camera)
    pairs = np.unique(np.stack([labels.identity, labels.camera]), axis=1)
    seen_by = dict(zip(*np.unique(pairs[0], return_counts=True), strict=True))
    across = [person for person in people.tolist() if seen_by[person] > 1]
    count = len(people) // one_in
    if len(people) >= _FEWEST * _HELD_OUT:
        count = max(count, _FEWEST)
    if min(count, len(across)) < _FEWEST or len(people) - count < _FEWEST:
        return None
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 0xAD09])))
    held_people = np.isin(labels.identity, random.permutation(across)[:count])
    if len(cameras) >= _MANY_CAMERAS:
        held_out = random.permutation(cameras)[: max(1, len(cameras) // one_in)]
        held_camera = np.isin(labels.camera, held_out)
        split = HeldOut(
            ~held_people & ~held_camera,
            held_people & held_camera,
            held_people,
            count,
            len(held_out),
        )
        enough = np.unique(labels.identity[split.query]).size >= _FEWEST
        before = int((_views(labels, ~held_people) > 1).sum())
        if enough and 2 * int((_views(labels, split.fit) > 1).sum()) >= before:
            return split
    return HeldOut(~held_people, held_people, held_people, count, 0)


def _views(labels: Labels, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Counts the cameras of each person on some rows (N,): (people,)."""
    pairs = np.unique(np.stack([labels.identity[rows], labels.camera[rows]]), axis=1)
    return np.asarray(np.unique(pairs[0], return_counts=True)[1], np.int64)


def select(
    features: Array,
    labels: Labels | None,
    wanted: Sequence[Wanted],
    seed: int = 0,
    tick: Callable[[], object] = lambda: None,
    split: HeldOut | None = None,
    trained: TrainedCode | None = None,
    radio: Radio = AWGN,
) -> tuple[dict[Wanted, Choice], HeldOut | None]:
    """Fits a code for each wish on features (N, D), and says how each was chosen.

    Without labels, and where they allow no held-out comparison, every code is PCA. With them the
    candidates are PCA, the discriminant of several regularisations and mixtures of the best of
    these with PCA; the one with the best mean top-1 of held-out people through ``radio`` is
    fitted again on everybody. PCA wins ties, so no choice is below it on held-out people.
    ``trained`` is a candidate as it is, cut to the bandwidth; what is compared of it must not have
    seen the people held out by ``split``, which is drawn where it is left out. ``tick`` is called
    once for each wish. Raises :class:`InputError` for a bandwidth above what the features carry.
    """
    everything = moments(features)
    for wish in wanted:
        everything.check(wish.bandwidth)
    if labels is not None and split is None:
        split = hold_out(labels, seed)
    if labels is None or split is None:
        pca = _Statistics(features, everything, None, None)
        return {wish: pca.choice(_PCA, wish) for wish in wanted}, None
    compared = None if trained is None else trained.compared
    shipped = None if trained is None else trained.shipped
    fitted = features[split.fit]
    part = _Statistics(fitted, moments(fitted), _scatter(features, labels, split.fit), compared)
    all_rows = np.ones(len(features), bool)
    whole = _Statistics(features, everything, _scatter(features, labels, all_rows), shipped)
    compare = Comparison(features, labels, split.query, split.gallery, radio)
    choices = {}
    shared: dict[tuple[_Candidate, int], tuple[float, ...]] = {}
    for wish in wanted:
        choices[wish] = _choose(part, whole, compare, shared, wish)
        tick()
    return choices, split


def _scatter(features: Array, labels: Labels, rows: NDArray[np.bool_]) -> Scatter | None:
    try:
        return scatter(features[rows], labels.identity[rows])
    except InputError:
        return None


@dataclass(frozen=True)
class _Candidate:
    method: Method
    regularisation: float = 0.0
    pca_share: float = 0.0


_PCA = _Candidate("pca")
_TRAINED = _Candidate("trained")


class _Statistics:
    """Features and the statistics that codes are made of, with the codes made so far."""

    def __init__(
        self,
        features: Array,
        second: Moments,
        classes: Scatter | None,
        trained: LinearCode | None,
    ) -> None:
        self._features = features
        self.moments = second
        self.scatter = classes
        self.trained = trained
        self._discriminants: dict[float, LinearCode] = {}
        self._codes: dict[tuple[_Candidate, int], LinearCode] = {}

    def code(self, candidate: _Candidate, bandwidth: int) -> LinearCode:
        """The candidate's code of that bandwidth; made once."""
        code = self._codes.get((candidate, bandwidth))
        if code is None:
            code = self._codes[candidate, bandwidth] = self._fit(candidate, bandwidth)
        return code

    def _fit(self, candidate: _Candidate, bandwidth: int) -> LinearCode:
        if candidate.method == "trained" and self.trained is not None:
            return self.trained.truncated(bandwidth)
        if candidate.method == "pca" or self.scatter is None:
            return self.moments.pca(bandwidth)
        whole = self._discriminants.get(candidate.regularisation)
        if whole is None:
            whole = self.scatter.discriminant(candidate.regularisation)
            self._discriminants[candidate.regularisation] = whole
        if candidate.method == "discriminant":
            return _widened(whole, bandwidth)
        pca = self.moments.pca(bandwidth)
        return self.moments.blend(
            whole.truncated(2 * bandwidth), pca, candidate.pca_share, bandwidth
        )

    def choice(self, candidate: _Candidate, wish: Wanted, least_squares: bool = False) -> Choice:
        """The candidate fitted on these features, with a decoder where one is wished for."""
        code = self.code(candidate, wish.bandwidth)
        fit = fit_decoder if least_squares else isometric_decoder
        return Choice(
            code,
            fit(code, self._features) if wish.decoded else None,
            candidate.method,
            candidate.regularisation or None,
            candidate.pca_share or None,
            least_squares,
        )


def _widened(code: LinearCode, bandwidth: int) -> LinearCode:
    """The first columns of a code; columns of zeros where it has fewer (few identities)."""
    missing = bandwidth - code.bandwidth
    if missing <= 0:
        return code.truncated(bandwidth)
    return LinearCode(code.mean, np.pad(code.matrix, ((0, 0), (0, missing))))


def _choose(
    part: _Statistics,
    whole: _Statistics,
    compare: Callable[[LinearCode, LinearDecoder | None], tuple[float, ...]],
    shared: dict[tuple[_Candidate, int], tuple[float, ...]],
    wish: Wanted,
) -> Choice:
    """Chooses a wish's code; ``shared`` keeps the results that wishes have in common."""

    def measured(candidate: _Candidate) -> tuple[float, ...]:
        """Top-1 of the symbols as they are received, and so of the isometric decoder as well."""
        key = (candidate, wish.bandwidth)
        if key not in shared:
            shared[key] = compare(part.code(*key), None)
        return shared[key]

    try:
        results = {_PCA: measured(_PCA)}
    except InputError:  # too few images are left to fit that many directions on
        return whole.choice(_PCA, wish)
    best_by_method: dict[str, _Candidate] = {"pca": _PCA}

    def mean(candidate: _Candidate) -> float:
        return float(np.mean(results[candidate]))

    if part.scatter is not None:
        first = [_Candidate("discriminant", r) for r in REGULARISATIONS]
        results |= {candidate: measured(candidate) for candidate in first}
        best = max(first, key=mean)
        mixed = [_Candidate("blend", best.regularisation, share) for share in PCA_SHARES]
        results |= {candidate: measured(candidate) for candidate in mixed}
        best_by_method |= {"discriminant": best, "blend": max(mixed, key=mean)}
    if part.trained is not None and wish.bandwidth <= part.trained.bandwidth:
        results[_TRAINED] = measured(_TRAINED)
        best_by_method["trained"] = _TRAINED
    chosen = max(best_by_method.values(), key=mean)
    held_out = {method: results[candidate] for method, candidate in best_by_method.items()}
    least_squares = False
    if wish.decoded:
        trial = part.choice(chosen, wish, least_squares=True)
        decoded = held_out["least-squares decoder"] = compare(trial.code, trial.decoder)
        least_squares = float(np.mean(decoded)) > mean(chosen)
    return replace(whole.choice(chosen, wish, least_squares), held_out=held_out)
