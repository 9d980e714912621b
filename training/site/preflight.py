"""Checks of a network and of the minutes granted, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from airreid.adopt.heads import carried, check_bandwidths
from airreid.adopt.images import spread
from airreid.adopt.network import PlainNetwork, at_size, load_network, read_interface
from airreid.adopt.preprocessing import Preprocessing
from airreid.adopt.schemes import DEFAULT_SCHEMES, parse_schemes
from airreid.adopt.wrapping import wrap
from airreid.errors import InputError
from airreid.images import to_crop
from training.engine.batches import epoch_rows
from training.engine.precision import choose_precision
from training.engine.progress import Report
from training.models.nested import NestedHead
from training.onnx_network.module import OnnxModule, trainable
from training.onnx_network.operators import UnfitWeightsError, UntrainableError
from training.recipes.site_steps import NetworkStep, SiteStep
from training.site.context import SiteContext
from training.site.joint import SiteLoss, check_size, joint_loss
from training.site.people import check_copies
from training.site.plan import Plan, planned_epochs, stored_plan
from training.site.rows import joint_rows
from training.site.timing import seconds_per_epoch, seconds_per_step

_OPTIONS = {
    "--preset": "preset",
    "--output": "output",
    "--resize": "resize",
    "--scheme": "schemes",
}
"""Options of ``airreid adopt``, and the fields that are the same here."""
_LOOKED_AT = 256
"""Images, at most, that are looked at before all of them are."""
_PROOF_IMAGES = 8


@dataclass(frozen=True)
class Preflight:
    """Findings of the checks."""

    why_frozen: str | None = None
    """Reason for which the network cannot be trained; None if it can be, or is not to be."""
    plan: Plan | None = None
    """Epochs of the joint stage; None without one."""
    schemes: tuple[str, ...] = ()
    """Schemes of the bundle: those asked for, or of the usual ones those that the images carry."""


def check(path: Path, context: SiteContext) -> Preflight:
    """Looks at the network and some images, and plans the epochs of the joint stage.

    ``path``: the network as it was given. Raises :class:`InputError` for one that cannot be used,
    people who are one and the same, schemes that the images cannot carry, and minutes that do not
    hold one epoch.
    """
    network_step, site_step = context.recipe.steps[0], context.recipe.steps[-1]
    assert isinstance(network_step, NetworkStep)
    with as_settings(network_step):
        given = _Given(path, network_step, context)
    if not context.only_tracks:
        check_copies(given.crops, given.positions, context.images.fit)
    given.check_features()
    with as_settings(network_step):
        schemes = schemes_for(
            network_step, given.feature_dim, len(context.images.fit), context.report
        )
    if not isinstance(site_step, SiteStep):
        return Preflight(schemes=schemes)
    try:
        module = given.module()
        check_size(given.size)
    except UnfitWeightsError as error:
        raise InputError(
            f"{path}: {error}; or leave out --joint, which trains codes on its features alone"
        ) from None
    except UntrainableError as error:
        return Preflight(why_frozen=str(error), schemes=schemes)
    plan = stored_plan(context.out, site_step.name)
    if plan is None:
        bandwidths = jscc_bandwidths(network_step.name, schemes)
        plan = _planned(site_step, module, given, bandwidths, context)
    return Preflight(plan=plan, schemes=schemes)


def jscc_bandwidths(step: str, schemes: tuple[str, ...]) -> tuple[int, ...]:
    """Rising bandwidths of the JSCC schemes: the prefixes that are trained.

    Raises :class:`InputError` that names the step for schemes without JSCC.
    """
    jscc = {bandwidth for _, kind, bandwidth in parse_schemes(schemes) if kind != "digital"}
    if not jscc:
        raise InputError(
            f"{step}.schemes: no JSCC scheme, so nothing is sent through the noise; add one "
            "or use 'airreid adopt'"
        )
    return tuple(sorted(jscc))


def schemes_for(
    step: NetworkStep, feature_dim: int, images: int, report: Report
) -> tuple[str, ...]:
    """Returns the step's schemes; of the usual ones those that so few images carry, if one is
    JSCC. Raises :class:`InputError` for schemes that the images cannot carry."""
    schemes = step.schemes
    if schemes == DEFAULT_SCHEMES:
        few = carried(schemes, feature_dim, images)
        if any(kind != "digital" for _, kind, _ in parse_schemes(few)):
            schemes = few
    check_bandwidths(parse_schemes(schemes), feature_dim, images)
    missing = [name for name in step.schemes if name not in schemes]
    if missing:
        report.note(
            f"left out, as features of {feature_dim} dimensions of {images} images cannot carry "
            f"them: {', '.join(missing)}"
        )
    return schemes


@contextmanager
def as_settings(step: NetworkStep) -> Iterator[None]:
    """Names the recipe's setting where a complaint names an option of ``airreid adopt``."""
    try:
        yield
    except InputError as error:
        for option, key in _OPTIONS.items():
            if option in str(error):
                raise InputError(f"{error} (here: --set {step.name}.{key}=...)") from None
        raise


