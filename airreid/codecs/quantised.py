"""A digital scheme in closed form: a linear code's projection, rounded, and a fitted prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from airreid.codecs.linear import LinearCode
from airreid.digital.prior import Prior, quantise
from airreid.signal import capacity

Array = NDArray[np.float32]
DESIGN_SNR_DB = 0.0
"""SNR per real use at which a scheme's bits are to arrive."""
RATE = 0.7
"""Share of the capacity that a built code of some hundred bits carries at a few errors in a
hundred: about 1.5 dB short of it, check bits included."""
_TAIL = 1e-4
"""Most of a dimension's mass that may lie outside its table."""
_WIDEST = 1023
_HEAVY = 0.02
"""Share of a wider normal in every prior, for people unlike those it was fitted on."""
_WIDER = 3.0
_SAMPLE = 1000
"""Images that the step is found on."""


@dataclass(frozen=True)
class QuantisedCode:
    """Latents ``round(u / step)`` of a linear code's projection u, and their prior."""

    code: LinearCode
    step: float
    prior: Prior

    def latents(self, features: Array) -> NDArray[np.int64]:
        """float32 (N, D) -> integers (N, d)."""
        scaled = self.code.project(features) / np.float32(self.step)
        return np.asarray(np.rint(scaled), np.int64)


def target_bits(bandwidth: int, snr_db: float = DESIGN_SNR_DB) -> float:
    """Mean bits of a latent that a code of ``bandwidth`` real uses carries at an SNR."""
    return float(RATE * bandwidth * capacity(snr_db))


def fit_quantised(code: LinearCode, features: Array, bits: float) -> QuantisedCode:
    """Finds the step at which latents of features (N, D) take ``bits`` on average.

    One step for all directions is what reverse water-filling asks for: directions with less
    spread than the step round to zero and cost next to nothing. The prior of each direction is a
    normal of the latents' own mean and deviation, with a share of a wider one.
    """
    values = code.project(features).astype(np.float64)
    sample = values[:: max(1, len(values) // _SAMPLE)]
    fine, coarse = 1e-4 * float(values.std()), 20.0 * float(np.abs(values).max())
    for _ in range(40):
        step = float(np.sqrt(fine * coarse))
        if _entropy(sample / step) > bits:
            fine = step
        else:
            coarse = step
    return QuantisedCode(code, coarse, fit_prior(values / coarse))


def fit_prior(latents: NDArray[np.floating]) -> Prior:
    """Integer tables from values (N, d) before rounding."""
    lows, counts = [], []
    for column in latents.T:
        mean, deviation = float(column.mean()), max(float(column.std()), 1e-3)
        reach = int(np.ceil(abs(mean) + stats.norm.isf(_TAIL / 2) * _WIDER * deviation)) + 1
        rounded = np.rint(column)
        low = max(-_WIDEST, min(-reach, int(rounded.min())))
        high = min(_WIDEST, max(reach, int(rounded.max())))
        below = _cumulative(np.arange(low, high + 2) - 0.5, mean, deviation)
        mass = np.diff(below)
        keep = np.flatnonzero(mass > _TAIL / (4 * len(mass)))
        first = min(int(keep[0]), int(rounded.min()) - low)
        last = max(int(keep[-1]), int(rounded.max()) - low)
        outside = below[first] + 1.0 - below[last + 1]
        lows.append(low + first)
        counts.append(quantise(np.append(mass[first : last + 1], max(outside, 1e-9))))
    return Prior(low=tuple(lows), counts=tuple(counts))


def _cumulative(edges: NDArray[np.floating], mean: float, deviation: float) -> NDArray[np.float64]:
    narrow = stats.norm.cdf(edges, mean, deviation)
    wide = stats.norm.cdf(edges, mean, _WIDER * deviation)
    return np.asarray((1 - _HEAVY) * narrow + _HEAVY * wide)


def _entropy(latents: NDArray[np.float64]) -> float:
    """Mean bits of rounded latents (N, d) under normals of their own mean and deviation."""
    mean, deviation = latents.mean(axis=0), np.maximum(latents.std(axis=0), 1e-3)
    rounded = np.rint(latents)
    upper = stats.norm.cdf(rounded + 0.5, mean, deviation)
    lower = stats.norm.cdf(rounded - 0.5, mean, deviation)
    return float(-np.log2(np.maximum(upper - lower, 2.0**-16)).sum(axis=1).mean())
