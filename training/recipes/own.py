"""The project's own recipes: what was found to work without the paper's means."""

from __future__ import annotations

from training.recipes.base import Augmentation, Batches, OptimizerConfig, SnrRange, Stage
from training.recipes.recipe import Recipe
from training.recipes.site_steps import NestedStep, NetworkStep, SiteStep
from training.recipes.steps import (
    AutoencoderStep,
    BackboneStep,
    ClosedFormStep,
    CodecStep,
    DigitalSpec,
    DigitalStep,
    JointScheme,
    JointStep,
)

_SCRATCH = OptimizerConfig(
    optimizer="sgd",
    lr=0.1,
    schedule="cosine",
    warmup_epochs=1.0,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    decay_bias_and_norm=False,
)
_REAL = OptimizerConfig(
    optimizer="adamw",
    lr=1e-3,
    schedule="cosine",
    warmup_epochs=1.0,
    weight_decay=0.05,
    decay_bias_and_norm=False,
)
"""For real images from random weights: on 7,239 of them SGD at 0.1 and at 0.03 stood still for
two epochs, in which this learned."""
_PEOPLE = Batches(sampler="identities", identities=16, images=4)
_GROWING = (
    Stage(height=64, width=32, epochs=3),
    Stage(height=96, width=48, epochs=4),
    Stage(height=128, width=64, epochs=3),
    Stage(height=256, width=128, epochs=1),
)
_DIGITAL = (
    DigitalSpec(id="digital-64", dimensions=64, rate_lambda=60.0),
    DigitalSpec(id="digital-256-r1", dimensions=64, rate_lambda=60.0),
    DigitalSpec(id="digital-256", dimensions=128, rate_lambda=500.0),
    DigitalSpec(id="digital-256-r2", dimensions=128, rate_lambda=2000.0),
    DigitalSpec(id="digital-512", dimensions=128, rate_lambda=2000.0),
)

DEMO = Recipe(
    name="demo",
    steps=(
        BackboneStep(
            bn_neck=True,
            stages=_GROWING,
            learning=_SCRATCH,
            batches=_PEOPLE,
            label_smoothing=0.1,
            retrieval_weight=1.0,
            validation_images=256,
        ),
        CodecStep(schemes=("jscc-ae-64", "jscc-ae-256", "jscc-ae-512", "jscc-fc-256")),
        DigitalStep(schemes=_DIGITAL),
        ClosedFormStep(schemes=("jscc-nested-256",)),
    ),
)
"""The demo bundle's, on synthetic people, without ImageNet."""

FROM_SCRATCH = Recipe(
    name="from_scratch",
    steps=(
        BackboneStep(
            bn_neck=True,
            stages=(
                Stage(height=64, width=32, epochs=20),
                Stage(height=128, width=64, epochs=40),
                Stage(height=256, width=128, epochs=10),
            ),
            learning=_REAL,
            batches=_PEOPLE,
            label_smoothing=0.1,
            retrieval_weight=1.0,
            keep="best",
        ),
        CodecStep(schemes=("jscc-ae-64", "jscc-ae-256", "jscc-fc-256"), augmented_copies=4),
        DigitalStep(
            schemes=(DigitalSpec(id="digital-256", dimensions=128, rate_lambda=500.0),),
            augmented_copies=4,
        ),
    ),
)
"""Real images without ImageNet weights: warm-up, cosine, label smoothing, random erasing,
images that grow, and a retrieval loss."""

SHARED_BACKBONE = Recipe(
    name="shared_backbone",
    steps=(
        BackboneStep(
            bn_neck=True,
            weights="none",
            stages=_GROWING,
            learning=_REAL,
            batches=_PEOPLE,
            label_smoothing=0.1,
            retrieval_weight=1.0,
            keep="best",
        ),
        CodecStep(
            schemes=(
                *(f"jscc-ae-{bandwidth}" for bandwidth in (64, 128, 256, 512, 1024)),
                *("jscc-fc-64", "jscc-fc-256"),
            ),
            augmented_copies=4,
        ),
        DigitalStep(schemes=_DIGITAL, augmented_copies=4),
    ),
)
"""One backbone, many schemes: a camera may change its bandwidth without another model.
``--set backbone.weights=imagenet`` where the weights can be had."""

SHARED_AUTOENCODER = Recipe(
    name="shared_autoencoder",
    steps=(
        *SHARED_BACKBONE.steps[:1],
        AutoencoderStep(
            schemes=("jscc-ae-256",),
            snr_db=0.0,
            epochs=200,
            learning=OptimizerConfig(
                lr=0.1, schedule="steps", milestones=(150,), weight_decay=5e-4
            ),
        ),
    ),
)
"""One backbone and the paper's second step on it, its autoencoder by L1: on real people
(docs/results/paper.md) it found more than PCA and linear heads below 10 dB with 256 uses. With
64 uses it found fewer from 0 dB on."""

JOINT = Recipe(
    name="joint",
    steps=(
        BackboneStep(
            bn_neck=True,
            stages=(
                Stage(height=64, width=32, epochs=20),
                Stage(height=128, width=64, epochs=40),
            ),
            learning=_REAL,
            batches=_PEOPLE,
            label_smoothing=0.1,
            retrieval_weight=1.0,
            keep="best",
        ),
        JointStep(
            schemes=(
                JointScheme(id="jscc-ae-joint-64", snr_db=SnrRange(low=-10.0, high=5.0)),
                JointScheme(id="jscc-ae-joint-256", snr_db=SnrRange(low=-10.0, high=5.0)),
            ),
            init="pca",
            stages=(Stage(height=128, width=64, epochs=8),),
            learning=_REAL.model_copy(
                update={
                    "lr": 2e-4,
                    "warmup_epochs": 0.1,
                    "head_lr": 1e-3,
                    "head_weight_decay": 1e-4,
                }
            ),
            batches=_PEOPLE,
            augmentation=Augmentation(random_erasing=0.2),
            label_smoothing=0.1,
            retrieval_weight=1.0,
            keep="best",
        ),
    ),
)
"""Backbone, encoder and decoder together through noise: B = 64 gained most by it."""

SITE = Recipe(name="site", steps=(NetworkStep(), NestedStep(), SiteStep()))
"""A public network and its codes learn a place through noise. ``airreid train run site`` leaves
the last step out unless ``--joint`` asks for it."""

OWN = {
    recipe.name: recipe
    for recipe in (DEMO, FROM_SCRATCH, SHARED_BACKBONE, SHARED_AUTOENCODER, JOINT, SITE)
}