class _Given:
    """The network as it was given, with some of the images."""

    def __init__(self, path: Path, step: NetworkStep, context: SiteContext) -> None:
        model = load_network(path)
        self._path, self._interface = path, read_interface(path, model, step.output, step.size)
        self._model = at_size(path, model, self._interface)
        self._plain = PlainNetwork(path, self._interface, torch.get_num_threads(), self._model)
        raw = self._interface.dtype == "uint8"
        self._preprocessing = step.preprocessing or Preprocessing(scale=1.0 if raw else 1 / 255)
        images = context.images.fit
        self.positions = spread(images, _LOOKED_AT)
        samples = [images.samples[position] for position in self.positions.tolist()]
        self.crops = np.stack([to_crop(sample.load(), *self.size) for sample in samples])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the crops."""
        return self._interface.height, self._interface.width

    def features(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (n, H, W, 3) -> (n, D), with the preprocessing if it is known."""
        return self._plain.features(self._preprocessing.apply(crops))

    def check_features(self) -> None:
        """Raises :class:`InputError` for a network that gives NaN or infinity."""
        features = self.features(self.crops[:_PROOF_IMAGES])
        self.feature_dim = features.shape[1]
        if not np.isfinite(features).any():
            raise InputError(
                f"{self._path}: gives NaN or infinity for every image that was tried; export it "
                "again from weights that are finite"
            )

    def module(self) -> OnnxModule:
        """Makes the network trainable. Raises :class:`UntrainableError`."""
        if self._interface.dtype == "float16":
            raise UnfitWeightsError("it is in half precision; export it in float32")
        wrapped = wrap(self._model, self._interface, self._preprocessing, self.feature_dim)
        return trainable(wrapped, self.features, self.crops[:_PROOF_IMAGES])


def _planned(
    step: SiteStep,
    network: OnnxModule,
    given: _Given,
    bandwidths: tuple[int, ...],
    context: SiteContext,
) -> Plan:
    """Measures some steps and plans the epochs; see :func:`planned_epochs` for what it raises."""
    rows = joint_rows(step.batches, context)
    if step.epochs is not None:
        return Plan(step.epochs, None)
    torch.manual_seed(context.recipe.seed)
    head = NestedHead(given.feature_dim, bandwidths)
    nn.init.normal_(head.matrix)
    device = context.distributed.device
    loss = SiteLoss(step, given.feature_dim, head, rows.classes)
    parts = nn.ModuleDict({"network": network, "head": head, "loss": loss}).to(device)
    drawn = epoch_rows(
        rows.labels[rows.rows],
        rows.batches,
        context.recipe.seed,
        0,
        cameras=rows.cameras[rows.rows],
    )
    first = drawn[0]
    images = torch.from_numpy(given.crops[np.arange(len(first)) % len(given.crops)]).float()
    labels = torch.from_numpy(rows.labels[rows.rows][first])
    precision = choose_precision(context.recipe.engine.precision, device)
    per_step = seconds_per_step(parts, joint_loss(parts), images, labels, precision)
    watched = 0 if context.watcher is None else len(context.watcher.rows)
    per_epoch = seconds_per_epoch(per_step, len(drawn), len(first), watched)
    return Plan(planned_epochs(len(rows.rows), step.minutes, per_epoch), per_epoch)
