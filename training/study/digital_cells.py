"""Cells of digital schemes: latents and their messages, and messages over the polar link."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airreid.codecs.linear import unit_rows
from airreid.digital import arithmetic
from airreid.digital.channel_code import POLAR, channel_code_kind
from airreid.digital.crc import CrcBits
from airreid.digital.link import CodedLink
from airreid.digital.message import message, padded
from airreid.digital.table_design import payload_sizes
from airreid.errors import InputError
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.evaluation.study.cells import Latents, StudyCurve, counts_of, digits, point_of
from airreid.retrieval import NearestMatch
from airreid.signal import awgn, noise_variance
from training.export.digital import stored
from training.export.integer_prior import integer_prior
from training.models.digital import DigitalCodec
from training.recipes.steps import DigitalSpec, DigitalStep
from training.steps.context import HeadData
from training.steps.digital import train_digital
from training.steps.held_out import split
from training.study.features import TrainingPeople
from training.study.measure import BlockCheck, Noise
from training.study.settings import StudySettings
from training.study.training import StudyContext

Bits = NDArray[np.uint8]
CRC_BITS: CrcBits = 11
MOST_PAYLOAD_BITS = 8192
"""Payload of the polar link, at most."""
_MOST_LLRS = 2**20
"""Values that are decoded at once, at most: a list decoder holds many of each."""
_SIZES = 4


def fit_digital(
    people: TrainingPeople,
    settings: StudySettings,
    dimensions: int,
    rate_lambda: float,
    context: StudyContext,
) -> list[Trained]:
    """Trains one digital scheme with each seed, as :func:`train_digital` does.

    The people whom the best epoch is chosen on are held out of the training; the rate for a
    bandwidth and SNR is chosen on them as well.
    """
    step = DigitalStep(epochs=settings.digital.epochs)
    data = HeadData(people.features, people.labels.identity, people.labels.camera)
    scheme = DigitalSpec(id="digital-256", dimensions=dimensions, rate_lambda=rate_lambda)
    trained = []
    for seed in range(settings.training_seeds):
        context = replace(context, seed=seed)
        name = f"digital-{dimensions}-{rate_lambda:g}-{seed}"
        model = train_digital(scheme, step, data, context, name).cpu()
        trained.append(Trained(seed, model, people))
    return trained


class Trained:
    """One trained scheme: what it makes of features, and who of the held-out is found."""

    def __init__(self, seed: int, model: DigitalCodec, people: TrainingPeople) -> None:
        self._seed = seed
        self._head = stored(model.head)
        fitted, held_out = split(people.labels.identity, people.labels.camera, seed)
        latents = self._latents(people.features[fitted])
        self._prior = integer_prior(model.prior, latents)
        lengths = np.asarray([len(arithmetic.encode(row, self._prior)) for row in latents])
        self._sizes = payload_sizes(lengths, _SIZES)
        strangers = people.take(held_out)
        self._held_out = self._searched(
            RetrievalFeatures(
                strangers.features, strangers.labels, strangers.features, strangers.labels
            )
        )

    def _latents(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        with torch.no_grad():
            values = self._head(torch.from_numpy(features)).numpy()
        return np.asarray(np.rint(values), np.int64)

    def _searched(
        self, people: RetrievalFeatures
    ) -> tuple[list[Bits], NDArray[np.bool_], NDArray[np.float32]]:
        """Returns messages and hits of the queries that count, and embeddings of all."""
        longest = self._sizes[-1]
        messages = [
            message(row, self._prior, longest).bits for row in self._latents(people.queries)
        ]
        decoded = np.stack([arithmetic.decode(bits, self._prior) for bits in messages])
        embeddings, gallery = decoded.astype(np.float32), self._latents(people.gallery)
        nearest = NearestMatch(people.query_labels, people.gallery_labels)
        scores = unit_rows(embeddings) @ unit_rows(gallery.astype(np.float32)).T
        counted = np.flatnonzero(nearest.counted)
        return [messages[row] for row in counted], nearest.hits(scores), embeddings

    def measured(self, test: RetrievalFeatures) -> Latents:
        """Makes the messages of the test's queries, and says who is found by them."""
        messages, hits, embeddings = self._searched(test)
        held_out, held_out_hits, _ = self._held_out
        gallery = self._latents(test.gallery).astype(np.float32)
        return Latents(
            seed=self._seed,
            bits=tuple(len(bits) for bits in messages),
            hits=digits(hits.astype(np.int64)),
            held_out_bits=tuple(len(bits) for bits in held_out),
            held_out_hits=digits(held_out_hits.astype(np.int64)),
            payload_sizes=self._sizes,
            messages=tuple(np.packbits(bits).tobytes().hex() for bits in messages),
            crc_seed=self._prior.digest[:4].hex(),
            mean_ap=round(test.search(embeddings, gallery).mean_ap, 5),
        )


