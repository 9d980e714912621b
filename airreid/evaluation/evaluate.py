"""Evaluation of a bundle on a data set: bound without a channel, PCA, and every scheme."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from airreid.bundle import BackboneInfo, Bundle
from airreid.codecs.pca import Pca, fit_pca
from airreid.datasets.dataset import DataSet
from airreid.datasets.reader import Splits
from airreid.digital.scheme import DigitalScheme
from airreid.errors import InputError
from airreid.evaluation.features import Extracted, Phase, extract_test
from airreid.evaluation.points import (
    Point,
    no_channel_point,
    paper_point,
    pca_points,
    scheme_points,
)
from airreid.offline import LINK_NAME
from airreid.payload import Link
from airreid.scheme import links_of
from airreid.scheme_info import DigitalInfo, SchemeInfo
from airreid.scheme_kinds import open_scheme

PCA_IMAGES = 1200
"""Training images that the linear baseline is fitted on, unless more are asked for."""


@dataclass(frozen=True)
class Settings:
    """Schemes, links, SNRs and noise seeds to measure, and where features are kept."""

    snrs_db: tuple[float, ...]
    cache: Path
    seeds: int = 5
    schemes: tuple[str, ...] = ()
    """Scheme ids; all schemes if empty."""
    links: tuple[Link, ...] = ("analog", "coded", "ideal")
    paper: bool = True
    """Also measure the paper's account of digital schemes."""
    pca_images: int = PCA_IMAGES
    """Training images that PCA is fitted on; 0 for no baseline."""
    threads: int = 2
    channel: str = "awgn"
    """Channel model, with its own settings as they are by default."""


Extract = Callable[[BackboneInfo, DataSet], Extracted]


def evaluate(
    bundle: Bundle,
    data: DataSet,
    settings: Settings,
    phase: Phase,
    extract: Extract | None = None,
) -> list[Point]:
    """Measures every point: per backbone the bound without a channel and PCA, then the schemes.

    ``extract`` gives the features; :func:`extract_test` where it is left out. Raises
    :class:`airreid.errors.BundleError` for a scheme that the bundle has not.
    """
    chosen = [bundle.scheme(scheme_id) for scheme_id in settings.schemes] or list(
        bundle.manifest.schemes
    )
    spaces = {info.space_id: _backbone(bundle, info) for info in chosen}
    points: list[Point] = []
    for space, backbone in spaces.items():
        extracted = (
            extract(backbone, data)
            if extract is not None
            else extract_test(bundle, backbone, data, settings.cache, settings.pca_images, phase)
        )
        members = [info for info in chosen if info.space_id == space]
        measured = [no_channel_point(bundle.bundle_id, backbone.id, extracted.test)]
        measured += _pca_baseline(bundle, members, extracted, settings, phase)
        for info in members:
            measured += _scheme(bundle, info, extracted, settings, phase)
        points += [replace(point, backbone=backbone.id) for point in measured]
    return points


def _backbone(bundle: Bundle, info: SchemeInfo) -> BackboneInfo:
    for backbone in bundle.manifest.backbones:
        if backbone.space_id == info.space_id:
            return backbone
    raise InputError(f"{bundle.path}: no backbone of the space of scheme {info.id}")


def _pca_baseline(
    bundle: Bundle,
    members: Sequence[SchemeInfo],
    extracted: Extracted,
    settings: Settings,
    phase: Phase,
) -> list[Point]:
    """Measures PCA at every bandwidth of the schemes that there are enough images for."""
    most = min(extracted.fitted_on.shape) if len(extracted.fitted_on) else 0
    bandwidths = sorted({info.bandwidth for info in members if info.bandwidth < most})
    if not bandwidths:
        return []
    seeds = range(settings.seeds)
    largest = fit_pca(extracted.fitted_on, bandwidths[-1])
    tick = phase("PCA", len(bandwidths) * len(settings.snrs_db))
    points = []
    for bandwidth in bandwidths:
        pca = Pca(largest.mean, np.ascontiguousarray(largest.components[:bandwidth]))
        test = extracted.test
        points += pca_points(
            bundle.bundle_id, pca, test, settings.snrs_db, seeds, tick, settings.channel
        )
    return points


def _scheme(
    bundle: Bundle, info: SchemeInfo, extracted: Extracted, settings: Settings, phase: Phase
) -> list[Point]:
    scheme = open_scheme(bundle, info, settings.threads)
    links = [link for link in links_of(info) if link in settings.links]
    tick: Callable[[], object] = phase(info.id, len(links) * len(settings.snrs_db))
    points = []
    if isinstance(scheme, DigitalScheme) and settings.paper:
        points.append(paper_point(bundle.bundle_id, scheme, extracted.test))
    for link in links:
        points += scheme_points(
            bundle.bundle_id,
            scheme,
            link,
            extracted.test,
            settings.snrs_db,
            range(settings.seeds),
            tick,
            settings.channel,
        )
    if isinstance(info, DigitalInfo):
        rate_lambda = bundle.rate_lambda(info)
        points = [
            replace(p, dimensions=info.embedding_dim, rate_lambda=rate_lambda) for p in points
        ]
    return points


def about(
    bundles: Sequence[Bundle], data: DataSet, settings: Settings, splits: Splits | None = None
) -> dict[str, Any]:
    """Describes a result: everything that it takes to get it again.

    With ``splits``, of which ``data`` is the first, counts and digest are those of ``data``.
    """
    count = 1 if splits is None else len(splits.data_sets)
    fitted = "codec" if "codec" in data else "train"
    return {
        "data": data.label + (f" and {count - 1} more splits" if splits else ""),
        "form": data.form,
        "protocol": splits.family if splits else data.protocol,
        "splits": count,
        "subset": bool(data.shortfall or data.part or data.missing),
        "data_digest": data.digest(),
        "query_images": len(data["query"]),
        "gallery_images": len(data["gallery"]),
        "identities": len(data["query"].identities),
        "rules": "same identity and camera dropped, junk dropped, distractors kept, "
        "ties in gallery order; a lost query counts as not found"
        + (", one gallery image of an identity drawn 100 times" if data.single_shot else ""),
        "channel": settings.channel,
        "noise": f"seeds 0 to {settings.seeds - 1} of link {LINK_NAME!r}; query i is block i",
        "interval": f"95 %, Student's t over the {'splits' if splits else 'noise seeds'}",
        "pca": f"fitted on {min(settings.pca_images, len(data[fitted]))} of "
        f"{len(data[fitted])} images of subset {fitted}"
        if settings.pca_images
        else "none",
        "bundles": [
            {
                "id": bundle.bundle_id,
                "name": bundle.manifest.name,
                "trained_on": bundle.manifest.provenance.data,
                "recipe": _recipe_name(bundle),
            }
            for bundle in bundles
        ],
        "versions": {
            name: version(name) for name in ("airreid", "numpy", "onnxruntime", "scipy", "pillow")
        },
    }


def _recipe_name(bundle: Bundle) -> str | None:
    recipe = bundle.manifest.provenance.recipe
    return None if recipe is None else recipe.name
