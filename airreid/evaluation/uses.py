"""Top-1 against channel uses: fixed prefixes, blocks that end when enough was heard, an oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import Bundle
from airreid.datasets.dataset import DataSet
from airreid.digital.piece_replay import pack_pieces_each, receive_pieces
from airreid.digital.scheme import DigitalScheme
from airreid.errors import InputError
from airreid.evaluation.evaluate import Settings
from airreid.evaluation.features import Phase, extract_test
from airreid.evaluation.interval import Mean, mean_of
from airreid.evaluation.points import scheme_points
from airreid.evaluation.retrieval_features import RetrievalFeatures
from airreid.nested.calibration import LOSSES, stopped_at
from airreid.nested.replay import Identities
from airreid.nested.scheme import NestedScheme
from airreid.nested.stopping import ACCEPTED_LOSS, StoppingRule, StoppingSettings
from airreid.noise import NoiseStream
from airreid.offline import LINK_NAME, pack_each, transmit
from airreid.payload import Analog, Coded
from airreid.retrieval import NearestMatch, cosine
from airreid.scheme import piece_of
from airreid.scheme_info import DigitalInfo, NestedInfo
from airreid.scheme_kinds import open_scheme

FIXED, ADAPTIVE, ORACLE = "fixed", "adaptive", "oracle"
DIGITAL, DIGITAL_PIECES = "digital", "digital-pieces"


@dataclass(frozen=True)
class UsesPoint:
    """One way to send at one SNR: what it costs and what it finds."""

    scheme: str
    way: str
    """``fixed``: so many uses for every query; ``adaptive``: until the stopping rule is content;
    ``oracle``: until the truth is found, as fast as any rule that loses nothing could be;
    ``digital``: all of a digital scheme over its coded link; ``digital-pieces``: until its CRC
    passes, or no more may be sent."""
    snr_db: float
    uses_mean: float
    uses_half_width: float | None
    """Half of the 95 % interval over the noise seeds; None where nothing varies."""
    top1: float
    top1_half_width: float | None
    accepted_loss: float | None = None
    """Loss in top-1 that the stopping rule was told to accept."""


def nested_schemes(bundle: Bundle, wanted: Sequence[str]) -> list[NestedInfo]:
    """Returns the bundle's nested schemes, or those wanted. Raises :class:`InputError` for none."""
    infos = [bundle.scheme(scheme_id) for scheme_id in wanted] or list(bundle.manifest.schemes)
    nested = [info for info in infos if isinstance(info, NestedInfo)]
    if not nested:
        raise InputError(
            f"--figure uses: no nested scheme in {bundle.path}; make one with 'airreid adopt "
            "--scheme jscc-nested-256'"
        )
    return nested


def measure_uses(
    bundle: Bundle, data: DataSet, settings: Settings, phase: Phase
) -> list[UsesPoint]:
    """Measures every nested scheme, and beside it the digital ones of its feature space.

    Raises :class:`InputError` for a bundle without a nested scheme, and for a protocol that draws
    one gallery image of each person.
    """
    if data.single_shot:
        raise InputError("--figure uses: not of a protocol with one gallery image of a person")
    points: list[UsesPoint] = []
    for info in nested_schemes(bundle, settings.schemes):
        backbone = bundle.backbone_of(info.space_id)
        test = extract_test(bundle, backbone, data, settings.cache, 0, phase).test
        scheme = open_scheme(bundle, info, settings.threads)
        assert isinstance(scheme, NestedScheme)
        tick = phase(info.id, len(settings.snrs_db) * settings.seeds)
        for snr_db in settings.snrs_db:
            points += nested_points(scheme, test, snr_db, settings.seeds, tick)
    spaces = {info.space_id for info in nested_schemes(bundle, settings.schemes)}
    for digital in bundle.manifest.schemes:
        if isinstance(digital, DigitalInfo) and digital.space_id in spaces:
            backbone = bundle.backbone_of(digital.space_id)
            test = extract_test(bundle, backbone, data, settings.cache, 0, phase).test
            scheme = open_scheme(bundle, digital, settings.threads)
            assert isinstance(scheme, DigitalScheme)
            points += _digital_points(bundle, scheme, test, settings, phase)
            if piece_of(digital):
                tick = phase(f"{digital.id} in pieces", len(settings.snrs_db) * settings.seeds)
                blocks = pack_pieces_each(scheme, test.queries)
                points += [
                    digital_pieces_point(scheme, test, blocks, snr_db, settings.seeds, tick=tick)
                    for snr_db in settings.snrs_db
                ]
    return points


def digital_pieces_point(
    scheme: DigitalScheme,
    test: RetrievalFeatures,
    blocks: Sequence[Coded],
    snr_db: float,
    seeds: int,
    stopping: StoppingSettings | None = None,
    tick: Callable[[], object] = lambda: None,
) -> UsesPoint:
    """Measures a digital scheme in pieces at one SNR: by default it has its bandwidth at most.

    blocks: the queries, packed in pieces.
    """
    stopping = stopping or StoppingSettings()
    gallery = scheme.gallery(test.gallery)
    nearest = NearestMatch(test.query_labels, test.gallery_labels)
    uses, top1 = [], []
    for seed in range(seeds):
        received = receive_pieces(scheme, stopping, blocks, snr_db, NoiseStream(seed, LINK_NAME), 0)
        hits = nearest.hits(cosine(received.embeddings, gallery))
        top1.append(float((hits & ~received.lost[nearest.counted]).mean()))
        uses.append(float(received.uses[nearest.counted].mean()))
        tick()
    uses_mean, top1_mean = mean_of(uses), mean_of(top1)
    return UsesPoint(
        scheme.info.id,
        DIGITAL_PIECES,
        snr_db,
        round(uses_mean.value, 2),
        _half_width(uses_mean),
        round(top1_mean.value, 5),
        _half_width(top1_mean),
    )


