"""Backbone and code trained together, through the noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from airreid.codecs.pca import fit_pca
from airreid.errors import InputError
from airreid.scheme_kinds import bandwidth_of, kind_of
from training.engine.fit import Loss, Task, fit
from training.engine.losses import match_rate, nearest_hit_rate
from training.engine.precision import Precision
from training.engine.schedule import ParamGroup
from training.models.backbone import Backbone
from training.models.channel import Channel
from training.models.codec import Codec
from training.models.digital import Digital
from training.recipes.base import OptimizerConfig, snr_bounds
from training.recipes.steps import JointScheme, JointStep, schemes_of
from training.runs.checkpoints import (
    SavedBackbone,
    SavedScheme,
    Weights,
    backbone_path,
    load_scheme,
    save,
    scheme_path,
)
from training.steps.backbone import (
    cpu_weights,
    features_of,
    final_size,
    first_weights,
    groups,
    identity_loss,
    image_batches,
    new_classifier,
    place,
)
from training.steps.context import RunContext
from training.steps.digital import init_from_pca

_TESTED_SNRS = 3
"""Of the training range, where the best epoch is chosen."""


def run_joint(step: JointStep, context: RunContext) -> None:
    """Trains every scheme of the step with a backbone of its own."""
    for spec in step.schemes:
        paths = backbone_path(context.out, spec.id), scheme_path(context.out, spec.id)
        backbone = context.keep(paths[0])
        scheme = context.distributed.broadcast(
            lambda path=paths[1]: load_scheme(path) if path.exists() else None  # type: ignore[misc]
        )
        if backbone is None or scheme is None:
            backbone, scheme = _train(step, spec, context)
            if context.distributed.is_main:
                save(paths[1], scheme)
                save(paths[0], backbone)
        context.backbones[spec.id] = backbone
        context.schemes.append(scheme)


def _train(
    step: JointStep, spec: JointScheme, context: RunContext
) -> tuple[SavedBackbone, SavedScheme]:
    seed, distributed = context.recipe.seed, context.distributed
    torch.manual_seed(seed)
    begun = _begin(step, context)
    network = begun.network()
    code = _start(step, spec, begun, context)
    decoded = spec.dimensions if spec.dimensions else _embedding(code)
    classifier = new_classifier(decoded, int(context.sets.train.labels().max()) + 1)
    if step.keep_classifier and begun.classifier is not None:
        kept = begun.classifier["weight"]
        if kept.shape == classifier.weight.shape:
            classifier.load_state_dict(begun.classifier)
    parts = nn.ModuleDict({"backbone": network, "code": code, "classifier": classifier})
    placed, forward = place(parts, context.recipe.engine, context)
    network_now: Any = placed["backbone"]
    code_now: Any = placed["code"]
    head: Any = placed["classifier"]
    bounds = snr_bounds(spec.snr_db)
    channel = Channel(step.channel, bounds)

    def loss(images: Tensor, target: Tensor, draws: torch.Generator, precision: Precision) -> Loss:
        with precision.autocast():
            pooled = forward(images)
        feature = network_now.neck(distributed.gather(pooled.float()))
        identity = distributed.gather(target)
        if isinstance(code_now, Digital):
            latent = code_now.head(feature)
            noise = torch.rand(latent.shape, generator=draws).to(latent.device) - 0.5
            query = gallery = latent + noise
            bits = code_now.prior.bits(query).sum(1).mean()
            wrong = identity_loss(step, query, query, head(query), identity)
            value = bits + float(spec.trade or 1.0) * wrong
            more = {"bits": float(bits.detach())}
        else:
            symbols = code_now.encoder(feature)
            query = code_now.decode(channel(symbols, draws)[0])
            gallery = code_now.decode(symbols) if step.retrieval_weight else query
            value = identity_loss(step, query, gallery, head(query), identity)
            more = {}
        return Loss(value, nearest_hit_rate(query.detach(), identity), more)

    def score(images: Tensor, identity: Tensor, cameras: Tensor) -> float:
        feature = features_of(network_now, images)
        return _score(code_now, step, bounds, seed, feature, identity, cameras)

    final = step.stages[-1]
    task = Task(
        name=spec.id,
        setting=step.name,
        architecture={
            **network.settings,
            **{f"code_{key}": value for key, value in code.settings.items()},
            "identities": classifier.out_features,
        },
        parts=placed,
        groups=_groups(step.learning, network_now, code_now, head),
        learning=step.learning,
        epochs=step.epochs,
        batches=image_batches(step, context),
        loss=loss,
        seed=seed,
        validate=context.validator(final, step.validation_images, score),
        keep=step.keep,
    )
    report = lambda progress: context.report.network(spec.id, progress)  # noqa: E731
    fitted = fit(task, context.recipe.engine, context.out, distributed, report)
    backbone = replace(
        begun,
        stem=spec.id,
        weights=cpu_weights(network_now),
        size=final_size(step.stages),
        seconds=begun.seconds + fitted.seconds,
        classifier=cpu_weights(head),
    )
    scheme = SavedScheme(
        id=spec.id,
        backbone=spec.id,
        settings=code.settings,
        weights=cpu_weights(code_now),
        snr_db_train=bounds,
        crc_bits=step.crc_bits,
        payload_sizes=step.payload_sizes,
        step="joint",
        rate_lambda=spec.trade,
    )
    return backbone, scheme


def _groups(
    learning: OptimizerConfig, backbone: nn.Module, code: Codec | Digital, classifier: nn.Module
) -> tuple[ParamGroup, ...]:
    """The digital encoder may decay by itself; its prior, a density, does not decay."""
    if not isinstance(code, Digital):
        return groups(learning, backbone, code, classifier)
    own = learning.head_weight_decay
    decay = learning.weight_decay if own is None else own
    lr = learning.head_lr or learning.lr
    first = (ParamGroup(code.head, lr, decay), ParamGroup(code.prior, lr, 0.0))
    return (*first, *groups(learning, backbone, classifier))


def _begin(step: JointStep, context: RunContext) -> SavedBackbone:
    """The backbone step's result, or a new backbone where the step names one."""
    if step.backbone is None:
        return context.need_trunk()
    network = Backbone(step.bn_neck, step.backbone, step.last_stride)
    origin = first_weights(network, step.weights, context.distributed)
    size = final_size(step.stages)
    return SavedBackbone("", network.settings, cpu_weights(network), size, origin, 0.0)


