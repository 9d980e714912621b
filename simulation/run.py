"""Starts the processes, enrols a gallery, and sweeps the plan over them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import Bundle, link_bundle
from airreid.client import ChannelClient, GalleryClient, ok
from airreid.errors import InputError
from airreid.images import load, read
from airreid.retrieval import cosine, evaluate_ranking, rank
from airreid.uplink_client import Uplink
from airreid.v1 import gallery_pb2
from edge.encoder import Encoder
from simulation.people import People
from simulation.plan import SimulationPlan, SimulationProgress, SimulationResult
from simulation.processes import Role
from simulation.streaming import SweepContext
from simulation.sweep import sweep


def run(
    bundle: Bundle, people: People, plan: SimulationPlan, progress: SimulationProgress
) -> SimulationResult:
    """Runs the plan over real processes on loopback ports.

    An access point holds features of one space: for schemes on several backbones there is
    one after another. Raises :class:`InputError` for images that cannot be used and
    :class:`LinkError` when a process or a stream breaks.
    """
    wanted = {bundle.scheme(scheme_id).space_id for scheme_id in plan.schemes}
    if len(bundle.spaces) == 1:
        return _run(bundle, people, plan, progress)
    result: SimulationResult | None = None
    for space in (space_id for space_id in bundle.spaces if space_id in wanted):
        with TemporaryDirectory(prefix="airreid-bundle-") as folder:
            part = link_bundle(bundle.of_space(space), Path(folder))
            schemes = tuple(scheme_id for scheme_id in plan.schemes if scheme_id in part.scheme_ids)
            space_result = _run(part, people, replace(plan, schemes=schemes), progress)
        if result is None:
            result = space_result
        else:
            result.points += space_result.points
            result.rankings.update(space_result.rankings)
    if result is None:
        raise InputError(f"{bundle.path}: no scheme to run")
    return result


def _run(
    bundle: Bundle, people: People, plan: SimulationPlan, progress: SimulationProgress
) -> SimulationResult:
    """The plan with schemes of the bundle's first space."""
    encoder = Encoder(bundle, plan.threads)
    gallery_features, _ = _features(encoder, people, False, progress)
    query_features, encode_ms = _features(encoder, people, True, progress)
    labels = people.labels()
    noiseless = evaluate_ranking(
        rank(cosine(query_features, gallery_features)), labels[1], labels[0]
    )
    if noiseless.queries == 0:
        raise InputError(
            f"{people.name}: no query has its identity in the gallery by another camera"
        )
    result = SimulationResult([], noiseless.top1, float(np.median(encode_ms)), {})
    loopback = "127.0.0.1:0"
    with TemporaryDirectory(prefix="airreid-") as data:
        ap_arguments = ["ap", "serve", "--data-dir", data, "--grpc", loopback, "--http", loopback]
        with Role(
            "access point",
            [
                *(*ap_arguments, "--bundle", str(bundle.path), "--threads", str(plan.threads)),
                *("--accepted-loss", str(plan.stopping.accepted_loss)),
                *("--most-uses", str(plan.stopping.most_uses)),
            ],
        ) as ap:
            ap_target = f"127.0.0.1:{ap.ready['grpc_port']}"
            positions = _enrol(ap_target, people, progress)
            channel_arguments = ["channel", "serve", "--listen", loopback, "--upstream", ap_target]
            with Role("channel", channel_arguments) as channel:
                target = f"127.0.0.1:{channel.ready['grpc_port']}"
                with ChannelClient(target) as control, Uplink(target) as uplink:
                    sweep(
                        SweepContext(encoder, people, plan, progress, control, uplink, positions),
                        gallery_features,
                        query_features,
                        result,
                    )
    return result


def _features(
    encoder: Encoder, people: People, queries: bool, progress: SimulationProgress
) -> tuple[NDArray[np.float32], list[float]]:
    crops = people.queries if queries else people.gallery
    progress.phase("encoding queries" if queries else "encoding gallery", len(crops))
    features, times = [], []
    for crop in crops:
        started = time.perf_counter()
        features.append(encoder.features([load(crop.path)])[0])
        times.append((time.perf_counter() - started) * 1e3)
        progress.step()
    return np.stack(features), times


def _enrol(target: str, people: People, progress: SimulationProgress) -> dict[int, int]:
    """Enrols the gallery's images; entry number -> position in ``people.gallery``."""
    progress.phase("enrolling", len(people.gallery))

    def items() -> Iterator[gallery_pb2.EnrollItem]:
        for crop in people.gallery:
            yield gallery_pb2.EnrollItem(
                subject=crop.identity, camera=crop.camera, image=read(crop.path)
            )

    positions = {}
    with GalleryClient(target) as client:
        for position, (_, result) in enumerate(client.enrol(items())):
            if not ok(result.status):
                raise InputError(f"{people.gallery[position].path}: {result.status.message}")
            positions[result.entry_id] = position
            progress.step()
    return positions
