"""Measurement of codes and codecs through noise, with checks on the very blocks they send."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.codecs.linear import LinearCode, unit_rows
from airreid.errors import AirReidError
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.evaluation.study.cells import StudyCurve, StudyPoint, point_of
from airreid.jscc import JsccScheme
from airreid.noise import NoiseStream
from airreid.offline import LINK_NAME
from airreid.retrieval import NearestMatch, Retrieval
from airreid.signal import POWER, awgn
from training.models.stack import CodecStack

Array = NDArray[np.float32]
SNR_TOLERANCE_DB, POWER_TOLERANCE = 0.05, 1e-5
_FEW_DEVIATIONS = 4.0


class ChannelCheckError(AirReidError):
    """Blocks that do not have the power or the SNR that their curve claims."""


@dataclass
class BlockCheck:
    """Power and noise of all blocks that a point is made of."""

    snr_db: float
    _noise: float = 0.0
    _signal: float = 0.0
    _values: int = 0
    _power: float = POWER

    def add(self, sent: Array, received: Array) -> None:
        """Takes blocks (..., B) as they were sent and received."""
        power = np.square(sent, dtype=np.float64).mean(axis=-1)
        extreme = float(power.flat[int(np.abs(power - POWER).argmax())])
        if abs(extreme - POWER) > abs(self._power - POWER):
            self._power = extreme
        self._signal += float(np.square(sent, dtype=np.float64).sum())
        self._noise += float(np.square(received - sent, dtype=np.float64).sum())
        self._values += sent.size

    def measured(self) -> dict[str, float]:
        """Returns the SNR and the power farthest from 1, as fields of a point.

        Raises :class:`ChannelCheckError` for a power beyond 1 ± 1e-5 and for an SNR beyond 0.05
        dB, or beyond four standard deviations where so few values are drawn that noise alone
        may do that.
        """
        snr_db = float(10 * np.log10(self._signal / self._noise))
        deviation = 10 / np.log(10) * np.sqrt(2 / self._values)
        allowed = max(SNR_TOLERANCE_DB, _FEW_DEVIATIONS * float(deviation))
        if abs(self._power - POWER) > POWER_TOLERANCE:
            raise ChannelCheckError(f"a block of mean power {self._power:.7f}, not 1")
        if abs(snr_db - self.snr_db) > allowed:
            raise ChannelCheckError(f"an SNR of {snr_db:.3f} dB, not {self.snr_db:g} dB")
        return {"measured_snr_db": round(snr_db, 4), "power": round(self._power, 8)}


@dataclass
class Noise:
    """Noise of the wire for Q blocks, drawn once for each bandwidth and seed."""

    blocks: int
    seeds: int
    _drawn: dict[tuple[int, int], Array] = field(default_factory=dict)

    def __call__(self, bandwidth: int, seed: int) -> Array:
        """float32 (Q, B), of variance 1."""
        key = bandwidth, seed
        if key not in self._drawn:
            stream = NoiseStream(seed, LINK_NAME)
            self._drawn[key] = stream.blocks(0, self.blocks, bandwidth)
        return self._drawn[key]


def code_curve(
    scheme: str,
    code: LinearCode,
    test: RetrievalFeatures,
    snrs_db: Sequence[float],
    noise: Noise,
    snr_db_train: tuple[float, float] | None = None,
) -> StudyCurve:
    """Measures a linear code whose received symbols are compared as they are."""
    return linear_curve(scheme, [code], test, snrs_db, noise, snr_db_train)


def linear_curve(
    scheme: str,
    codes: Sequence[LinearCode],
    test: RetrievalFeatures,
    snrs_db: Sequence[float],
    noise: Noise,
    snr_db_train: tuple[float, float] | None = None,
) -> StudyCurve:
    """Measures linear codes of T trainings as one curve."""
    sent = np.stack([code.encode(test.queries) for code in codes])
    gallery = np.stack([code.encode(test.gallery) for code in codes])
    searched = _Searched(test, sent, gallery, lambda received: received, torch.device("cpu"))
    points = tuple(searched.points(snr_db, noise)[0] for snr_db in snrs_db)
    return StudyCurve(
        scheme=scheme, bandwidth=sent.shape[-1], snr_db_train=snr_db_train, points=points
    )


def scheme_curve(
    scheme: str, code: JsccScheme, test: RetrievalFeatures, snrs_db: Sequence[float], noise: Noise
) -> StudyCurve:
    """Measures a JSCC scheme of a bundle as it is."""
    searched = _Searched(
        test,
        code.encode(test.queries)[None],
        code.gallery(test.gallery)[None],
        lambda received: code.decode(received[0])[None],
        torch.device("cpu"),
    )
    points = tuple(searched.points(snr_db, noise)[0] for snr_db in snrs_db)
    return StudyCurve(scheme=scheme, bandwidth=code.info.bandwidth, points=points)


@torch.no_grad()
def stack_curves(
    scheme: str,
    stack: CodecStack,
    groups: dict[tuple[float, float], list[int]],
    inputs: Callable[[Array], Array],
    test: RetrievalFeatures,
    snrs_db: Sequence[float],
    noise: Noise,
    device: torch.device,
) -> list[StudyCurve]:
    """Measures the codecs of a stack: one curve for each training SNR, of its trainings.

    groups: training SNR to the places of its copies in the stack.
    """
    stack.eval()

    def encoded(features: Array) -> Array:
        values = torch.from_numpy(inputs(features)).to(device)
        return stack.encode(values.expand(stack.copies, -1, -1)).cpu().numpy()

    def decoded(symbols: Array) -> torch.Tensor:
        return stack.decode(torch.from_numpy(symbols).to(device))

    sent = encoded(test.queries)
    gallery = decoded(encoded(test.gallery)).cpu().numpy()
    searched = _Searched(test, sent, gallery, decoded, device)
    by_snr = [searched.points(snr_db, noise, list(groups.values())) for snr_db in snrs_db]
    return [
        StudyCurve(
            scheme=scheme,
            bandwidth=sent.shape[-1],
            snr_db_train=snr_db_train,
            points=tuple(points[place] for points in by_snr),
        )
        for place, snr_db_train in enumerate(groups)
    ]


class _Searched:
    """Queries of K trainings that are sent, decoded and searched for."""

    def __init__(
        self,
        test: RetrievalFeatures,
        sent: Array,
        gallery: Array,
        decode: Callable[[Array], Array | torch.Tensor],
        device: torch.device,
    ) -> None:
        """sent (K, Q, B), gallery (K, N, E); ``decode``: (K, Q, B) -> (K, Q, E)."""
        self._test, self._sent, self._gallery, self._decode = test, sent, gallery, decode
        self._device = device
        self._nearest = NearestMatch(test.query_labels, test.gallery_labels)
        self._against = torch.from_numpy(
            np.stack([unit_rows(vectors).T for vectors in gallery])
        ).to(device)

    def points(
        self, snr_db: float, noise: Noise, groups: Sequence[Sequence[int]] | None = None
    ) -> list[StudyPoint]:
        """Sends every query at an SNR, once for each noise seed; one point for each group."""
        groups = groups or [range(len(self._sent))]
        checks = [BlockCheck(snr_db) for _ in groups]
        hits = []
        first: dict[int, Retrieval] = {}
        for seed in range(noise.seeds):
            drawn = noise(self._sent.shape[-1], seed)
            received = np.stack([awgn(sent, drawn, snr_db) for sent in self._sent])
            for check, group in zip(checks, groups, strict=True):
                rows = list(group)
                check.add(self._sent[rows], received[rows])
            embeddings = torch.as_tensor(self._decode(received), device=self._device)
            scores = torch.bmm(embeddings.float(), self._against).cpu().numpy()
            hits.append([self._nearest.hits(of_copy) for of_copy in scores])
            if seed == 0:
                for group in groups:
                    vectors = embeddings[group[0]].cpu().numpy()
                    first[group[0]] = self._test.search(vectors, self._gallery[group[0]])
        by_copy = np.asarray(hits).transpose(1, 0, 2)  # (K, S, Q)
        return [
            point_of(snr_db, by_copy[list(group)], **check.measured(), **_further(first[group[0]]))
            for check, group in zip(checks, groups, strict=True)
        ]


def _further(retrieval: Retrieval) -> dict[str, float]:
    """Metrics beside top-1, as fields of a point."""
    return {
        "top5": round(retrieval.top5, 5),
        "top10": round(retrieval.top10, 5),
        "map": round(retrieval.mean_ap, 5),
        "minp": round(retrieval.mean_inp, 5),
    }
