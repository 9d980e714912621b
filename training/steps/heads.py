"""Heads on features of the shared backbone: trained once, by the main process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from airreid.codecs.comparison import SNRS_DB
from training.models.nested_code import NestedNetwork
from training.models.scheme_network import SchemeNetwork
from training.recipes.base import snr_bounds
from training.recipes.steps import (
    AutoencoderStep,
    ClosedFormStep,
    CodecStep,
    DigitalStep,
    HeadStep,
)
from training.runs.checkpoints import (
    SavedScheme,
    cpu_weights,
    load_scheme,
    save,
    scheme_path,
)
from training.steps.autoencoder import train_autoencoder
from training.steps.closed_form import fit_closed_form
from training.steps.context import HeadData, RunContext
from training.steps.digital import train_digital
from training.steps.linear_codec import train_codec

Train = Callable[[HeadData, RunContext, str], SchemeNetwork]
"""(data, context, name of the checkpoints) -> the trained network."""


def run_heads(step: HeadStep, context: RunContext) -> None:
    """Trains a step's heads on the shared backbone's features; only in the main process.

    Schemes that a joint step goes on with are left for it and not exported.
    """
    backbone = context.need_shared_backbone()
    if not context.distributed.is_main or not step.schemes:
        return
    data = context.head_data(backbone, step.augmented_copies)
    schemes = train_heads(step, data, backbone.name, context)
    if not context.recipe.prepares(step):
        context.schemes += schemes


def train_heads(
    step: HeadStep,
    data: HeadData,
    backbone: str,
    context: RunContext,
    leave_out: tuple[str, ...] = (),
) -> list[SavedScheme]:
    """Returns the step's schemes but for ``leave_out``, trained now or in an earlier run.

    ``backbone``: name of the backbone that the features are of. Raises
    :class:`training.engine.progress.TrainingError` when a loss is not finite.
    """
    suffix = step.name if context.recipe.prepares(step) else ""
    schemes = []
    for scheme_id, train in _trainings(step):
        if scheme_id in leave_out:
            continue
        path = scheme_path(context.out, scheme_id, suffix)
        if path.exists():
            schemes.append(load_scheme(path))
            continue
        network = train(data, context, path.name.removesuffix(".scheme.pt"))
        scheme = _saved(step, scheme_id, backbone, network)
        save(path, scheme)
        schemes.append(scheme)
    return schemes


def _trainings(step: HeadStep) -> Iterator[tuple[str, Train]]:
    """Yields the id of each scheme, and how it is trained."""
    if isinstance(step, CodecStep):
        for scheme_id in step.schemes:
            yield scheme_id, partial(train_codec, scheme_id, step)
    elif isinstance(step, AutoencoderStep):
        for scheme_id in step.schemes:
            yield scheme_id, partial(train_autoencoder, scheme_id, step)
    elif isinstance(step, ClosedFormStep):
        for scheme_id in step.schemes:
            yield scheme_id, partial(fit_closed_form, scheme_id, step)
    else:
        for scheme in step.schemes:
            yield scheme.id, partial(train_digital, scheme, step)


def _saved(step: HeadStep, scheme_id: str, backbone: str, network: SchemeNetwork) -> SavedScheme:
    scheme = SavedScheme(
        id=scheme_id,
        backbone=backbone,
        settings=network.settings,
        weights=cpu_weights(network),
        snr_db_train=_trained_at(step),
        step=step.kind,
    )
    if isinstance(network, NestedNetwork) and network.stopping is not None:
        return replace(scheme, stopping=network.stopping.model_dump(mode="json"))
    if not isinstance(step, DigitalStep):
        return scheme
    rate_lambda = {spec.id: spec.rate_lambda for spec in step.schemes}[scheme_id]
    return replace(
        scheme,
        crc_bits=step.crc_bits,
        channel_code=step.channel_code,
        payload_sizes=step.payload_sizes,
        rate_lambda=rate_lambda,
    )


def _trained_at(step: HeadStep) -> tuple[float, float]:
    """Returns the range of SNR that a step's schemes are for."""
    if isinstance(step, DigitalStep):
        return 0.0, 0.0
    if isinstance(step, ClosedFormStep):
        return SNRS_DB[0], SNRS_DB[-1]
    return snr_bounds(step.snr_db)
