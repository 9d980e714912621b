"""Steps that recipes are made of: each says what it trains, and on what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from airreid.channels.registry import ModelName
from airreid.digital.channel_code import ChannelCodeName
from airreid.nested.pieces import check_prefix_weights
from airreid.scheme_kinds import bandwidth_of, kind_of, scheme_kind
from airreid.validation import FrozenModel
from training.recipes.base import (
    TORCHVISION,
    Augmentation,
    BackboneName,
    Batches,
    Fraction,
    OptimizerConfig,
    Positive,
    Snr,
    SnrRange,
    Stage,
    StepName,
)
from training.recipes.scheme_ids import NESTED_KINDS, AnyId, DigitalId, JsccId, NestedId
from training.recipes.site_steps import NestedStep, NetworkStep, SiteRecipeStep, SiteStep

AugmentedCopies = Annotated[int, Field(ge=1, le=64)]
"""Copies of each image whose features are learned from: the image and augmented ones."""


class _Images(FrozenModel):
    """Fields of steps that train on images."""

    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    """Small images first: most of the learning at a fraction of the cost."""
    learning: OptimizerConfig
    batches: Batches
    augmentation: Augmentation = Augmentation()
    label_smoothing: Fraction = 0.0
    cross_entropy_weight: Annotated[float, Field(ge=0, le=100)] = 1.0
    retrieval_weight: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Weight of the retrieval loss over the batch, beside cross-entropy over identities."""
    temperature: Positive = 0.1
    """Temperature of the softmax over cosine similarities in the retrieval loss."""
    keep: Literal["best", "last"] = "last"
    """Epoch that is used: the last, or the one with the best validation top-1."""
    validation_images: Annotated[int, Field(ge=0, le=100_000)] = 512
    """Images, at most, for the top-1 after each epoch."""

    @property
    def epochs(self) -> int:
        return sum(stage.epochs for stage in self.stages)

    @model_validator(mode="after")
    def _some_loss(self) -> _Images:
        if self.cross_entropy_weight == 0 and self.retrieval_weight == 0:
            raise ValueError("cross_entropy_weight and retrieval_weight are both 0")
        if self.retrieval_weight and self.batches.sampler == "shuffled":
            raise ValueError("retrieval_weight needs batches.sampler=identities")
        return self


def _check_stride(backbone: str | None, last_stride: int) -> None:
    """Raises ``ValueError`` for a stride that cannot be changed."""
    if last_stride == 1 and backbone not in (None, *TORCHVISION):
        raise ValueError(f"last_stride=1 is for {', '.join(TORCHVISION)}")


class BackboneStep(_Images):
    """The re-ID backbone: identities as classes through one FC layer, for training only."""

    kind: Literal["backbone"] = "backbone"
    name: StepName = "backbone"
    backbone: BackboneName = "resnet50"
    last_stride: Literal[1, 2] = 2
    """1 keeps the last stage's resolution (Luo et al., 2019)."""
    bn_neck: bool = False
    """A batch normalisation after the pooling (Luo et al., 2019)."""
    weights: Annotated[str, Field(min_length=1)] = "none"
    """``none``, ``imagenet`` or a file: see :func:`training.models.weights.load_weights`."""

    @model_validator(mode="after")
    def _stride_fits(self) -> BackboneStep:
        _check_stride(self.backbone, self.last_stride)
        return self


class AutoencoderStep(FrozenModel):
    """Step 2 of the paper: the autoencoder alone, on features of the frozen backbone, L1."""

    kind: Literal["autoencoder"] = "autoencoder"
    name: StepName = "autoencoder"
    schemes: Annotated[tuple[JsccId, ...], Field(min_length=1)]
    layers: Annotated[int, Field(ge=1, le=8)] = 3
    """FC layers of the encoder and of the decoder each."""
    snr_db: Snr
    channel: ModelName = "awgn"
    epochs: Annotated[int, Field(ge=0, le=10_000)]
    learning: OptimizerConfig
    batches: Batches = Batches(sampler="shuffled", size=16)
    augmented_copies: AugmentedCopies = 1


