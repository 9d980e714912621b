"""Accuracy over a channel: rank-1 and mAP with intervals over noise seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.api.channel import Channel
from airreid.api.checks import check_names, seed_list
from airreid.api.crops import Images
from airreid.api.gallery import Gallery
from airreid.api.model import Floats
from airreid.api.remote_channel import RemoteChannel
from airreid.errors import InputError
from airreid.evaluation.exact_retrieval import retrieve
from airreid.evaluation.interval import Mean, mean_of
from airreid.payload import Link
from airreid.retrieval import Labels, Retrieval


@dataclass(frozen=True)
class Accuracy:
    """Retrieval metrics, each a mean over noise seeds with its 95 % half-width.

    Example:
        >>> import airreid
        >>> gallery = airreid.Gallery(airreid.Model())
        >>> people, queries = airreid.synthetic_people(3)
        >>> _ = gallery.add(*people)
        >>> result = airreid.evaluate(gallery, *queries, airreid.channel(snr_db=30), seeds=2)
        >>> f"{result.top1.value:.2f} {result.queries} {result.outage}"
        '1.00 9 0.0'
    """

    queries: int
    """Queries with a counterpart in the gallery; the others do not count."""
    top1: Mean
    """Share of queries whose best entry is right, 0 to 1: rank-1."""
    top5: Mean
    mean_ap: Mean
    """Mean average precision, 0 to 1."""
    outage: float
    """Share of queries whose bits were lost, which count as not found."""


def evaluate(
    gallery: Gallery,
    images: Images | Floats,
    subjects: Sequence[str],
    cameras: Sequence[str] | None = None,
    channel: Channel | RemoteChannel | None = None,
    seeds: int | Iterable[int] = 5,
    link: Link | None = None,
) -> Accuracy:
    """Searches labelled queries in a gallery, over a channel, once for each noise seed.

    By the field's rules: gallery entries of the query's subject *and* camera are left out
    of its ranking. Query i is block i of the channel's link, so AWGN of the same seeds gives
    the figures of ``airreid evaluate``, and a rerun the same ones.

    Args:
        gallery: Known people; its model encodes and decodes.
        images: Queries: crops, or features float (Q, feature_dim).
        subjects: Who is on each.
        cameras: Which camera took each; without them no entry is left out.
        channel: What the blocks cross; None for a perfect wire.
        seeds: How many noise seeds, counted from 0, or the seeds themselves.
        link: As for :meth:`Model.encode`.

    Raises:
        airreid.InputError: for names that are not as many, no seed, and queries none of
            which has a counterpart.

    Example:
        >>> import airreid
        >>> people, queries = airreid.synthetic_people(3)
        >>> gallery = airreid.Gallery(airreid.Model(scheme_id="digital-256"))
        >>> _ = gallery.add(*people)
        >>> airreid.evaluate(gallery, *queries, airreid.channel(snr_db=-20), seeds=1).outage
        1.0
    """
    model = gallery.model
    blocks = model.encode(images, link)
    query_labels, gallery_labels = _labels(gallery, len(blocks), subjects, cameras)
    chosen = seed_list(seeds)
    results: list[Retrieval] = []
    lost: list[float] = []
    for seed in chosen if channel is not None else chosen[:1]:
        received = (
            model.decode(blocks)
            if channel is None
            else model.decode(*channel.transmit(blocks, seed=seed))
        )
        results.append(
            retrieve(
                received.embeddings,
                query_labels,
                gallery.embeddings,
                gallery_labels,
                received.lost,
            )
        )
        lost.append(float(received.lost.mean()))
    if not results[0].queries:
        raise InputError("no query has its subject in the gallery by another camera")
    return Accuracy(
        results[0].queries,
        mean_of([result.top1 for result in results]),
        mean_of([result.top5 for result in results]),
        mean_of([result.mean_ap for result in results]),
        float(np.mean(lost)),
    )


def _labels(
    gallery: Gallery, queries: int, subjects: Sequence[str], cameras: Sequence[str] | None
) -> tuple[Labels, Labels]:
    """Labels of queries and gallery that compare with each other."""
    subjects = check_names(subjects, "subjects")
    cameras = None if cameras is None else check_names(cameras, "cameras")
    if len(subjects) != queries or (cameras is not None and len(cameras) != queries):
        raise InputError(
            f"{len(subjects)} subjects"
            + ("" if cameras is None else f" and {len(cameras)} cameras")
            + f" for {queries} queries; give one for each"
        )
    people = _numbers([*gallery.subjects, *subjects])
    places = np.r_[np.zeros(len(gallery), np.int64), np.ones(queries, np.int64)]
    if cameras is not None:
        places = _numbers([*gallery.cameras, *cameras])
    size = len(gallery)
    return Labels(people[size:], places[size:]), Labels(people[:size], places[:size])


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    number = {name: position for position, name in enumerate(sorted(set(names)))}
    return np.asarray([number[name] for name in names], np.int64)
