"""Held-out people, searched for through noise while a site is learned."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.codecs.comparison import Radio
from airreid.codecs.linear import unit_rows
from airreid.codecs.selection import HeldOut
from airreid.retrieval import Labels, NearestMatch
from training.engine.fit import Validation
from training.models.channel import Channel
from training.models.nested import NestedHead
from training.site.people import MOST_WATCHED


class Watcher:
    """A search for held-out people, with the same noise every time."""

    def __init__(self, labels: Labels, split: HeldOut, seed: int) -> None:
        """``seed``: of the noise."""
        queries, gallery = (_spread(rows) for rows in (split.query, split.gallery))
        self.rows: NDArray[np.int64] = np.union1d(queries, gallery)
        """Positions of the images that are searched for and in, rising."""
        self.people = len(np.unique(labels.identity[queries]))
        self._queries = np.searchsorted(self.rows, queries)
        self._gallery = np.searchsorted(self.rows, gallery)
        self._nearest = NearestMatch(labels.take(queries), labels.take(gallery))
        counted = labels.identity[queries][self._nearest.counted]
        self._person: NDArray[np.int64] = np.unique(counted, return_inverse=True)[1]
        self._seed = seed

    def raw(self, features: NDArray[np.float32]) -> float:
        """Top-1 of features (len(rows), D) without a channel."""
        return float(self._hits(features, features).mean())

    @torch.no_grad()
    def by_person(
        self, head: NestedHead, features: torch.Tensor, radio: Radio
    ) -> NDArray[np.float64]:
        """Returns each held-out person's mean top-1 over bandwidths and SNRs: (people,)."""
        hits = [
            self._hits(sent.received.cpu().numpy(), sent.clean.cpu().numpy())
            for snr_db in radio.snrs_db
            for sent in head.send(
                features,
                Channel(radio.model, snr_db),
                torch.Generator().manual_seed(self._seed),
            )
        ]
        mean = np.mean(hits, axis=0)
        counts = np.bincount(self._person)
        return np.asarray(np.bincount(self._person, mean) / counts, np.float64)

    @torch.no_grad()
    def __call__(self, head: NestedHead, features: torch.Tensor, radio: Radio) -> Validation:
        """Tests a head on features (len(rows), D): mean top-1 over bandwidths and SNRs."""
        rates: dict[float, list[float]] = {}
        for snr_db in radio.snrs_db:
            draws = torch.Generator().manual_seed(self._seed)
            for sent in head.send(features, Channel(radio.model, snr_db), draws):
                pair = (sent.received.cpu().numpy(), sent.clean.cpu().numpy())
                rates.setdefault(snr_db, []).append(float(self._hits(*pair).mean()))
        means = {snr_db: float(np.mean(values)) for snr_db, values in rates.items()}
        metrics = {f"top1_at_{snr_db:+g}_dB": rate for snr_db, rate in means.items()}
        raw = self.raw(features.cpu().numpy())
        return Validation(float(np.mean(list(means.values()))), metrics={**metrics, "raw": raw})

    def _hits(
        self, queries: NDArray[np.float32], gallery: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        scores = unit_rows(queries[self._queries]) @ unit_rows(gallery[self._gallery]).T
        return self._nearest.hits(scores)


def _spread(rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    positions = np.flatnonzero(rows)
    most = min(len(positions), MOST_WATCHED)
    return np.asarray(positions[np.linspace(0, len(positions) - 1, most).astype(int)])
