"""The steps that recipes are made of. Each says what it trains and on what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from airreid.channels.registry import ModelName
from airreid.scheme_kinds import bandwidth_of, kind_of
from airreid.validation import FrozenModel
from training.models.backbone import BackboneName
from training.recipes.base import (
    Augmentation,
    Batches,
    Decibel,
    Fraction,
    OptimizerConfig,
    Positive,
    Snr,
    SnrRange,
    Stage,
    StepName,
)
from training.recipes.scheme_ids import AnyId, DigitalId, JsccId


class _Images(FrozenModel):
    """What steps share that train on images."""

    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    """Small images first: most of the learning at a fraction of the cost."""
    learning: OptimizerConfig
    batches: Batches
    variation: Augmentation = Augmentation()
    label_smoothing: Fraction = 0.0
    cross_entropy_weight: Annotated[float, Field(ge=0, le=100)] = 1.0
    retrieval_weight: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Weight of the retrieval loss over the batch, beside cross-entropy over identities."""
    temperature: Positive = 0.1
    """Of the softmax over cosine similarities in the retrieval loss."""
    keep: Literal["best", "last"] = "last"
    """The epoch that is used: the last, or the one with the best validation top-1."""
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
    batch: Annotated[int, Field(ge=2, le=4096)] = 16
    views: Annotated[int, Field(ge=1, le=64)] = 1
    """Augmented copies of each image whose features are learned from, itself included."""


class JointScheme(FrozenModel):
    """A scheme that is trained with a backbone of its own."""

    id: AnyId
    snr_db: Snr = SnrRange(low=-10.0, high=5.0)
    """Not used by a digital scheme, which is trained without a channel."""
    dimensions: Annotated[int, Field(ge=1, le=2048)] | None = None
    """d, of a digital scheme's latent."""
    trade: Positive | None = None
    """The paper's lambda, of a digital scheme: bits that one unit of loss is worth."""

    @model_validator(mode="after")
    def _complete(self) -> JointScheme:
        digital = kind_of(self.id) == "digital"
        if digital and (self.dimensions is None or self.trade is None):
            raise ValueError(f"scheme {self.id}: needs dimensions and trade")
        if not digital and (self.dimensions is not None or self.trade is not None):
            raise ValueError(f"scheme {self.id}: dimensions and trade are for digital schemes")
        return self


class JointStep(_Images):
    """Backbone and code end to end, every scheme with its own copy of the backbone."""

    kind: Literal["joint"] = "joint"
    name: StepName = "joint"
    schemes: Annotated[tuple[JointScheme, ...], Field(min_length=1)]
    channel: ModelName = "awgn"
    start: Literal["pca", "trained", "random"] = "pca"
    """Of the code: principal components of the backbone's features, the scheme of the same
    id that a step before this one has trained on the frozen backbone, or random weights."""
    layers: Annotated[int, Field(ge=0, le=8)] = 0
    """FC layers of encoder and decoder each; 0 for one linear map."""
    backbone: BackboneName | None = None
    """None: go on from the backbone step. Else begin here, from ``weights``."""
    last_stride: Literal[1, 2] = 2
    bn_neck: bool = False
    weights: Annotated[str, Field(min_length=1)] = "none"
    keep_classifier: bool = True
    """Go on with the backbone step's classifier where the decoded feature fits it."""
    crc_bits: Literal[11, 24] = 11
    payload_sizes: Annotated[int, Field(ge=1, le=16)] = 4
    start_spread: Positive = 4.0
    """Of a digital scheme: see :class:`DigitalStep`."""

    @model_validator(mode="after")
    def _start_fits(self) -> JointStep:
        if self.start == "pca" and self.layers:
            raise ValueError("start=pca is for a linear code: layers=0")
        return self


