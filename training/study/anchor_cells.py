"""Cells of the anchors: product quantisation, the feature as it is, and compressed images."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.codecs.linear import unit_rows
from airreid.errors import AirReidError, InputError
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.evaluation.study.anchors import RAW
from airreid.evaluation.study.cells import Latents, StudyCurve, digits
from airreid.retrieval import NearestMatch, cosine
from training.study.compressed import CompressedQueries
from training.study.digital_cells import coded_curve, fits
from training.study.features import TrainingPeople
from training.study.jscc_cells import held_out_people
from training.study.settings import StudySettings

Array = NDArray[np.float32]
Codes = NDArray[np.uint8]
_CENTROIDS = 256


class Quantiser:
    """Product quantisation of unit features: one byte for each part of them, by FAISS.

    Jégou, Douze and Schmid, *Product quantization for nearest neighbor search*, IEEE TPAMI 33
    (2011). A feature is compared with the gallery's as they are (their asymmetric distance).
    """

    def __init__(self, features: Array, bits: int, seed: int) -> None:
        """Fits the centroids on features (N, D); D is filled by zeros to whole parts."""
        try:
            import faiss
        except ModuleNotFoundError:
            raise AirReidError(
                "product quantisation needs faiss: install AirReID with the extra training"
            ) from None
        if len(features) < _CENTROIDS:
            raise InputError(
                f"{len(features)} images to fit on; product quantisation needs {_CENTROIDS}"
            )
        parts = bits // 8
        self._dimensions = features.shape[1]
        self._fill = -self._dimensions % parts
        self._quantiser = faiss.ProductQuantizer(self._dimensions + self._fill, parts, 8)
        self._quantiser.cp.seed = seed
        self._quantiser.cp.min_points_per_centroid = 1
        self._quantiser.train(self._filled(features))
        centroids = faiss.vector_to_array(self._quantiser.centroids)
        self._centroids = centroids.reshape(parts, _CENTROIDS, -1)
        self.digest = hashlib.sha256(centroids.tobytes()).digest()

    def _filled(self, features: Array) -> Array:
        rows = np.pad(unit_rows(features), ((0, 0), (0, self._fill)))
        return np.ascontiguousarray(rows, np.float32)

    def encode(self, features: Array) -> Codes:
        """float32 (N, D) -> uint8 (N, bits / 8)."""
        return np.asarray(self._quantiser.compute_codes(self._filled(features)), np.uint8)

    def decode(self, codes: Codes) -> Array:
        """uint8 (N, bits / 8) -> float32 (N, D)."""
        parts = self._centroids[np.arange(codes.shape[1]), codes]  # (N, parts, width)
        return np.ascontiguousarray(parts.reshape(len(codes), -1)[:, : self._dimensions])


class Quantised:
    """One fitted quantiser, and who of the held-out people is found by it."""

    def __init__(self, people: TrainingPeople, bits: int, seed: int) -> None:
        fitted, held_out = held_out_people(people)
        self._seed, self._bits = seed, bits
        self._quantiser = Quantiser(fitted.features, bits, seed)
        self._held_out_hits = self._searched(held_out)[1]

    def _searched(self, people: RetrievalFeatures) -> tuple[list[str], NDArray[np.bool_], Array]:
        """Returns messages and hits of the queries that count, and embeddings of all."""
        codes = self._quantiser.encode(people.queries)
        embeddings = self._quantiser.decode(codes)
        nearest = NearestMatch(people.query_labels, people.gallery_labels)
        hits = nearest.hits(cosine(embeddings, people.gallery))
        return [row.tobytes().hex() for row in codes[nearest.counted]], hits, embeddings

    def measured(self, test: RetrievalFeatures) -> Latents:
        """Makes the messages of the test's queries, and says who is found by them."""
        messages, hits, embeddings = self._searched(test)
        return Latents(
            seed=self._seed,
            bits=(self._bits,) * len(messages),
            hits=digits(hits.astype(np.int64)),
            held_out_bits=(self._bits,) * len(self._held_out_hits),
            held_out_hits=digits(self._held_out_hits.astype(np.int64)),
            payload_sizes=(self._bits,),
            messages=tuple(messages),
            crc_seed=self._quantiser.digest[:4].hex(),
            mean_ap=round(test.search(embeddings, test.gallery).mean_ap, 5),
        )


def fit_quantised(people: TrainingPeople, bits: int, settings: StudySettings) -> list[Quantised]:
    """Fits one quantiser with each seed, on people that are not held out."""
    return [Quantised(people, bits, seed) for seed in range(settings.training_seeds)]


def raw_curve(
    test: RetrievalFeatures, bandwidth: int, settings: StudySettings
) -> tuple[list[StudyCurve], dict[str, Any]]:
    """Sends unit features as 16-bit floats over the polar link; nothing is fitted.

    No curve comes of a feature that fits neither the bandwidth nor a payload of the link.
    """
    nearest = NearestMatch(test.query_labels, test.gallery_labels)
    halves = unit_rows(test.queries).astype("<f2")
    bits = 16 * halves.shape[1]
    facts: dict[str, Any] = {"payload_bits": bits}
    messages = tuple(row.tobytes().hex() for row in halves[nearest.counted])
    embeddings = halves.astype(np.float32)
    hits = nearest.hits(cosine(embeddings, test.gallery))
    whole = Latents(
        seed=0,
        bits=(bits,) * len(messages),
        hits=digits(hits.astype(np.int64)),
        held_out_bits=(),
        held_out_hits="",
        payload_sizes=(bits,),
        messages=messages,
        crc_seed="00000000",
        mean_ap=round(test.search(embeddings, test.gallery).mean_ap, 5),
    )
    if not fits((whole,), bandwidth):
        return [], {**facts, "why": f"{bits} bits do not fit {bandwidth} uses of the polar link"}
    draws = settings.long_noise_seeds
    curve, measured = coded_curve(RAW, (whole,), bandwidth, settings.snrs_db, draws)
    return [curve], {**measured, "top1_without_channel": round(float(hits.mean()), 5)}


def image_latents(test: RetrievalFeatures, queries: CompressedQueries, kind: str) -> Latents:
    """Returns each query's bits as a file of a format, and whether it is found by the file.

    The gallery's features are those of images that were not compressed.
    """
    features, bits = queries.of(kind)
    nearest = NearestMatch(test.query_labels, test.gallery_labels)
    return Latents(
        seed=0,
        bits=tuple(bits[nearest.counted].tolist()),
        hits=digits(nearest.hits(cosine(features, test.gallery)).astype(np.int64)),
        held_out_bits=(),
        held_out_hits="",
        payload_sizes=(),
        messages=(),
        crc_seed="",
        mean_ap=round(test.search(features, test.gallery).mean_ap, 5),
    )