def _digital_points(
    bundle: Bundle, scheme: DigitalScheme, test: RetrievalFeatures, settings: Settings, phase: Phase
) -> list[UsesPoint]:
    info = scheme.info
    tick = phase(info.id, len(settings.snrs_db))
    seeds = range(settings.seeds)
    measured = scheme_points(bundle.bundle_id, scheme, "coded", test, settings.snrs_db, seeds, tick)
    return [
        UsesPoint(
            info.id,
            DIGITAL,
            float(point.snr_db or 0.0),
            float(point.bandwidth),
            None,
            point.top1,
            point.top1_half_width,
        )
        for point in measured
    ]


@dataclass(frozen=True)
class _Heard:
    """Queries at one SNR and noise seed after each of their pieces, those that count."""

    log_odds: NDArray[np.float64] | None
    """(Q, K); None without a rule."""
    right: NDArray[np.bool_]
    """(Q, K)."""


def nested_points(
    scheme: NestedScheme,
    test: RetrievalFeatures,
    snr_db: float,
    seeds: int,
    tick: Callable[[], object] = lambda: None,
) -> list[UsesPoint]:
    """Measures a nested scheme at one SNR: every prefix, the rule at each loss, the oracle."""
    info = scheme.info
    assert isinstance(info, NestedInfo)
    whole = [p for p in pack_each(scheme, "analog", test.queries) if isinstance(p, Analog)]
    gallery = scheme.gallery(test.gallery).astype(np.float64)
    nearest = NearestMatch(test.query_labels, test.gallery_labels)
    identities = Identities(test.gallery_labels.identity)
    passes = []
    for seed in range(seeds):
        received = transmit(whole, snr_db, NoiseStream(seed, LINK_NAME), 0)
        symbols = np.stack([p.symbols for p in received if isinstance(p, Analog)])
        passes.append(_heard(info, symbols, gallery, nearest, identities, snr_db))
        tick()

    def point(
        way: str, steps: Sequence[NDArray[np.int64]], accepted: float | None = None
    ) -> UsesPoint:
        uses = mean_of([float((step + 1).mean()) * info.piece for step in steps])
        rows = np.arange(len(passes[0].right))
        hits = [
            float(heard.right[rows, step].mean()) for heard, step in zip(passes, steps, strict=True)
        ]
        top1 = mean_of(hits)
        return UsesPoint(
            info.id,
            way,
            snr_db,
            round(uses.value, 2),
            _half_width(uses) if way != FIXED else None,
            round(top1.value, 5),
            _half_width(top1),
            accepted,
        )

    count, queries = passes[0].right.shape[1], len(passes[0].right)
    points = [point(FIXED, [np.full(queries, step, np.int64)] * seeds) for step in range(count)]
    if info.stopping is not None:
        for loss in LOSSES:
            threshold = info.stopping.threshold(snr_db, loss, repeated=False)
            steps = [
                stopped_at(heard.log_odds, threshold)
                for heard in passes
                if heard.log_odds is not None
            ]
            points.append(point(ADAPTIVE, steps, loss))
    # told the truth: the first piece of those who are never found, else the first right one
    found_last = [np.where(h.right[:, -1], h.right.argmax(axis=1), 0) for h in passes]
    points.append(_with_top1(point(ORACLE, found_last), points[count - 1]))
    return points


def _with_top1(oracle: UsesPoint, everything: UsesPoint) -> UsesPoint:
    """The oracle's uses at the top-1 of everything: whom that misses, it may hit by luck."""
    return UsesPoint(
        **{
            **asdict(oracle),
            "top1": everything.top1,
            "top1_half_width": everything.top1_half_width,
        }
    )


def _heard(
    info: NestedInfo,
    symbols: NDArray[np.float32],
    gallery: NDArray[np.float64],
    nearest: NearestMatch,
    identities: Identities,
    snr_db: float,
) -> _Heard:
    rule: StoppingRule | None = info.stopping
    products = np.zeros((len(symbols), len(gallery)))
    odds, right = [], []
    for start in range(0, info.bandwidth, info.piece):
        columns = slice(start, start + info.piece)
        products += symbols[:, columns].astype(np.float64) @ gallery[:, columns].T
        right.append(nearest.hits(products))
        if rule is not None:
            log_odds = rule.log_odds(identities.best(products), snr_db)
            odds.append(log_odds[nearest.counted])
    return _Heard(np.stack(odds, axis=1) if odds else None, np.stack(right, axis=1))


def _half_width(mean: Mean) -> float | None:
    return round(mean.half_width, 5) if np.isfinite(mean.half_width) else None


def uses_description(description: dict[str, Any], points: Sequence[UsesPoint]) -> dict[str, Any]:
    """Every point with what it takes to get it again."""
    text = "fixed: so many uses for every query; adaptive: until the stopping rule is content; "
    text += "oracle: told the truth, at the top-1 of everything; digital: a scheme's coded link; "
    text += "digital-pieces: the same piece by piece until the CRC passes"
    return {
        **description,
        "figure": "uses",
        "ways": text,
        "accepted_loss_default": ACCEPTED_LOSS,
        "points": [asdict(point) for point in points],
    }
