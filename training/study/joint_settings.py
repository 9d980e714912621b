"""Settings of study B: what is trained together with the network, for how long, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airreid.evaluation.study.cells import MOST_DRAWS
from airreid.validation import FrozenModel
from training.recipes.base import NO_AUGMENTATION, Augmentation, Batches, OptimizerConfig

Kind = Literal["baseline", "jscc-ae", "jscc-fc", "digital"]
BASELINE = "baseline"
"""Name of the recipe whose network and classifier those of the paper's AE begin with."""


class JointRecipe(FrozenModel):
    """One training of network and code together."""

    name: str
    kind: Kind
    begins_with: Literal["public", "baseline"] = "public"
    snr_db: tuple[float, float] = (0.0, 0.0)
    """Bounds that each block's SNR is drawn between."""
    layers: Annotated[int, Field(ge=1, le=8)] = 1
    autoencoder_epochs: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Epochs of the autoencoder alone, on features of the network that it begins with, by L1."""
    autoencoder_learning: OptimizerConfig = OptimizerConfig(
        optimizer="sgd", lr=0.1, schedule="steps", milestones=(150,), weight_decay=5e-4
    )
    epochs: Annotated[int, Field(ge=1, le=1000)]
    learning: OptimizerConfig
    batches: Batches
    augmentation: Augmentation = NO_AUGMENTATION
    loss: Literal["entropy", "retrieval"] = "entropy"
    temperature: Annotated[float, Field(gt=0)] = 0.1
    """Temperature of the retrieval loss."""
    dimensions: Annotated[int, Field(ge=1)] = 256
    """d of a digital scheme."""
    rate_lambda: Annotated[float, Field(gt=0)] = 100.0
    """λ of a digital scheme."""


def _sgd(*milestones: int, head_decay: float | None = None) -> OptimizerConfig:
    """Paper: SGD at 0.01, momentum 0.9, L2 5e-4; the rate falls tenfold at the milestones."""
    return OptimizerConfig(
        optimizer="sgd",
        lr=0.01,
        schedule="steps",
        milestones=milestones,
        weight_decay=5e-4,
        head_weight_decay=head_decay,
    )


_SMALL = Batches(sampler="shuffled", size=16)  # paper: 16
_RANGE = (-10.0, 10.0)
_SEARCH = OptimizerConfig(
    optimizer="adamw", lr=3e-4, head_lr=1e-3, weight_decay=1e-4, warmup_epochs=0.5
)
_SEARCHED: dict[str, object] = {
    "snr_db": _RANGE,
    "learning": _SEARCH,
    "batches": Batches(sampler="cameras", identities=16, images=2),
    "augmentation": Augmentation(),
    "loss": "retrieval",
}
"""Ours: images varied, an SNR for each block, and the loss of a search."""
_AE = JointRecipe(
    name="ae-paper",
    kind="jscc-ae",
    begins_with="baseline",
    layers=3,  # ours: the paper draws FC layers and does not count them
    autoencoder_epochs=200,  # paper
    epochs=40,  # paper: 30 + 10
    learning=_sgd(30),  # paper: 0.01, then 0.001
    batches=_SMALL,
)
_FC = JointRecipe(
    name="fc-paper",
    kind="jscc-fc",
    epochs=50,  # paper
    learning=_sgd(30),  # paper
    batches=_SMALL,
)
RECIPES = (
    JointRecipe(
        name=BASELINE,
        kind="baseline",
        epochs=30,  # paper
        learning=_sgd(),  # paper: 0.01 throughout
        batches=_SMALL,
    ),
    _FC,
    _AE,
    _FC.model_copy(update={"name": "fc-retrieval", **_SEARCHED}),
    # As many epochs as the paper's AE has with its baseline.
    _AE.model_copy(
        update={
            "name": "ae-retrieval",
            "begins_with": "public",
            "autoencoder_epochs": 0,
            "epochs": 70,
            **_SEARCHED,
        }
    ),
    _AE.model_copy(update={"name": "ae-range", "snr_db": _RANGE}),
    JointRecipe(
        name="digital-paper",
        kind="digital",
        epochs=60,  # paper: 30 + 30
        learning=_sgd(30, head_decay=5e-3),  # paper: L2 5e-3 on the encoder
        batches=_SMALL,
    ),
)
"""In the order in which they are trained; each is of use without those after it."""


class JointSettings(FrozenModel):
    """Everything that study B's cells are computed from, beside the images and the network."""

    bandwidths: tuple[int, ...] = (256, 64)
    snrs_db: tuple[float, ...] = (-10.0, -6.0, -3.0, 0.0, 5.0, 10.0, 20.0)
    noise_seeds: Annotated[int, Field(ge=1, le=MOST_DRAWS)] = 10
    seed: Annotated[int, Field(ge=0)] = 0
    recipes: tuple[JointRecipe, ...] = RECIPES


def quick_joint(settings: JointSettings) -> JointSettings:
    """Returns settings that take minutes: one bandwidth, one epoch of everything."""
    recipes = tuple(
        recipe.model_copy(
            update={
                "epochs": 1,
                "autoencoder_epochs": min(2, recipe.autoencoder_epochs),
                "learning": recipe.learning.model_copy(update={"milestones": ()}),
            }
        )
        for recipe in settings.recipes
    )
    return settings.model_copy(
        update={
            "bandwidths": settings.bandwidths[:1],
            "snrs_db": (-10.0, 0.0, 20.0),
            "noise_seeds": 2,
            "recipes": recipes,
        }
    )
