"""The choice of a nested code on people who were not fitted on, over all its prefixes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from airreid.codecs.comparison import AWGN, HeldOutLinks, Radio, spread_rows
from airreid.codecs.discriminant import REGULARISATIONS, Scatter, scatter
from airreid.codecs.linear import LinearCode, unit_rows
from airreid.codecs.nested import NestedCode, nest
from airreid.codecs.selection import PCA_SHARES, HeldOut, hold_out
from airreid.codecs.statistics import Moments, moments
from airreid.errors import InputError
from airreid.nested.calibration import Trial
from airreid.nested.pieces import PIECE, check_pieces, prefixes
from airreid.retrieval import Labels, NearestMatch

Array = NDArray[np.float32]
DEPTHS = (2, 0)
"""Pieces' worth of the target's best columns that are sent again and again; 0: all of them."""
EXPONENTS = (0.75,)
"""Exponents of the discriminant's eigenvalues that are tried besides 1."""
FOLDS = 5
"""Parts of the people, each left out of a code once where a rule is calibrated on them."""
_TRIAL_QUERIES = 250
"""Queries of each part that a stopping rule is fitted on, at most."""
_QUERIES = 600
"""Held-out queries that codes are compared on, at most."""


@dataclass(frozen=True)
class NestedWay:
    """A way to make a nested code of features: its target and how that is cut."""

    method: str = "pca"
    """``pca``, ``discriminant``, ``blend`` or ``trained``."""
    regularisation: float = 0.0
    pca_share: float = 0.0
    depth: int = 0
    """Columns of the target, the best; 0: as many as the bandwidth."""
    exponent: float = 1.0
    """Exponent of the target's eigenvalues; below 1 weak directions get more power."""

    @property
    def words(self) -> str:
        """The way in a few words: ``discriminant, r = 0.3, in pieces``."""
        if self.method == "trained":
            return "trained through noise, in pieces"
        name = "PCA" if self.method == "pca" else f"discriminant, r = {self.regularisation:g}"
        if self.method == "blend":
            name += f", {self.pca_share:.0%} PCA"
        if self.exponent != 1.0:
            name += f", eigenvalues to the power of {self.exponent:g}"
        return f"{name}, in pieces" + (f", {self.depth} directions" if self.depth else "")