def _start(
    step: JointStep, spec: JointScheme, begun: SavedBackbone, context: RunContext
) -> Codec | Digital:
    """The code before training; the same in every process."""
    kind, bandwidth, dim = kind_of(spec.id), bandwidth_of(spec.id), begun.dim
    if step.start == "pca" and (spec.dimensions or bandwidth) > dim:
        raise InputError(f"scheme {spec.id}: start=pca cannot reach beyond the feature's {dim}")
    made: Codec | Digital
    if kind == "digital":
        made = Digital(dim, spec.dimensions or bandwidth)
    else:
        made = Codec(kind, dim, bandwidth, 0, step.layers)

    def weights() -> Weights:
        if step.start == "trained":
            return _trained_weights(step, spec, made, context)
        if step.start == "pca":
            features = context.people(context.need_trunk()).features
            if isinstance(made, Digital):
                return cpu_weights(
                    init_from_pca(made.prior.dimensions, step.start_spread, features)
                )
            pca = fit_pca(features, bandwidth)
            mean = torch.from_numpy(pca.mean)
            made.init_encoder_from_pca(mean, torch.from_numpy(pca.components))
            if made.decoder is not None:
                made.init_decoder_as_isometry(torch.from_numpy(features), mean)
        return cpu_weights(made)

    made.load_state_dict(context.distributed.broadcast(weights))
    return made


def _trained_weights(
    step: JointStep, spec: JointScheme, made: Codec | Digital, context: RunContext
) -> Weights:
    """What a step on the frozen backbone has left for this scheme."""
    before = next(
        one
        for one in context.recipe.steps
        if context.recipe.prepares(one) and spec.id in schemes_of(one)
    )
    kept = load_scheme(scheme_path(context.out, spec.id, before.name))
    if kept.settings != made.settings:
        raise InputError(
            f"scheme {spec.id}: step {before.name} made {kept.settings}, "
            f"step {step.name} wants {made.settings}"
        )
    return kept.weights


def _embedding(code: Codec | Digital) -> int:
    """Values of what is compared with the gallery."""
    if isinstance(code, Digital):
        return code.prior.dimensions
    return code.bandwidth if code.decoder is None else int(code.settings["features"])


@torch.no_grad()
def _score(
    code: Codec | Digital,
    step: JointStep,
    bounds: tuple[float, float],
    seed: int,
    feature: Tensor,
    identity: Tensor,
    cameras: Tensor,
) -> float:
    """Top-1 of held-out people, averaged over SNRs of the training range, fixed noise."""
    if isinstance(code, Digital):
        latent = code.head(feature).round()
        return match_rate(latent, latent, identity, cameras)
    symbols = code.encoder(feature)
    gallery = code.decode(symbols)
    draws = torch.Generator().manual_seed(seed)
    rates = []
    for snr_db in torch.linspace(*bounds, _TESTED_SNRS).tolist():
        received, _ = Channel(step.channel, snr_db)(symbols, draws)
        rates.append(match_rate(code.decode(received), gallery, identity, cameras))
    return sum(rates) / len(rates)
