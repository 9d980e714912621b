"""Training of backbone and code together, through the noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from airreid.errors import InputError
from airreid.scheme_kinds import bandwidth_of
from training.engine.distributed import Distributed
from training.engine.fit import BatchLoss, Task, Validation
from training.engine.precision import Precision
from training.engine.retrieval import rank1
from training.models.backbone import Backbone
from training.models.channel import Channel
from training.models.scheme_network import SchemeNetwork
from training.recipes.base import snr_bounds
from training.recipes.steps import JointScheme, JointStep, schemes_of
from training.runs.checkpoints import (
    SavedBackbone,
    SavedScheme,
    Weights,
    backbone_path,
    cpu_weights,
    load_scheme,
    save,
    scheme_path,
)
from training.schemes.registry import trained_kind
from training.steps.backbone import (
    features_of,
    gathered,
    identity_loss,
    image_batches,
    new_backbone,
    new_classifier,
    param_groups,
    place,
)
from training.steps.context import RunContext
from training.steps.held_out import LabelledFeatures, validate


def run_joint(step: JointStep, context: RunContext) -> None:
    """Trains every scheme of the step with a backbone of its own."""
    for scheme in step.schemes:
        path = scheme_path(context.out, scheme.id)
        backbone = context.finished_backbone(backbone_path(context.out, scheme.id))
        code = _finished_scheme(path, context.distributed)
        if backbone is None or code is None:
            backbone, code = _train(step, scheme, context)
            if context.distributed.is_main:
                save(path, code)
                save(backbone_path(context.out, scheme.id), backbone)
        context.backbones[scheme.id] = backbone
        context.schemes.append(code)


def _finished_scheme(path: Path, distributed: Distributed) -> SavedScheme | None:
    return distributed.broadcast(lambda: load_scheme(path) if path.exists() else None)


def _train(
    step: JointStep, scheme: JointScheme, context: RunContext
) -> tuple[SavedBackbone, SavedScheme]:
    """Trains one scheme: what it begins with, the task, what is left of it."""
    torch.manual_seed(context.recipe.seed)
    initial = _initial_backbone(step, context)
    network = initial.network()
    code = _initial_code(step, scheme, initial.dim, context)
    classifier = _initial_classifier(step, code, initial, context)
    seconds = context.fit(_task(step, scheme, network, code, classifier, context))
    final = step.stages[-1]
    backbone = replace(
        initial,
        name=scheme.id,
        weights=cpu_weights(network),
        size=(final.height, final.width),
        seconds=initial.seconds + seconds,
        classifier=cpu_weights(classifier),
    )
    saved = SavedScheme(
        id=scheme.id,
        backbone=scheme.id,
        settings=code.settings,
        weights=cpu_weights(code),
        snr_db_train=snr_bounds(scheme.snr_db),
        crc_bits=step.crc_bits,
        channel_code=step.channel_code,
        payload_sizes=step.payload_sizes,
        step="joint",
        rate_lambda=scheme.rate_lambda,
    )
    return backbone, saved


def _task(
    step: JointStep,
    scheme: JointScheme,
    network: Backbone,
    code: SchemeNetwork,
    classifier: nn.Linear,
    context: RunContext,
) -> Task:
    """Describes the training of a backbone, a code and a classifier, all moved to the device."""
    seed, distributed = context.recipe.seed, context.distributed
    parts = nn.ModuleDict({"backbone": network, "code": code, "classifier": classifier})
    forward = place(parts, network, context)
    snr_db = snr_bounds(scheme.snr_db)
    channel = Channel(step.channel, snr_db)

    def loss(
        images: Tensor, labels: Tensor, draws: torch.Generator, precision: Precision
    ) -> BatchLoss:
        feature, identity = gathered(network, forward, images, labels, distributed, precision)
        sent = code.transmit(feature, channel, draws, gallery=bool(step.retrieval_weight))
        logits = classifier(sent.queries)
        error = identity_loss(step, sent.queries, sent.gallery, logits, identity)
        queries = sent.queries.detach()
        top1 = rank1(queries, queries, identity)
        return BatchLoss(sent.objective(error, scheme.rate_lambda), top1, sent.metrics)

    def score(people: LabelledFeatures) -> Validation:
        feature = features_of(network, people.features)
        return validate(code, step.channel, snr_db, people._replace(features=feature), seed)

    return Task(
        name=scheme.id,
        setting=f"{step.name}.learning",
        architecture={
            **network.settings,
            **{f"code_{key}": value for key, value in code.settings.items()},
            "identities": classifier.out_features,
        },
        parts=parts,
        groups=(
            *code.param_groups(step.learning),
            *param_groups(step.learning, network, classifier),
        ),
        learning=step.learning,
        epochs=step.epochs,
        batches=image_batches(step, context),
        loss=loss,
        seed=seed,
        validate=context.validator(step.stages[-1], step.validation_images, score),
        keep=step.keep,
    )


def _initial_backbone(step: JointStep, context: RunContext) -> SavedBackbone:
    """Returns the backbone step's result, or a new backbone where the step names one."""
    if step.backbone is None:
        return context.need_shared_backbone()
    network, origin = new_backbone(step, step.backbone, context)
    final = step.stages[-1]
    size = (final.height, final.width)
    return SavedBackbone("", network.settings, cpu_weights(network), size, origin, 0.0)


def _initial_classifier(
    step: JointStep, code: SchemeNetwork, initial: SavedBackbone, context: RunContext
) -> nn.Linear:
    """Returns the backbone step's classifier where it fits and is wanted, else a new one."""
    classifier = new_classifier(code.embedding_dim, len(context.sets.train.identities))
    trained = initial.classifier if step.keep_classifier else None
    if trained is not None and trained["weight"].shape == classifier.weight.shape:
        classifier.load_state_dict(trained)
    return classifier


def _initial_code(
    step: JointStep, scheme: JointScheme, features: int, context: RunContext
) -> SchemeNetwork:
    """Returns the code before training; the same in every process.

    Raises :class:`InputError` for PCA with more dimensions than the feature has.
    """
    code = trained_kind(scheme.id).new(step, scheme, features)
    size = scheme.dimensions or bandwidth_of(scheme.id)
    if step.init == "pca" and size > features:
        raise InputError(
            f"scheme {scheme.id}: init=pca cannot reach beyond the feature's {features}"
        )

    def weights() -> Weights:
        if step.init == "trained":
            return _trained_weights(step, scheme, code, context)
        if step.init == "pca":
            data = context.head_data(context.need_shared_backbone())
            code.init_from_pca(data.features, step.init_spread)
        return cpu_weights(code)

    code.load_state_dict(context.distributed.broadcast(weights))
    return code


def _trained_weights(
    step: JointStep, scheme: JointScheme, code: SchemeNetwork, context: RunContext
) -> Weights:
    """Returns what a step on the shared backbone has left for this scheme.

    Raises :class:`InputError` where that is a network of other settings.
    """
    source = next(
        earlier
        for earlier in context.recipe.steps
        if context.recipe.prepares(earlier) and scheme.id in schemes_of(earlier)
    )
    trained = load_scheme(scheme_path(context.out, scheme.id, source.name))
    if trained.settings != code.settings:
        raise InputError(
            f"scheme {scheme.id}: step {source.name} made {trained.settings}, "
            f"step {step.name} wants {code.settings}"
        )
    return trained.weights
