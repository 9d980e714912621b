"""Features of queries and of the gallery that they are searched in, with labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.evaluation.exact_retrieval import SingleShot, retrieve
from airreid.retrieval import Labels, Retrieval


@dataclass(frozen=True)
class RetrievalFeatures:
    """Features (N, D) and labels of enrolled images, and of the queries (Q, D)."""

    gallery: NDArray[np.float32]
    gallery_labels: Labels
    queries: NDArray[np.float32]
    query_labels: Labels
    single_shot: SingleShot | None = None
    """Draw of gallery images where the protocol has one of an identity at a time."""

    def search(
        self,
        queries: NDArray[np.floating],
        gallery: NDArray[np.floating],
        lost: NDArray[np.bool_] | None = None,
    ) -> Retrieval:
        """Retrieval with embeddings in place of the features: (Q, E) in (N, E)."""
        return retrieve(
            queries, self.query_labels, gallery, self.gallery_labels, lost, self.single_shot
        )


def no_channel_bound(data: RetrievalFeatures) -> Retrieval:
    """Retrieval by the features themselves: neither code nor channel."""
    return data.search(data.queries, data.gallery)


def paired_difference(run: Retrieval, other: Retrieval) -> tuple[float, float]:
    """Top-1 of a run less that of another over the same queries, and its 95 % half-width.

    The interval is the normal one for paired binary outcomes (McNemar).
    """
    hits = [(retrieval.first_hit == 0).astype(np.float64) for retrieval in (run, other)]
    valid = ~np.isnan(run.first_hit)
    difference = (hits[0] - hits[1])[valid]
    half = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    return float(difference.mean()), float(half)


def split_by_camera(
    features: NDArray[np.float32], identities: NDArray[np.int64], cameras: NDArray[np.int64]
) -> RetrievalFeatures:
    """Makes the images of the first camera the gallery, those of all others the queries."""
    first = cameras == cameras.min()
    return RetrievalFeatures(
        features[first],
        Labels(identities[first], cameras[first]),
        features[~first],
        Labels(identities[~first], cameras[~first]),
    )
