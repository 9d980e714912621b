"""What a digital scheme's bits buy: its accuracy and rate, beside a quantised PCA."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.bundle import Bundle
from airreid.codecs.pca import fit_pca
from airreid.digital.arithmetic import encode
from airreid.digital.bounds import shannon_snr_db
from airreid.digital.coding_tables import load_coding_tables
from airreid.evaluation.retrieval_features import RetrievalFeatures, no_channel_bound
from airreid.retrieval import Retrieval
from airreid.scheme_info import DigitalInfo
from training.export.digital import rounded, stored
from training.export.integer_prior import code_lengths
from training.models.digital import Digital

PERCENTILES = (5, 50, 95, 100)
_HALVINGS = 12
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
        """From training features (N, D)."""
        pca = fit_pca(features, dimensions)

        def project(x: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.asarray((x - pca.mean) @ pca.components.T, dtype=np.float32)

        return cls(project(features), project(data.gallery), project(data.queries))

    def bits(self, scale: float, dimensions: int) -> float:
        """Mean ideal length of a query's message with a step of ``1 / scale``."""
        total = 0.0
        for i in range(dimensions):
            seen = np.rint(scale * self.fitted_on[:, i]).astype(np.int64)
            sent = np.rint(scale * self.queries[:, i]).astype(np.int64)
            low = min(seen.min(), sent.min())
            size = max(seen.max(), sent.max()) - low + 1
            counts = np.bincount(seen - low, minlength=size) + _SMOOTHING
            total -= float(np.log2(counts / counts.sum())[sent - low].mean())
        return total

    def scale_of(self, bits: float, dimensions: int) -> float:
        """The scale at which a query takes so many bits, by bisection."""
        spread = float(self.fitted_on[:, 0].std())
        low, high = 0.01 / spread, 1000.0 / spread
        for _ in range(_HALVINGS):
            middle = float(np.sqrt(low * high))
            low, high = (middle, high) if self.bits(middle, dimensions) < bits else (low, middle)
        return float(np.sqrt(low * high))

    def best(
        self, bits: float, dimensions: int, data: RetrievalFeatures
    ) -> tuple[int, float, Retrieval]:
        """Of ``dimensions``, half, a quarter and an eighth of them, what finds most.

        Returns the dimensions kept, the bits per query, and what ``data``'s queries find;
        chosen on these queries, in favour of the baseline.
        """
        tried = []
        for count in sorted({max(1, dimensions >> halving) for halving in range(4)}):
            scale = self.scale_of(bits, count)
            queries, gallery = (np.rint(scale * x[:, :count]) for x in (self.queries, self.gallery))
            found = no_channel_bound(_integers(data, queries, gallery))
            tried.append((count, self.bits(scale, count), found))
        return max(tried, key=lambda one: one[2].top1)


def digital_rows(
    bundle: Bundle,
    data: RetrievalFeatures,
    fitted_on: NDArray[np.float32],
    models: Mapping[str, Digital],
    tick: Callable[[], object] = lambda: None,
) -> list[dict[str, Any]]:
    """One row for each digital scheme of the bundle that ``models`` has the networks of.

    ``fitted_on``: the training features (N, D), for the baseline. Lengths are those of
    the queries' arithmetic-coded messages, in bits, without padding unless it says so.
    """
    if not models:
        return []
    largest = max(model.prior.dimensions for model in models.values())
    baseline = Baseline.fit(fitted_on, data, largest)
    rows = []
    for info in bundle.manifest.schemes:
        if isinstance(info, DigitalInfo) and info.id in models:
            rows.append(_row(bundle, info, data, models[info.id], baseline))
            tick()
    return rows


def _row(
    bundle: Bundle, info: DigitalInfo, data: RetrievalFeatures, model: Digital, baseline: Baseline
) -> dict[str, Any]:
    book = load_coding_tables(bundle.file(info.coding_tables))
    sizes = np.asarray([code.payload_bits for code in book.codes])
    queries, gallery = (rounded(bundle.file(info.encoder), x) for x in (data.queries, data.gallery))
    found = no_channel_bound(_integers(data, queries, gallery))
    lengths = np.asarray([len(encode(query, book.prior)) for query in queries.tolist()])
    fitting = np.minimum(np.searchsorted(sizes, lengths), len(sizes) - 1)
    mean = float(lengths.mean())
    noisy = noisy_bits(model, data.queries)
    dimensions, line_bits, line = baseline.best(mean, info.embedding_dim, data)
    return {
        "scheme": info.id,
        "bandwidth": info.bandwidth,
        "dimensions": info.embedding_dim,
        "top1": round(found.top1, 4),
        "map": round(found.mean_ap, 4),
        "bits_mean": round(mean, 2),
        **{
            f"bits_p{share}": int(np.percentile(lengths, share, method="higher"))
            for share in PERCENTILES
        },
        "bits_ideal_mean": round(float(code_lengths(queries, book.prior).mean()), 2),
        "bits_noise_estimate_mean": round(noisy, 2),
        "bits_noise_estimate_gap": round(noisy - mean, 2),
        "payload_sizes": sizes.tolist(),
        "bits_padded_mean": round(float(sizes[fitting].mean()), 2),
        "too_long_share": round(float((lengths > sizes[-1]).mean()), 4),
        "paper_snr_db": round(shannon_snr_db(mean, info.bandwidth), 2),
        "pca_top1": round(line.top1, 4),
        "pca_bits_mean": round(line_bits, 2),
        "pca_dimensions": dimensions,
    }


def _integers(
    data: RetrievalFeatures, queries: NDArray[np.generic], gallery: NDArray[np.generic]
) -> RetrievalFeatures:
    return replace(data, queries=queries.astype(np.float32), gallery=gallery.astype(np.float32))


@torch.no_grad()
def noisy_bits(model: Digital, features: NDArray[np.float32], seed: int = 0) -> float:
    """Mean bits per query as training estimates them: uniform noise instead of rounding."""
    latent = stored(model.head)(torch.from_numpy(features))
    noise = torch.rand(latent.shape, generator=torch.Generator().manual_seed(seed)) - 0.5
    return float(model.prior.bits(latent + noise).sum(1).mean())