@dataclass(frozen=True)
class NestedChoice:
    """A nested code fitted on every image, and how it was chosen."""

    code: NestedCode
    way: NestedWay
    held_out: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Mean top-1 over the prefixes of each method's best at the radio's SNRs; empty without
    held-out people."""

    @property
    def method(self) -> str:
        """``pca``, ``discriminant``, ``blend`` or ``trained``."""
        return self.way.method

    @property
    def words(self) -> str:
        """The choice in a few words."""
        return self.way.words


@dataclass(frozen=True)
class TrainedNested:
    """A nested code that was trained on the features, a candidate as it is."""

    compared: NestedCode
    """Trained without the people who are held out."""
    shipped: NestedCode
    """The code that is taken if it wins; it may have seen everybody."""


class NestedFits:
    """Statistics of labelled features, and the nested codes made of them."""

    def __init__(self, features: Array, identities: NDArray[np.int64] | None) -> None:
        self._moments: Moments = moments(features)
        self._scatter: Scatter | None = None
        if identities is not None:
            try:
                self._scatter = scatter(features, identities)
            except InputError:
                self._scatter = None
        self._discriminants: dict[float, LinearCode] = {}

    @property
    def labelled(self) -> bool:
        """Whether there is a discriminant."""
        return self._scatter is not None

    def code(self, way: NestedWay, bandwidth: int) -> NestedCode:
        """Makes a code. Raises :class:`InputError` where the features do not carry it."""
        target = self._target(way, bandwidth)
        cut = target.truncated(way.depth or bandwidth)
        return nest(cut, self._moments, bandwidth, exponent=way.exponent)

    def _target(self, way: NestedWay, bandwidth: int) -> LinearCode:
        columns = min(bandwidth, len(self._moments.variances))
        pca = self._moments.pca(columns)
        if way.method == "pca" or self._scatter is None:
            return pca
        discriminant = self._discriminants.get(way.regularisation)
        if discriminant is None:
            discriminant = self._scatter.discriminant(way.regularisation)
            self._discriminants[way.regularisation] = discriminant
        if way.method == "discriminant":
            return discriminant.truncated(bandwidth)
        return self._moments.blend(
            discriminant.truncated(2 * bandwidth), pca, way.pca_share, columns
        )


def select_nested(
    features: Array,
    labels: Labels | None,
    bandwidth: int,
    split: HeldOut | None = None,
    trained: TrainedNested | None = None,
    tick: Callable[[], object] = lambda: None,
    radio: Radio = AWGN,
) -> tuple[NestedChoice, HeldOut | None]:
    """Fits a nested code on features (N, D): the best over all prefixes on held-out people.

    As :func:`airreid.codecs.selection.select`: PCA without labels or held-out people, and PCA
    wins ties. ``split`` is drawn where it is left out. Raises :class:`InputError` for a bandwidth
    that is no multiple of a piece, or with pieces wider than what the features carry.
    """
    check_pieces(bandwidth)
    whole = NestedFits(features, None if labels is None else labels.identity)
    moments(features).check(PIECE)
    if labels is not None and split is None:
        split = hold_out(labels)
    if labels is None or split is None:
        way = NestedWay()
        tick()
        return NestedChoice(whole.code(way, bandwidth), way), None
    part = NestedFits(features[split.fit], labels.identity[split.fit])
    compare = _NestedComparison(features, labels, split, bandwidth, radio)
    results: dict[NestedWay, tuple[float, ...]] = {}

    def best_of(ways: list[NestedWay]) -> NestedWay:
        for way in ways:
            if way not in results:
                results[way] = compare(part.code(way, bandwidth))
        return max(ways, key=lambda way: float(np.mean(results[way])))

    depths = [PIECE * pieces for pieces in DEPTHS if PIECE * pieces < bandwidth]
    winners = [best_of([NestedWay(depth=depth) for depth in reversed(depths)])]
    if part.labelled:
        whole_span = best_of([NestedWay("discriminant", r) for r in REGULARISATIONS])
        cuts = [whole_span, *(replace(whole_span, depth=depth) for depth in depths)]
        best = best_of(cuts + [replace(way, exponent=x) for x in EXPONENTS for way in cuts])
        winners.append(best)
        mixed = [replace(best, method="blend", pca_share=share) for share in PCA_SHARES]
        winners.append(best_of(mixed))
    if trained is not None:
        way = NestedWay("trained")
        results[way] = compare(trained.compared.truncated(bandwidth))
        winners.append(way)
    chosen = best_of(winners)
    if chosen.method == "trained" and trained is not None:
        code = trained.shipped.truncated(bandwidth)
    else:
        code = whole.code(chosen, bandwidth)
    tick()
    return NestedChoice(code, chosen, {way.method: results[way] for way in winners}), split


class _NestedComparison:
    """Held-out people searched for by every prefix, through the same links for every code."""

    def __init__(
        self, features: Array, labels: Labels, split: HeldOut, bandwidth: int, radio: Radio
    ) -> None:
        queries = spread_rows(split.query, _QUERIES)
        gallery = spread_rows(split.gallery)
        self._queries, self._gallery = features[queries], features[gallery]
        self._nearest = NearestMatch(labels.take(queries), labels.take(gallery))
        self._links = HeldOutLinks(radio, len(queries), 1)
        self._prefixes = prefixes(bandwidth, PIECE)

    def __call__(self, code: NestedCode) -> tuple[float, ...]:
        """Top-1 at each SNR of the radio, a mean over the prefixes."""
        sent, stored = code.encode(self._queries), code.encode(self._gallery)
        against = [unit_rows(stored[:, :uses]).T for uses in self._prefixes]
        return tuple(
            float(
                np.mean(
                    [
                        self._nearest.top1(received[:, :uses] @ rows)
                        for uses, rows in zip(self._prefixes, against, strict=True)
                    ]
                )
            )
            for (received,) in self._links.received(sent)
        )


def left_out_trials(
    features: Array,
    labels: Labels,
    choice: NestedChoice,
    split: HeldOut,
    compared: NestedCode | None,
) -> list[Trial]:
    """Returns people and codes that were not fitted on them, for a stopping rule.

    Everybody is left out once, in :data:`FOLDS` parts, of a code made in the chosen way; with a
    trained code it is the people held out by ``split`` whom it must not have seen.
    """
    bandwidth = choice.code.bandwidth
    if choice.method == "trained" and compared is not None:
        return [_trial(features, labels, split.query, split.gallery, compared.truncated(bandwidth))]
    people = np.unique(labels.identity)
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([0, 0x57])))
    folds = np.array_split(random.permutation(people), FOLDS)
    trials = []
    for fold in folds:
        held = np.isin(labels.identity, fold)
        fits = NestedFits(features[~held], labels.identity[~held])
        trials.append(_trial(features, labels, held, held, fits.code(choice.way, bandwidth)))
    return trials


def _trial(
    features: Array,
    labels: Labels,
    query: NDArray[np.bool_],
    gallery: NDArray[np.bool_],
    code: NestedCode,
) -> Trial:
    queries, stored = spread_rows(query, _TRIAL_QUERIES), spread_rows(gallery)
    return Trial(
        code.encode(features[queries]),
        code.encode(features[stored]),
        labels.take(queries),
        labels.take(stored),
    )
