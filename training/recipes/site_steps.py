"""Steps of the recipe ``site``: a network that others trained learns a place through noise."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from airreid.adopt.preprocessing import ALIASES, PRESETS, Preprocessing, named
from airreid.adopt.schemes import DEFAULT_SCHEMES, parse_schemes
from airreid.channels.registry import ModelName
from airreid.errors import InputError
from airreid.validation import FrozenModel
from training.recipes.base import (
    Augmentation,
    Batches,
    Fraction,
    OptimizerConfig,
    Positive,
    Snr,
    SnrRange,
    StepName,
)


def _share_form(share: object) -> str:
    """Tells a number from a word, so that a complaint is about the one meant."""
    return "word" if isinstance(share, str) else "value"


Share = Annotated[
    Annotated[Fraction, Tag("value")] | Annotated[Literal["auto"], Tag("word")],
    Discriminator(_share_form),
]
"""Share of the trained weights in a network, or ``auto``."""
SITE_SNR = SnrRange(low=-10.0, high=10.0)


class NetworkStep(FrozenModel):
    """A network given as ONNX, its preprocessing, and codes in closed form on its features."""

    kind: Literal["network"] = "network"
    name: StepName = "network"
    schemes: Annotated[tuple[str, ...], Field(min_length=1, max_length=32)] = DEFAULT_SCHEMES
    """Schemes of the bundle, as ``airreid adopt --scheme`` takes them."""
    preset: str | None = None
    """Preprocessing by name; found by trying where it is left out."""
    output: str | None = None
    """Output that is the feature, where the graph has several."""
    resize: Annotated[str, Field(pattern=r"^[0-9]{2,4}x[0-9]{2,4}$")] | None = None
    """HEIGHTxWIDTH of the crops, for a network that takes any size, or another than it declares."""
    weights: Annotated[str, Field(min_length=1)] | None = None
    """Initial weights of a network of timm: ``imagenet``, if left out, ``none`` or a file."""
    last_stride: Literal[1, 2] = 2
    """Stride of the last stage for a file of weights: 1 for those trained so, as fast-reid's."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of :attr:`resize`."""
        if self.resize is None:
            return None
        height, width = self.resize.split("x")
        return int(height), int(width)

    @property
    def preprocessing(self) -> Preprocessing | None:
        """Preprocessing that :attr:`preset` names."""
        return None if self.preset is None else named(self.preset)

    @field_validator("schemes")
    @classmethod
    def _ids(cls, schemes: tuple[str, ...]) -> tuple[str, ...]:
        try:
            parse_schemes(schemes)
        except InputError as error:
            raise ValueError(str(error)) from None
        return schemes

    @field_validator("preset")
    @classmethod
    def _known(cls, preset: str | None) -> str | None:
        if preset is not None and preset not in PRESETS and preset not in ALIASES:
            raise ValueError(f"there are {', '.join((*PRESETS, *ALIASES))}")
        return preset


class NestedStep(FrozenModel):
    """A linear code through noise on the frozen network's features, its prefixes codes too."""

    kind: Literal["nested"] = "nested"
    name: StepName = "heads"
    snr_db: Snr = SITE_SNR
    """SNR_train."""
    channel: ModelName = "awgn"
    iterations: Annotated[int, Field(ge=0, le=100_000)] = 1500
    """Steps of the optimiser; whole epochs of them are done."""
    learning: OptimizerConfig = OptimizerConfig(optimizer="adamw", lr=1e-3, weight_decay=1e-4)
    batches: Batches = Batches(sampler="cameras", identities=192, images=1)
    temperature: Positive = 0.1
    """Temperature of the softmax over cosine similarities in the retrieval loss."""


class SiteStep(FrozenModel):
    """Network and code together through noise, in the minutes that are granted."""

    kind: Literal["site"] = "site"
    name: StepName = "joint"
    minutes: Annotated[float, Field(gt=0, le=10_000)] = 20.0
    """Minutes that the training may take on this machine; fewer epochs are done for them."""
    epochs: Annotated[int, Field(ge=1, le=1000)] | None = None
    """None: from the number of images and the minutes."""
    snr_db: Snr = SITE_SNR
    channel: ModelName = "awgn"
    learning: OptimizerConfig = OptimizerConfig(optimizer="adamw", lr=3e-4, weight_decay=1e-4)
    classifier_lr: Positive = 2e-3
    """Learning rate of the classifiers, which are for training only."""
    warmup_steps: Annotated[int, Field(ge=0, le=10_000)] = 20
    batches: Batches = Batches(sampler="cameras", identities=16, images=2)
    augmentation: Augmentation = Augmentation()
    label_smoothing: Fraction = 0.1
    temperature: Positive = 0.1
    share: Share = "auto"
    """Share of the trained weights beside those of the network as it was given. ``auto``: the
    smallest within a standard error of the best on held-out people, 3/4 without such people."""


SiteRecipeStep = NetworkStep | NestedStep | SiteStep
"""Steps of a recipe that begins with a network given as ONNX."""
