"""Accuracy and rate of digital schemes beside PCA quantised to as many bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.bundle import Bundle
from airreid.codecs.pca import fit_pca
from airreid.digital.arithmetic import encode
from airreid.digital.bounds import shannon_snr_db
from airreid.digital.coding_tables import load_coding_tables
from airreid.digital.table_design import code_lengths, rounded
from airreid.evaluation.retrieval_features import RetrievalFeatures, no_channel_bound
from airreid.model_card import DigitalAccuracy
from airreid.retrieval import Retrieval
from airreid.scheme_info import DigitalInfo
from training.export.digital import stored
from training.models.digital import DigitalCodec

_HALVINGS = 12
NOISE_ESTIMATE = {
    "bits_noise_estimate_mean",
    "bits_noise_estimate_gap",
    "bits_noise_estimate_of",
}
"""Fields that only the networks of training can give."""
_SMOOTHING = 0.5
"""Added to every count of the baseline's histograms, so that everything can be sent."""


@dataclass(frozen=True)
class Baseline:
    """PCA quantised with one step for all dimensions, each coded by its own histogram."""

    fitted_on: NDArray[np.float32]
    """(N, d) principal components of the training features."""
    gallery: NDArray[np.float32]
    queries: NDArray[np.float32]

    @classmethod
    def fit(
        cls, features: NDArray[np.float32], data: RetrievalFeatures, dimensions: int
    ) -> Baseline:
        """Fits it on training features (N, D)."""
        pca = fit_pca(features, dimensions)

        def project(x: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.asarray((x - pca.mean) @ pca.components.T, dtype=np.float32)

        return cls(project(features), project(data.gallery), project(data.queries))

    def bits(self, scale: float, dimensions: int) -> float:
        """Mean ideal length of a query's message with a quantisation step of ``1 / scale``."""
        total = 0.0
        for i in range(dimensions):
            fitted = np.rint(scale * self.fitted_on[:, i]).astype(np.int64)
            sent = np.rint(scale * self.queries[:, i]).astype(np.int64)
            low = min(fitted.min(), sent.min())
            size = max(fitted.max(), sent.max()) - low + 1
            counts = np.bincount(fitted - low, minlength=size) + _SMOOTHING
            total -= float(np.log2(counts / counts.sum())[sent - low].mean())
        return total

    def scale_of(self, bits: float, dimensions: int) -> float:
        """Finds the scale at which a query takes so many bits, by bisection."""
        spread = float(self.fitted_on[:, 0].std())
        low, high = 0.01 / spread, 1000.0 / spread
        for _ in range(_HALVINGS):
            middle = float(np.sqrt(low * high))
            low, high = (middle, high) if self.bits(middle, dimensions) < bits else (low, middle)
        return float(np.sqrt(low * high))

    def best(self, bits: float, dimensions: int, data: RetrievalFeatures) -> BaselineAccuracy:
        """Finds most with ``dimensions``, half, a quarter or an eighth of them, for so many bits.

        Chosen on ``data``'s own queries, in favour of the baseline.
        """
        tried = []
        for count in sorted({max(1, dimensions >> halving) for halving in range(4)}):
            scale = self.scale_of(bits, count)
            queries, gallery = (np.rint(scale * x[:, :count]) for x in (self.queries, self.gallery))
            retrieval = no_channel_bound(_with_integers(data, queries, gallery))
            tried.append(BaselineAccuracy(count, self.bits(scale, count), retrieval))
        return max(tried, key=lambda accuracy: accuracy.retrieval.top1)


class BaselineAccuracy(NamedTuple):
    """Accuracy and rate of quantised PCA."""

    dimensions: int
    """Principal components that it keeps."""
    bits: float
    """Mean per query."""
    retrieval: Retrieval


def digital_accuracy(
    bundle: Bundle,
    data: RetrievalFeatures,
    fitted_on: NDArray[np.float32],
    models: Mapping[str, DigitalCodec | DigitalAccuracy],
    tick: Callable[[], object] = lambda: None,
) -> list[DigitalAccuracy]:
    """Measures each digital scheme of the bundle that ``models`` has.

    ``models``: scheme id to its networks in training, which estimate the rate with noise, or
    where they are no longer there to an earlier row, from which that estimate is taken.
    ``fitted_on``: the training features (N, D), for the baseline.
    """
    infos = [
        info
        for info in bundle.manifest.schemes
        if isinstance(info, DigitalInfo) and info.id in models
    ]
    if not infos:
        return []
    baseline = Baseline.fit(fitted_on, data, max(info.embedding_dim for info in infos))
    rows = []
    for info in infos:
        rows.append(_measured(bundle, info, data, models[info.id], baseline))
        tick()
    return rows


def _measured(
    bundle: Bundle,
    info: DigitalInfo,
    data: RetrievalFeatures,
    model: DigitalCodec | DigitalAccuracy,
    baseline: Baseline,
) -> DigitalAccuracy:
    book = load_coding_tables(bundle.file(info.coding_tables))
    sizes = np.asarray([code.payload_bits for code in book.codes])
    queries, gallery = (rounded(bundle.file(info.encoder), x) for x in (data.queries, data.gallery))
    retrieval = no_channel_bound(_with_integers(data, queries, gallery))
    lengths = np.asarray([len(encode(query, book.prior)) for query in queries.tolist()])
    fitting = np.minimum(np.searchsorted(sizes, lengths), len(sizes) - 1)
    mean = float(lengths.mean())
    estimate = _noise_estimate(model, data, mean)
    pca = baseline.best(mean, info.embedding_dim, data)

    def percentile(share: int) -> int:
        return int(np.percentile(lengths, share, method="higher"))

    return DigitalAccuracy(
        scheme=info.id,
        bandwidth=info.bandwidth,
        dimensions=info.embedding_dim,
        top1=round(retrieval.top1, 4),
        map=round(retrieval.mean_ap, 4),
        bits_mean=round(mean, 2),
        bits_p5=percentile(5),
        bits_p50=percentile(50),
        bits_p95=percentile(95),
        bits_p100=percentile(100),
        bits_ideal_mean=round(float(code_lengths(queries, book.prior).mean()), 2),
        payload_sizes=tuple(sizes.tolist()),
        bits_padded_mean=round(float(sizes[fitting].mean()), 2),
        too_long_share=round(float((lengths > sizes[-1]).mean()), 4),
        paper_snr_db=round(shannon_snr_db(mean, info.bandwidth), 2),
        pca_top1=round(pca.retrieval.top1, 4),
        pca_bits_mean=round(pca.bits, 2),
        pca_dimensions=pca.dimensions,
        **estimate,
    )


def _noise_estimate(
    model: DigitalCodec | DigitalAccuracy, data: RetrievalFeatures, mean: float
) -> dict[str, Any]:
    """Fields of the rate that training estimates, ``mean`` being the one that is sent."""
    if isinstance(model, DigitalAccuracy):
        return model.model_dump(include=NOISE_ESTIMATE)
    noisy = noisy_bits(model, data.queries)
    return {
        "bits_noise_estimate_mean": round(noisy, 2),
        "bits_noise_estimate_gap": round(noisy - mean, 2),
    }


def _with_integers(
    data: RetrievalFeatures, queries: NDArray[np.generic], gallery: NDArray[np.generic]
) -> RetrievalFeatures:
    return replace(data, queries=queries.astype(np.float32), gallery=gallery.astype(np.float32))


@torch.no_grad()
def noisy_bits(model: DigitalCodec, features: NDArray[np.float32], seed: int = 0) -> float:
    """Mean bits per query as training estimates them, with uniform noise instead of rounding."""
    latent = stored(model.head)(torch.from_numpy(features))
    noise = torch.rand(latent.shape, generator=torch.Generator().manual_seed(seed)) - 0.5
    return float(model.prior.bits(latent + noise).sum(1).mean())