class JointScheme(FrozenModel):
    """A scheme that is trained with a backbone of its own."""

    id: AnyId
    snr_db: Snr = SnrRange(low=-10.0, high=5.0)
    """SNR_train. A digital scheme, which is trained without a channel, does not use it."""
    dimensions: Annotated[int, Field(ge=1, le=2048)] | None = None
    """d, the size of a digital scheme's latent."""
    rate_lambda: Positive | None = None
    """The paper's λ of a digital scheme: bits that one unit of loss is worth."""

    prefix_weights: tuple[float, ...] | None = None
    """Weights of the loss with 1, 2, ... pieces of a nested scheme; None: all alike."""

    @model_validator(mode="after")
    def _weighted(self) -> JointScheme:
        if self.prefix_weights is None:
            return self
        if kind_of(self.id) not in NESTED_KINDS:
            raise ValueError(f"scheme {self.id}: prefix_weights are for nested schemes")
        try:
            check_prefix_weights(self.prefix_weights, bandwidth_of(self.id))
        except ValueError as error:
            raise ValueError(f"scheme {self.id}: {error}") from None
        return self

    @model_validator(mode="after")
    def _complete(self) -> JointScheme:
        digital = "analog" not in scheme_kind(kind_of(self.id)).links
        if digital and (self.dimensions is None or self.rate_lambda is None):
            raise ValueError(f"scheme {self.id}: needs dimensions and rate_lambda")
        if not digital and (self.dimensions is not None or self.rate_lambda is not None):
            raise ValueError(
                f"scheme {self.id}: dimensions and rate_lambda are for digital schemes"
            )
        return self


class JointStep(_Images):
    """Backbone and code end to end, every scheme with its own copy of the backbone."""

    kind: Literal["joint"] = "joint"
    name: StepName = "joint"
    schemes: Annotated[tuple[JointScheme, ...], Field(min_length=1)]
    channel: ModelName = "awgn"
    init: Literal["pca", "trained", "random"] = "pca"
    """Initial weights of the code: principal components of the backbone's features, the
    scheme of the same id that a step before this one has trained, or random weights."""
    layers: Annotated[int, Field(ge=0, le=8)] = 0
    """FC layers of encoder and decoder each; 0 for one linear map."""
    backbone: BackboneName | None = None
    """None: go on from the backbone step. Else begin here, from ``weights``."""
    last_stride: Literal[1, 2] = 2
    bn_neck: bool = False
    weights: Annotated[str, Field(min_length=1)] = "none"
    keep_classifier: bool = True
    """Go on with the backbone step's classifier where the decoded feature fits it."""
    channel_code: ChannelCodeName = "polar"
    crc_bits: Literal[11, 24] = 11
    payload_sizes: Annotated[int, Field(ge=1, le=16)] = 4
    init_spread: Positive = 4.0
    """See :class:`DigitalStep`."""

    @model_validator(mode="after")
    def _init_fits(self) -> JointStep:
        if self.init == "pca" and self.layers:
            raise ValueError("init=pca is for a linear code: layers=0")
        _check_stride(self.backbone, self.last_stride)
        return self


def _adamw(lr: float, prior_lr: float | None = None) -> OptimizerConfig:
    return OptimizerConfig(optimizer="adamw", lr=lr, weight_decay=1e-4, prior_lr=prior_lr)


_MANY_PEOPLE = Batches(sampler="identities", identities=128, images=4)


def _needs_identities(batches: Batches) -> None:
    """Raises ``ValueError`` for batches in which a retrieval loss finds nobody again."""
    if batches.sampler != "identities" or batches.images < 2:
        raise ValueError("the retrieval loss needs batches.sampler=identities, images 2 or more")


