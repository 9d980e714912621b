"""Recipes: everything that decides a training run, as frozen and bounded data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from airreid.errors import InputError
from training.data.synthetic import DEMO_SEED, Population

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stage(_Frozen):
    """Consecutive epochs at one image size."""

    height: Annotated[int, Field(ge=32, le=512, multiple_of=8)]
    width: Annotated[int, Field(ge=16, le=512, multiple_of=8)]
    epochs: Annotated[int, Field(ge=0, le=1000)]


class BackboneRecipe(_Frozen):
    """Cross-entropy over the identities, with the usual helpers of training from scratch."""

    weights: str = "none"
    """``none``, ``imagenet`` or a file: see :func:`training.models.backbone.load_weights`."""
    bn_neck: bool = True
    stages: tuple[Stage, ...]
    """Small images first: most of the learning at a fraction of the cost."""
    identities_per_batch: Annotated[int, Field(ge=2, le=1024)] = 16
    images_per_identity: Annotated[int, Field(ge=1, le=64)] = 4
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: Positive = 0.1
    """Peak of the learning rate: linear warm-up over ``warmup_epochs``, then a cosine to 0."""
    warmup_epochs: Annotated[float, Field(ge=0, le=100)] = 1.0
    momentum: Fraction = 0.9
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 5e-4
    label_smoothing: Fraction = 0.1
    retrieval_weight: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Weight of the retrieval loss over the batch, beside cross-entropy over identities."""
    temperature: Positive = 0.1
    """Of the softmax over cosine similarities in the retrieval loss."""
    erase: Fraction = 0.4
    """Probability of a random rectangle of noise (Zhong et al., 2017)."""
    bf16: bool = True

    @property
    def epochs(self) -> int:
        return sum(stage.epochs for stage in self.stages)


class CodecRecipe(_Frozen):
    """The JSCC heads, trained on features of a frozen backbone."""

    schemes: tuple[str, ...]
    """Scheme ids; the kind and the bandwidth are read off them: ``jscc-ae-256``."""
    hidden: Annotated[int, Field(ge=0, le=4096)] = 0
    """Width of the FC-BN-LeakyReLU stage beside the linear path; 0 for a linear codec."""
    snr_db_min: Annotated[float, Field(ge=-40, le=60)] = -10.0
    snr_db_max: Annotated[float, Field(ge=-40, le=60)] = 10.0
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


def digital_bandwidth(scheme_id: str) -> int:
    """B, real channel uses per query: ``digital-256-r1`` -> 256."""
    return int(scheme_id.split("-")[1])


class DigitalSpec(_Frozen):
    """One digital scheme: its id says the channel uses, the rest says the bits."""

    id: Annotated[str, Field(pattern=r"^digital-[1-9][0-9]{0,3}(-r[1-9][0-9]{0,2})?$")]
    """``digital-B`` or, where one bandwidth has several rates, ``digital-B-rN``."""
    dimensions: Annotated[int, Field(ge=1, le=2048)]
    """d, of the latent."""
    trade: Positive
    """The paper's lambda: bits per query that one unit of retrieval loss is worth."""

    @property
    def bandwidth(self) -> int:
        """B, real channel uses per query."""
        return digital_bandwidth(self.id)


class DigitalRecipe(_Frozen):
    """The digital heads and their priors, trained on features of a frozen backbone."""

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

    @model_validator(mode="after")
    def _once(self) -> DigitalRecipe:
        ids = [scheme.id for scheme in self.schemes]
        if len(set(ids)) != len(ids):
            raise ValueError("schemes: every id once")
        return self


class SyntheticData(_Frozen):
    """Populations that a recipe draws; no two of them share people or cameras."""

    train: Population = Population(seed=1, identities=2000, cameras=8, shots=1)
    """What the backbone is trained on."""
    codec: Population = Population(seed=2, identities=600, cameras=40, shots=1)
    """What the codecs are trained on: people whom the backbone has not seen, because
    features of its own training people are collapsed onto their classes; and by many
    cameras, because a codec learns to discard what it has seen cameras change."""
    validation: Population = Population(seed=3, identities=350, cameras=2, shots=6)
    """What the model card's accuracy is measured on: queries by one camera, gallery
    by the other."""

    @model_validator(mode="after")
    def _disjoint(self) -> SyntheticData:
        seeds = {self.train.seed, self.codec.seed, self.validation.seed, DEMO_SEED}
        if len(seeds) != 4:
            raise ValueError(f"populations need different seeds, and none of them {DEMO_SEED}")
        return self