class CodecStep(FrozenModel):
    """JSCC heads on features of the frozen backbone: linear, from PCA, by retrieval."""

    kind: Literal["codec"] = "codec"
    name: StepName = "codec"
    schemes: tuple[JsccId, ...]
    """Scheme ids; the kind and the bandwidth are read off them: ``jscc-ae-256``."""
    hidden: Annotated[int, Field(ge=0, le=4096)] = 0
    """Width of the FC-BN-LeakyReLU stage beside the linear path; 0 for a linear codec."""
    snr_db_min: Decibel = -10.0
    snr_db_max: Decibel = 10.0
    """Training SNR, drawn per block uniformly in dB from this range."""
    epochs: Annotated[int, Field(ge=0, le=1000)] = 12
    """Of the encoder alone, searching among received vectors as JSCC FC does."""
    decoder_epochs: Annotated[int, Field(ge=0, le=1000)] = 4
    """Then, for JSCC AE, of encoder and decoder together."""
    identities_per_batch: Annotated[int, Field(ge=2, le=4096)] = 128
    images_per_identity: Annotated[int, Field(ge=2, le=64)] = 4
    lr: Positive = 1e-3
    decoder_lr: Positive = 1e-4
    temperature: Positive = 0.15
    """Of the softmax over cosine similarities in the retrieval loss."""
    keep_weight: Annotated[float, Field(ge=0, le=100)] = 0.1
    """Weight of 1 - cosine(decoded, feature), which keeps a decoder close to the feature."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    views: Annotated[int, Field(ge=1, le=64)] = 1
    """Augmented copies of each image whose features are learned from, itself included."""

    @model_validator(mode="after")
    def _ordered(self) -> CodecStep:
        if self.snr_db_min > self.snr_db_max:
            raise ValueError("snr_db_min is above snr_db_max")
        return self


class DigitalSpec(FrozenModel):
    """One digital scheme: its id says the channel uses, the rest says the bits."""

    id: DigitalId
    """``digital-B`` or, where one bandwidth has several rates, ``digital-B-rN``."""
    dimensions: Annotated[int, Field(ge=1, le=2048)]
    """d, of the latent."""
    trade: Positive
    """The paper's lambda: bits per query that one unit of retrieval loss is worth."""

    @property
    def bandwidth(self) -> int:
        """B, real channel uses per query."""
        return bandwidth_of(self.id)


class DigitalStep(FrozenModel):
    """Digital heads and their priors, on features of the frozen backbone."""

    kind: Literal["digital"] = "digital"
    name: StepName = "digital"
    schemes: Annotated[tuple[DigitalSpec, ...], Field(max_length=32)] = ()
    crc_bits: Literal[11, 24] = 11
    """Of the check that a block carries beside its payload."""
    payload_sizes: Annotated[int, Field(ge=1, le=16)] = 4
    """Payload sizes of a scheme, at most: its messages are padded to one of them."""
    epochs: Annotated[int, Field(ge=0, le=1000)] = 40
    identities_per_batch: Annotated[int, Field(ge=2, le=4096)] = 128
    images_per_identity: Annotated[int, Field(ge=2, le=64)] = 4
    lr: Positive = 3e-3
    """Of the head, at the start; a cosine takes it to 0."""
    prior_lr: Positive = 1e-2
    """Of the prior, likewise."""
    temperature: Positive = 0.1
    """Of the softmax over cosine similarities in the retrieval loss."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    start_spread: Positive = 4.0
    """Standard deviation of the first principal component at the start, in integers."""
    views: Annotated[int, Field(ge=1, le=64)] = 1
    """Augmented copies of each image whose features are learned from, itself included."""

    @model_validator(mode="after")
    def _once(self) -> DigitalStep:
        ids = [scheme.id for scheme in self.schemes]
        if len(set(ids)) != len(ids):
            raise ValueError("schemes: every id once")
        return self


Step = Annotated[
    BackboneStep | AutoencoderStep | JointStep | CodecStep | DigitalStep,
    Field(discriminator="kind"),
]


def schemes_of(step: Step) -> list[str]:
    """Ids of the schemes that a step trains."""
    if isinstance(step, BackboneStep):
        return []
    return [one if isinstance(one, str) else one.id for one in step.schemes]
