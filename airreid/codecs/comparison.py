"""The radio that codes are compared through, and people who are searched for through it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.channels.models import Realisation, draw_realisation, fade
from airreid.channels.settings import link_settings
from airreid.codecs.decoding import LinearDecoder
from airreid.codecs.linear import LinearCode, unit_rows
from airreid.noise import NoiseStream
from airreid.retrieval import Labels, NearestMatch

Array = NDArray[np.float32]
SNRS_DB = (-10.0, -3.0, 0.0, 5.0, 20.0)
"""SNRs at which codes are compared that no training has prepared for others."""
_PLACES = (0.0, 0.35, 0.5, 0.75, 1.0)
"""Places between a training's lowest and highest SNR at which its codes are compared."""
_SEEDS = 2
_MOST = 2000
"""Held-out queries, and gallery images, that codes are compared on."""


@dataclass(frozen=True)
class Radio:
    """Channel model and SNRs in dB; the mean over the SNRs decides between codes."""

    model: str = "awgn"
    snrs_db: tuple[float, ...] = SNRS_DB
    """Rising."""

    @property
    def words(self) -> str:
        """Model and SNRs in a few words: ``rayleigh at -10 to +10 dB``."""
        low, high = self.snrs_db[0], self.snrs_db[-1]
        return (
            f"{self.model} at {low:+g} dB"
            if low == high
            else f"{self.model} at {low:+g} to {high:+g} dB"
        )


AWGN = Radio()
"""Gaussian noise at :data:`SNRS_DB`."""


def trained_radio(model: str, low: float, high: float) -> Radio:
    """Returns the radio of a training through ``model`` at SNRs from ``low`` to ``high`` dB."""
    places = _PLACES if low < high else (0.0,)
    return Radio(model, tuple(round(low + place * (high - low), 3) for place in places))


class HeldOutLinks:
    """Links that blocks of held-out queries are sent through, the same for every code."""

    def __init__(self, radio: Radio, count: int, seeds: int) -> None:
        """``count``: queries, of which each is the block of its number."""
        self._radio, self._count, self._seeds = radio, count, seeds
        self._bandwidth = 0
        self._met: list[list[Realisation]] = []

    def received(self, symbols: Array) -> Iterator[list[Array]]:
        """Yields what arrives of symbols (count, B) at each SNR: (count, B) for every seed."""
        if symbols.shape[1] != self._bandwidth:
            self._bandwidth = symbols.shape[1]
            self._met = [self._drawn(snr_db) for snr_db in self._radio.snrs_db]
        for met in self._met:
            yield [fade(symbols, block.residual_gain, block.erased) + block.noise for block in met]

    def _drawn(self, snr_db: float) -> list[Realisation]:
        settings = link_settings(model=self._radio.model, snr_db=snr_db)
        return [
            draw_realisation(
                settings, NoiseStream(seed, "held-out"), 0, self._count, self._bandwidth
            )
            for seed in range(self._seeds)
        ]


class Comparison:
    """Held-out people searched for through a radio."""

    def __init__(
        self,
        features: Array,
        labels: Labels,
        query: NDArray[np.bool_],
        gallery: NDArray[np.bool_],
        radio: Radio,
    ) -> None:
        """``query``, ``gallery``: rows of the features (N, D) and ``labels`` (N,), bool (N,)."""
        queries, stored = spread_rows(query), spread_rows(gallery)
        self._queries, self._gallery = features[queries], features[stored]
        self._nearest = NearestMatch(labels.take(queries), labels.take(stored))
        self._links = HeldOutLinks(radio, len(queries), _SEEDS)

    def __call__(self, code: LinearCode, decoder: LinearDecoder | None) -> tuple[float, ...]:
        """Top-1 at each SNR of the radio, a mean over noise seeds."""
        sent, stored = code.encode(self._queries), code.encode(self._gallery)
        if decoder is None:
            against = unit_rows(stored).T  # (B, G)
        else:  # decoding is linear: the decoder's matrix goes to the gallery's side, once
            against = decoder.matrix @ unit_rows(decoder.decode(stored)).T
        return tuple(
            float(np.mean([self._nearest.top1(symbols @ against) for symbols in received]))
            for received in self._links.received(sent)
        )


def spread_rows(rows: NDArray[np.bool_], most: int = _MOST) -> NDArray[np.int64]:
    """Positions of a mask, at most ``most``, evenly spread."""
    positions = np.flatnonzero(rows)
    if len(positions) <= most:
        return positions
    return np.asarray(positions[np.linspace(0, len(positions) - 1, most).astype(int)])