def coded_curve(
    scheme: str,
    trained: tuple[Latents, ...],
    bandwidth: int,
    snrs_db: tuple[float, ...],
    noise_seeds: int,
) -> tuple[StudyCurve, dict[str, Any]]:
    """Sends messages over the polar link; a query is found if it arrives and would be found.

    Also returns bits and losses. A wrong message that passes its CRC counts as lost. Raises
    :class:`InputError` where a payload does not fit the bandwidth.
    """
    noise = Noise(len(trained[0].bits), noise_seeds)
    arrived: dict[float, list[NDArray[np.bool_]]] = {snr_db: [] for snr_db in snrs_db}
    checks = {snr_db: BlockCheck(snr_db) for snr_db in snrs_db}
    for latents in trained:
        links = _links(latents, bandwidth)
        for snr_db in snrs_db:
            arrived[snr_db].append(_sent(latents, links, snr_db, noise, checks[snr_db]))
    hit = np.stack([counts_of(latents.hits).astype(bool) for latents in trained])
    points = tuple(
        point_of(snr_db, np.stack(arrived[snr_db]) & hit[:, None], **checks[snr_db].measured())
        for snr_db in snrs_db
    )
    facts = {
        "payload_bits": round(float(np.mean([np.mean(_padded(item)) for item in trained])), 2),
        "crc_bits": CRC_BITS,
        "side_bits": max((len(item.payload_sizes) - 1).bit_length() for item in trained),
        "message_bits": round(float(np.mean([np.mean(item.bits) for item in trained])), 2),
        "outage": {
            f"{snr_db:g}": round(1 - float(np.mean(arrived[snr_db])), 5) for snr_db in snrs_db
        },
    }
    return StudyCurve(scheme=scheme, bandwidth=bandwidth, points=points), facts


def fits(trained: tuple[Latents, ...], bandwidth: int) -> bool:
    """Says whether a polar code of the bandwidth holds the largest payload."""
    try:
        for latents in trained:
            if latents.payload_sizes[-1] > MOST_PAYLOAD_BITS:
                return False
            channel_code_kind(POLAR).design(latents.payload_sizes[-1], bandwidth, CRC_BITS)
    except InputError:
        return False
    return True


def _size_of(latents: Latents, bits: int) -> int:
    return next(i for i, size in enumerate(latents.payload_sizes) if size >= bits)


def _padded(latents: Latents) -> list[int]:
    return [latents.payload_sizes[_size_of(latents, bits)] for bits in latents.bits]


def _links(latents: Latents, bandwidth: int) -> list[CodedLink]:
    design, seed = channel_code_kind(POLAR).design, bytes.fromhex(latents.crc_seed)
    return [CodedLink(design(size, bandwidth, CRC_BITS), seed) for size in latents.payload_sizes]


def _sent(
    latents: Latents, links: list[CodedLink], snr_db: float, noise: Noise, check: BlockCheck
) -> NDArray[np.bool_]:
    """Returns what has arrived (S, Q), each query as block of its own number."""
    bandwidth = links[0].code.uses
    groups: dict[int, list[int]] = {}
    for row, bits in enumerate(latents.bits):
        groups.setdefault(_size_of(latents, bits), []).append(row)
    arrived = np.zeros((noise.seeds, len(latents.bits)), bool)
    for size, rows in groups.items():
        payloads = np.stack([_payload(latents, row, size) for row in rows])
        symbols = links[size].send(payloads)
        for seed in range(noise.seeds):
            received = awgn(symbols, noise(bandwidth, seed)[rows], snr_db)
            check.add(symbols, received)
            arrived[seed, rows] = _arrived(links[size], received, payloads, snr_db)
    return arrived


def _arrived(
    link: CodedLink, received: NDArray[np.floating], payloads: Bits, snr_db: float
) -> NDArray[np.bool_]:
    """Decodes blocks (Q, B), some at a time; True where the payload passes and is right."""
    rows = max(1, _MOST_LLRS // link.code.coded_bits)
    parts = []
    for start in range(0, len(received), rows):
        decoded = link.receive(received[start : start + rows], noise_variance(snr_db))
        right = (decoded.payload == payloads[start : start + rows]).all(axis=1)
        parts.append(decoded.passed & right)
    return np.concatenate(parts)


def _payload(latents: Latents, row: int, size: int) -> Bits:
    packed = np.frombuffer(bytes.fromhex(latents.messages[row]), np.uint8)
    return padded(np.unpackbits(packed, count=latents.bits[row]), latents.payload_sizes[size])
