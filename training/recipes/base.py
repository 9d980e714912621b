"""Parts that steps of a recipe have in common: bounds, image sizes, optimiser, SNR."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from airreid.signal import SNR_DB_MAX
from airreid.validation import FrozenModel

TORCHVISION = ("resnet50", "resnet18", "mobilenet_v3_large")
"""Architectures of torchvision that a recipe may name."""
_TIMM = re.compile(r"timm:[a-z0-9_]+(\.[a-z0-9_]+)?")


def _known(name: str) -> str:
    if name not in TORCHVISION and not _TIMM.fullmatch(name):
        raise ValueError(f"there are {', '.join(TORCHVISION)} and timm:NAME")
    return name


BackboneName = Annotated[str, AfterValidator(_known)]
"""Architecture: one of :data:`TORCHVISION`, or ``timm:`` and a name of timm's."""
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Decibel = Annotated[float, Field(ge=-40, le=60)]
StepName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class SnrRange(FrozenModel):
    """Bounds between which each block's SNR is drawn, uniformly in dB."""

    low: Decibel
    high: Decibel

    @model_validator(mode="after")
    def _ordered(self) -> SnrRange:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} dB is above high {self.high:g} dB")
        return self


def _snr_form(snr: object) -> str:
    """Tells the forms of :data:`Snr` apart, so that a complaint is about the one meant."""
    if isinstance(snr, str):
        return "word"
    return "range" if isinstance(snr, dict | SnrRange) else "value"


Snr = Annotated[
    Annotated[Decibel, Tag("value")]
    | Annotated[Literal["inf"], Tag("word")]
    | Annotated[SnrRange, Tag("range")],
    Discriminator(_snr_form),
]
"""SNR_train: one value in dB, ``"inf"`` for no noise at all, or a range."""


def snr_bounds(snr: Snr) -> tuple[float, float]:
    """Returns lowest and highest training SNR in dB; ``SNR_DB_MAX`` stands for no noise."""
    if isinstance(snr, SnrRange):
        return snr.low, snr.high
    value = SNR_DB_MAX if snr == "inf" else float(snr)
    return value, value


class Stage(FrozenModel):
    """Consecutive epochs at one image size."""

    height: Annotated[int, Field(ge=32, le=512, multiple_of=8)]
    width: Annotated[int, Field(ge=16, le=512, multiple_of=8)]
    epochs: Annotated[int, Field(ge=0, le=1000)]


PAPER_STAGE = Stage(height=256, width=128, epochs=30)
"""Paper: images resized to 256 x 128 (height x width), bicubic; 30 epochs."""


class OptimizerConfig(FrozenModel):
    """Optimiser of a step, and its learning rate over time."""

    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: Positive
    """Learning rate at the start, or its peak where there is a warm-up."""
    schedule: Literal["cosine", "steps"] = "cosine"
    """``cosine``: down to 0 over the step; ``steps``: times ``gamma`` at each milestone."""
    milestones: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = ()
    """Epochs after which a ``steps`` schedule lowers the rate."""
    gamma: Fraction = 0.1
    warmup_epochs: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Epochs over which the rate rises linearly from near 0."""
    momentum: Fraction = 0.9
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 5e-4
    decay_bias_and_norm: bool = True
    """L2 on every weight, as the paper; else not on biases and normalisation gains."""
    head_weight_decay: Annotated[float, Field(ge=0, le=1)] | None = None
    """L2 of a digital scheme's encoder, where it differs."""
    head_lr: Positive | None = None
    """Learning rate of what follows the backbone, where it differs; same schedule."""
    prior_lr: Positive | None = None
    """Learning rate of a digital scheme's prior, where it differs from its encoder's."""


class Batches(FrozenModel):
    """Choice of the images that meet in a batch."""

    sampler: Literal["shuffled", "identities", "cameras", "tracks", "mixed"]
    """``shuffled``: every image once an epoch; ``identities``: several of each person;
    ``cameras``: several of each person by each of two cameras; ``tracks``: several of each track,
    all of one camera; ``mixed``: batches of ``cameras`` of those whom two cameras have seen, and of
    ``tracks`` of the others."""
    size: Annotated[int, Field(ge=2, le=4096)] = 16
    """Images in a shuffled batch."""
    identities: Annotated[int, Field(ge=2, le=4096)] = 16
    images: Annotated[int, Field(ge=1, le=64)] = 4
    """Images of each of the identities; by each of two cameras, where the sampler is of
    cameras or tracks."""


class Augmentation(FrozenModel):
    """Random changes of training images; all of it 0 means none."""

    flip: Fraction = 0.5
    """Probability of a horizontal flip."""
    shift: bool = True
    """Shift by up to a 24th of the height and a 16th of the width."""
    colour_jitter: Annotated[float, Field(ge=0, le=1)] = 0.08
    """Standard deviation of the gain of each colour."""
    brightness: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Largest change of brightness, as a share."""
    random_erasing: Fraction = 0.4
    """Probability of a random rectangle of one colour (Zhong et al., 2017)."""


NO_AUGMENTATION = Augmentation(flip=0, shift=False, colour_jitter=0, brightness=0, random_erasing=0)
"""The paper names none."""


class Engine(FrozenModel):
    """Use of the machine. It changes speed and rounding, not the method."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """``auto``: bf16 where the processor computes it itself, fp16 on older GPUs, else fp32.
    bf16 that is emulated was measured ten times slower than fp32."""
    workers: Annotated[int, Field(ge=-1, le=256)] = -1
    """Processes that prepare images; -1: one per core beside the first on a GPU, none on a
    CPU, where they would take cores from the training."""
    checkpoint_minutes: Annotated[float, Field(gt=0, le=1440)] = 5.0
    """Minutes between checkpoints within an epoch."""
    checkpoint_steps: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Steps between checkpoints within an epoch, too; 0: by time alone."""
    compile: bool = False
    """Pass the backbone through torch.compile."""
    tensorboard: bool = True
