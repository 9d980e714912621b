"""The paper's recipes, with its numbers to the digit.

Source: Jankowski, Gündüz, Mikolajczyk, *Deep Joint Source-Channel Coding for Wireless
Image Retrieval*, ICASSP 2020. Comments say ``paper`` where it prints a number and
``ours`` where it leaves a choice.
"""

from __future__ import annotations

from training.recipes.base import NO_AUGMENTATION, PAPER_STAGE, Batches, OptimizerConfig
from training.recipes.recipe import Recipe
from training.recipes.steps import AutoencoderStep, BackboneStep, JointScheme, JointStep

SNR_DB_TRAIN = 0.0
"""Ours, as a default: the paper trains at several; ``--set joint.schemes=[...]``."""

_BATCHES = Batches(sampler="shuffled", size=16)  # paper: 16


def _sgd(*milestones: int, lr: float = 0.01) -> OptimizerConfig:
    """Paper: SGD, momentum 0.9, L2 5e-4; the rate falls tenfold at the milestones."""
    return OptimizerConfig(
        optimizer="sgd",
        lr=lr,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="steps",
        milestones=milestones,
        gamma=0.1,
    )


BACKBONE = BackboneStep(
    backbone="resnet50",  # paper
    weights="imagenet",  # paper: ImageNet-pretrained
    last_stride=2,  # paper: as torchvision builds it
    bn_neck=False,  # paper: global average pooling, 2048 values
    stages=(PAPER_STAGE,),  # paper: 256 x 128, 30 epochs
    batches=_BATCHES,
    learning=_sgd(),  # paper: 0.01 throughout
    augmentation=NO_AUGMENTATION,  # ours: the paper names none
    label_smoothing=0.0,  # paper: plain cross-entropy
    keep="last",  # ours
)

BASELINE = Recipe(name="paper_baseline", validation_share=0.0, steps=(BACKBONE,))

JSCC_AE = Recipe(
    name="paper_jscc_ae",
    validation_share=0.0,  # paper: all training identities are trained on
    steps=(
        BACKBONE,
        AutoencoderStep(
            schemes=("jscc-ae-256",),  # ours, as a default: paper has B = 64 to 1024
            layers=3,  # ours: the paper draws FC layers and does not count them
            snr_db=SNR_DB_TRAIN,  # ours: noise in this step too
            epochs=200,  # paper
            learning=_sgd(150, lr=0.1),  # paper: 0.1, 0.01 after epoch 150
            batches=_BATCHES,  # ours: the paper's batch of the other steps
        ),
        JointStep(
            schemes=(JointScheme(id="jscc-ae-256", snr_db=SNR_DB_TRAIN),),
            init="trained",  # paper: the autoencoder of step 2
            layers=3,  # as above
            keep_classifier=True,  # paper: the classifier kept from step 1
            stages=(PAPER_STAGE.model_copy(update={"epochs": 40}),),  # paper: 30 + 10
            learning=_sgd(30),  # paper: 0.01, then 0.001
            batches=_BATCHES,
            augmentation=NO_AUGMENTATION,
        ),
    ),
)

JSCC_FC = Recipe(
    name="paper_jscc_fc",
    validation_share=0.0,
    steps=(
        JointStep(
            backbone="resnet50",
            weights="imagenet",  # ours: the paper says end to end, from the same start
            schemes=(JointScheme(id="jscc-fc-256", snr_db=SNR_DB_TRAIN),),
            init="random",  # ours: the initial FC layer is not described
            layers=0,  # paper: one FC layer
            stages=(PAPER_STAGE.model_copy(update={"epochs": 50}),),  # paper: 50
            learning=_sgd(30),  # paper: 0.01, 0.001 after 30
            batches=_BATCHES,
            augmentation=NO_AUGMENTATION,
        ),
    ),
)

DIGITAL = Recipe(
    name="paper_digital",
    validation_share=0.0,
    steps=(
        JointStep(
            backbone="resnet50",
            weights="imagenet",  # ours, as for JSCC FC
            schemes=(
                # paper: d = 64 to 512; ours: 256 as a default, and lambda, which it varies
                JointScheme(id="digital-256", dimensions=256, rate_lambda=100.0),
            ),
            init="random",
            layers=0,  # paper: one FC layer
            stages=(PAPER_STAGE.model_copy(update={"epochs": 60}),),  # paper: 30 + 30
            learning=_sgd(30).model_copy(
                update={"head_weight_decay": 5e-3}  # paper: L2 5e-3 on the encoder
            ),
            batches=_BATCHES,
            augmentation=NO_AUGMENTATION,
        ),
    ),
)

PAPER = {recipe.name: recipe for recipe in (BASELINE, JSCC_AE, JSCC_FC, DIGITAL)}