class Recipe(_Frozen):
    """One training run from images to a bundle."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    seed: Annotated[int, Field(ge=0)] = 0
    synthetic: SyntheticData = SyntheticData()
    """Used where no data folder is given."""
    calibration_images: Annotated[int, Field(ge=8, le=100_000)] = 512
    """Training images from which the int8 backbone's ranges are taken."""
    backbone: BackboneRecipe
    codec: CodecRecipe
    digital: DigitalRecipe = DigitalRecipe()


RECIPES: dict[str, Recipe] = {
    "demo": Recipe(
        name="demo",
        backbone=BackboneRecipe(
            stages=(
                Stage(height=64, width=32, epochs=3),
                Stage(height=96, width=48, epochs=4),
                Stage(height=128, width=64, epochs=3),
                Stage(height=256, width=128, epochs=1),
            ),
        ),
        codec=CodecRecipe(
            schemes=("jscc-ae-64", "jscc-ae-256", "jscc-ae-512", "jscc-fc-256"),
        ),
        digital=DigitalRecipe(
            schemes=(
                DigitalSpec(id="digital-64", dimensions=64, trade=60.0),
                DigitalSpec(id="digital-256-r1", dimensions=64, trade=60.0),
                DigitalSpec(id="digital-256", dimensions=128, trade=500.0),
                DigitalSpec(id="digital-256-r2", dimensions=128, trade=2000.0),
                DigitalSpec(id="digital-512", dimensions=128, trade=2000.0),
            ),
        ),
    ),
}


def _assign(tree: dict[str, object], key: str, value: object) -> None:
    """Sets a dotted key. Raises :class:`InputError` if the recipe has no such field."""
    *path, last = key.split(".")
    node: object = tree
    for part in path:
        node = node.get(part) if isinstance(node, dict) else None
    if not isinstance(node, dict) or last not in node:
        raise InputError(f"--set {key}: the recipe has no such field")
    node[last] = value


def with_settings(recipe: Recipe, settings: list[str]) -> Recipe:
    """A recipe with ``key=value`` settings applied, checked against its bounds.

    Keys are dotted (``backbone.lr=0.01``); ``epochs=N`` is short for N epochs of
    the backbone at its smallest size and N of each codec's steps. Raises
    :class:`InputError` naming the setting.
    """
    tree = recipe.model_dump(mode="json")
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting}: write key=value")
        try:
            value: object = json.loads(text)
        except json.JSONDecodeError:
            value = text
        if key == "epochs":
            first = tree["backbone"]["stages"][0]
            _assign(tree, "backbone.stages", [{**first, "epochs": value}])
            _assign(tree, "codec.epochs", value)
            _assign(tree, "codec.decoder_epochs", value)
            _assign(tree, "digital.epochs", value)
        else:
            _assign(tree, key, value)
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        first_error = error.errors()[0]
        where = ".".join(str(part) for part in first_error["loc"])
        raise InputError(f"recipe {recipe.name}: {where}: {first_error['msg']}") from None


def load_recipe(name: str, settings: list[str]) -> Recipe:
    """A built-in recipe by name, or one saved as JSON, with ``--set`` applied."""
    if name in RECIPES:
        return with_settings(RECIPES[name], settings)
    path = Path(name)
    if path.suffix == ".json" and path.is_file():
        try:
            return with_settings(Recipe.model_validate_json(path.read_bytes()), settings)
        except ValidationError as error:
            raise InputError(f"{path}: not a recipe ({error.errors()[0]['msg']})") from None
    raise InputError(f"no recipe {name!r}; there are: {', '.join(sorted(RECIPES))}")
