"""The trained network and the public one, their weights mixed so that other places gain too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from airreid.bundle import BackboneInfo, Bundle
from airreid.codecs.statistics import moments
from airreid.errors import ParityError
from airreid.inference import Network
from airreid.scheme_info import FileRef
from training.models.nested import NestedHead
from training.onnx_network.module import (
    TOLERANCE,
    OnnxModule,
    averaged,
    difference,
    with_weights,
)
from training.recipes.site_steps import SiteStep
from training.runs.checkpoints import weights_digest
from training.site.bundle import bare_bundle
from training.site.context import SiteContext
from training.site.joint import Joint, features_of
from training.site.people import training_rows

Weights = dict[str, NDArray[np.float32]]
BLIND_SHARE = 0.75
"""Share of the trained weights where nobody is held out to choose it by."""
SHARES = (0.5, 0.75, 1.0)
"""Shares that are tried, beside the public network."""
_MOST_FITTED = 1500
"""Images, at most, that a share's PCA is fitted on while shares are compared."""


@dataclass(frozen=True)
class Shared:
    """Weights for the bundle, and how their share was chosen."""

    share: float
    rates: dict[float, float]
    """Share to mean top-1 of held-out people through noise; empty where it was not measured."""


def choose_share(
    rates: dict[float, NDArray[np.float64]],
) -> float:
    """Returns the smallest share that held-out people do not tell from the best one.

    ``rates``: share to each held-out person's mean top-1 (people,). A share is told from the best
    where the mean difference is above its standard error over people. Share 0, the public
    network, is chosen only where it is the best itself.
    """
    best = max(rates, key=lambda share: float(rates[share].mean()))
    if best == 0:
        return 0.0
    for share in sorted(share for share in rates if 0 < share < best):
        lead = rates[best] - rates[share]
        if lead.mean() <= lead.std(ddof=1) / np.sqrt(len(lead)):
            return share
    return best


def mix(
    step: SiteStep, public: Weights, joint: Joint, size: tuple[int, int], context: SiteContext
) -> tuple[Weights, Shared]:
    """Mixes the trained network's weights with the ``public`` ones, as the recipe says.

    ``auto`` compares :data:`SHARES` and the public network by PCA of their features on the people
    who are held out.
    """
    trained = joint.network.weights()
    if step.share != "auto":
        return averaged(public, trained, step.share), Shared(step.share, {})
    if context.watcher is None:
        return averaged(public, trained, BLIND_SHARE), Shared(BLIND_SHARE, {})
    rates = {}
    tick = context.report.phase("shares of the trained weights", 1 + len(SHARES))
    by_person = _compare(joint, size, context)
    for share in (0.0, *SHARES):
        load(joint.network, averaged(public, trained, share))
        rates[share] = by_person()
        tick()
    share = choose_share(rates)
    means = {value: round(float(rate.mean()), 4) for value, rate in rates.items()}
    return averaged(public, trained, share), Shared(share, means)


def _compare(
    joint: Joint, size: tuple[int, int], context: SiteContext
) -> Callable[[], NDArray[np.float64]]:
    """Returns a test of the network as it stands: PCA of its features, through the radio."""
    watcher = context.watcher
    assert watcher is not None
    crops = context.crops(size)
    rows = training_rows(context.labels, context.split)
    fitted = rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST_FITTED)).astype(int)]

    def by_person() -> NDArray[np.float64]:
        features = features_of(joint.network, crops[fitted]).cpu().numpy()
        second = moments(features)
        carried = len(second.variances)
        bandwidths = tuple(b for b in joint.head.bandwidths if b <= carried) or (carried,)
        head = NestedHead(features.shape[1], bandwidths)
        head.start_from(second.pca(bandwidths[-1]))
        watched: Tensor = features_of(joint.network, crops[watcher.rows]).cpu()
        return watcher.by_person(head, watched, context.radio)

    return by_person


def load(network: OnnxModule, weights: Weights) -> None:
    """Puts weights, by the names of their initializers, into a module."""
    with torch.no_grad():
        for name, value in network.named_weights():
            value.copy_(torch.from_numpy(weights[name]))


def write_network(
    model: onnx.ModelProto,
    weights: Weights,
    info: BackboneInfo,
    network: OnnxModule,
    folder: Path,
    context: SiteContext,
) -> Bundle:
    """Writes the graph with its new weights as a bundle without schemes, and proves it.

    ``info``: of the public graph. Raises :class:`ParityError` where ONNX Runtime and torch differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "backbone.onnx"
    onnx.save(with_weights(model, weights), path)
    load(network.cpu(), weights)  # a GPU's convolutions round to 10 bits: no proof
    proof = context.proof((info.height, info.width))
    drift = difference(network, Network(path, threads=1), proof)
    if not drift <= TOLERANCE:
        raise ParityError(f"{path}: differs from torch by {drift:.1e}, more than {TOLERANCE:.0e}")
    tensors = {name: torch.from_numpy(value) for name, value in weights.items()}
    update = {
        "id": f"{info.id}-site",
        "file": FileRef.of(path),
        "space_id": weights_digest(tensors),
    }
    return bare_bundle(folder, context.recipe.name, info.model_copy(update=update))