class CodecStep(FrozenModel):
    """JSCC heads on features of the frozen backbone: linear, from PCA, by retrieval."""

    kind: Literal["codec"] = "codec"
    name: StepName = "codec"
    schemes: tuple[JsccId, ...]
    """Scheme ids; the kind and the bandwidth are read off them: ``jscc-ae-256``."""
    hidden: Annotated[int, Field(ge=0, le=4096)] = 0
    """Width of the FC-BN-LeakyReLU stage beside the linear path; 0 for a linear codec."""
    snr_db: Snr = SnrRange(low=-10.0, high=10.0)
    """SNR_train."""
    channel: ModelName = "awgn"
    epochs: Annotated[int, Field(ge=0, le=1000)] = 12
    """Epochs of the encoder alone, searching among received vectors as JSCC FC does."""
    learning: OptimizerConfig = _adamw(1e-3)
    decoder_epochs: Annotated[int, Field(ge=0, le=1000)] = 4
    """Epochs of encoder and decoder together, after that, for JSCC AE."""
    decoder_learning: OptimizerConfig = _adamw(1e-4)
    batches: Batches = _MANY_PEOPLE
    temperature: Positive = 0.15
    """Temperature of the softmax over cosine similarities in the retrieval loss."""
    feature_weight: Annotated[float, Field(ge=0, le=100)] = 0.1
    """Weight of 1 - cosine(decoded, feature), which keeps a decoder close to the feature."""
    augmented_copies: AugmentedCopies = 1

    @model_validator(mode="after")
    def _several_images(self) -> CodecStep:
        _needs_identities(self.batches)
        return self


class DigitalSpec(FrozenModel):
    """One digital scheme: its id says the channel uses, the rest says the bits."""

    id: DigitalId
    """``digital-B`` or, where one bandwidth has several rates, ``digital-B-rN``."""
    dimensions: Annotated[int, Field(ge=1, le=2048)]
    """d, the size of the latent."""
    rate_lambda: Positive
    """The paper's λ: bits per query that one unit of retrieval loss is worth."""

    @property
    def bandwidth(self) -> int:
        """B, real channel uses per query."""
        return bandwidth_of(self.id)


class DigitalStep(FrozenModel):
    """Digital heads and their priors, on features of the frozen backbone.

    They are trained without a channel: noise of rounding is all that a bit knows.
    """

    kind: Literal["digital"] = "digital"
    name: StepName = "digital"
    schemes: Annotated[tuple[DigitalSpec, ...], Field(max_length=32)] = ()
    channel_code: ChannelCodeName = "polar"
    """Kind of channel code: :mod:`airreid.digital.channel_code`."""
    crc_bits: Literal[11, 24] = 11
    """Bits of the check that a block carries beside its payload."""
    payload_sizes: Annotated[int, Field(ge=1, le=16)] = 4
    """Payload sizes of a scheme, at most: its messages are padded to one of them."""
    epochs: Annotated[int, Field(ge=0, le=1000)] = 40
    learning: OptimizerConfig = _adamw(3e-3, prior_lr=1e-2)
    batches: Batches = _MANY_PEOPLE
    temperature: Positive = 0.1
    """Temperature of the softmax over cosine similarities in the retrieval loss."""
    init_spread: Positive = 4.0
    """Standard deviation of the first principal component at the start, in integers."""
    augmented_copies: AugmentedCopies = 1

    @model_validator(mode="after")
    def _fits(self) -> DigitalStep:
        _needs_identities(self.batches)
        ids = [scheme.id for scheme in self.schemes]
        if len(set(ids)) != len(ids):
            raise ValueError("schemes: every id once")
        return self


class ClosedFormStep(FrozenModel):
    """Nested codes on features of the frozen backbone, fitted without steps of an optimiser.

    The way to fit and the stopping rule are chosen on people held out of those features.
    """

    kind: Literal["closed_form"] = "closed_form"
    name: StepName = "closed_form"
    schemes: Annotated[tuple[NestedId, ...], Field(max_length=8)]
    augmented_copies: AugmentedCopies = 1


HeadStep = AutoencoderStep | CodecStep | DigitalStep | ClosedFormStep
"""Steps that train heads on features of a frozen backbone."""
Step = Annotated[
    BackboneStep | JointStep | HeadStep | SiteRecipeStep,
    Field(discriminator="kind"),
]


def schemes_of(step: Step) -> list[str]:
    """Returns the ids of the schemes that a step trains."""
    if isinstance(step, BackboneStep | NestedStep | SiteStep):
        return []
    if isinstance(step, NetworkStep):
        return list(step.schemes)
    return [scheme if isinstance(scheme, str) else scheme.id for scheme in step.schemes]
