"""Model card of a bundle: data, recipe, versions, licence and measured accuracy.

Part of ``manifest.json`` under ``provenance``. A field that a card does not have is left out
of the JSON; fields that this version does not know are kept as they are, so a card of
another version survives being read and written.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
)


class _Record(BaseModel):
    """Part of a card: frozen, with unknown fields kept, written without unset fields."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=True)

    @model_serializer(mode="wrap")
    def _set_fields(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if name in self.model_fields_set}


class SchemeRecord(_Record):
    """A scheme as a step of a recipe names it."""

    id: str
    rate_lambda: float | None = None
    """The paper's λ of a digital scheme: bits per query that one unit of loss is worth."""
    trade: float | None = None
    """λ in recipes written before it was called ``rate_lambda``."""


class StepRecord(_Record):
    """A step of a recipe, whatever its kind; only its schemes are read here."""

    schemes: tuple[str | SchemeRecord, ...] = ()


class RecipeRecord(_Record):
    """A recipe as it was when the run began."""

    name: str | None = None
    seed: int | None = None
    steps: tuple[StepRecord, ...] = ()
    digital: StepRecord | None = None
    """Settings of the digital schemes in recipes written before there were steps."""

    def rate_lambda_of(self, scheme_id: str) -> float | None:
        """λ of a scheme by the last step that names it with one, None where none does."""
        steps = (*self.steps, self.digital) if self.digital is not None else self.steps
        rate_lambda = None
        for step in steps:
            for scheme in step.schemes:
                if isinstance(scheme, SchemeRecord) and scheme.id == scheme_id:
                    named = scheme.trade if scheme.rate_lambda is None else scheme.rate_lambda
                    rate_lambda = rate_lambda if named is None else named
        return rate_lambda


class BackboneRecord(_Record):
    """A backbone of the run: architecture, initial weights and what its export has proved."""

    name: str
    space: str
    trained_at: tuple[int, int]
    """Height and width of the images that it was trained on last."""
    initial_weights: str
    minutes: float
    """Time spent training it."""
    parity: float
    """Largest difference of the fp32 graph from PyTorch, relative to the feature's RMS."""
    int8_cosine: float | None = None
    """Mean cosine of int8 features with fp32 features; None where no int8 graph was made."""


class JsccAccuracy(_Record):
    """Accuracy of a JSCC scheme at one SNR beside PCA of the same bandwidth and noise."""

    scheme: str
    snr_db: float
    top1: float
    top1_half_width: float | None
    """Half of the 95 % interval over the noise seeds."""
    map: float
    pca_top1: float
    pca_half_width: float | None
    people: int | None = None
    """People who were searched for; None in cards of before they were counted."""


class DigitalAccuracy(_Record):
    """Accuracy and rate of a digital scheme beside PCA quantised to as many bits.

    Lengths are those of the queries' arithmetic-coded messages, in bits, without padding
    unless the name says so.
    """

    scheme: str
    bandwidth: int
    """B, real channel uses per query."""
    dimensions: int
    """d of the latent."""
    top1: float
    map: float
    bits_mean: float
    bits_p5: int
    bits_p50: int
    bits_p95: int
    bits_p100: int
    bits_ideal_mean: float
    """Mean of the ideal code lengths by the integer tables."""
    bits_noise_estimate_mean: float
    """Mean that training estimates, with uniform noise in place of rounding."""
    bits_noise_estimate_gap: float
    bits_noise_estimate_of: str | None = None
    """Id of the bundle that the estimate is of, where it was not measured with the rest."""
    payload_sizes: tuple[int, ...]
    bits_padded_mean: float
    too_long_share: float
    """Share of the messages that the largest payload does not hold."""
    paper_snr_db: float
    """SNR at which a code of capacity carries the mean number of bits."""
    pca_top1: float
    pca_bits_mean: float
    pca_dimensions: int
    people: int | None = None
    """People who were searched for; None in cards of before they were counted."""


class Accuracy(_Record):
    """Accuracy on people whom nothing was trained on."""

    protocol: str | None = None
    """Data, queries, gallery and noise seeds, in a line."""
    noiseless_int8_top1: float | None = None
    noiseless_fp32_top1: float | None = None
    int8_minus_fp32: float | None = None
    int8_minus_fp32_half_width: float | None = None
    over_the_air: tuple[JsccAccuracy, ...] = ()
    digital: tuple[DigitalAccuracy, ...] = ()

    def only(self, scheme_ids: Collection[str]) -> Accuracy:
        """Drops the rows of other schemes."""
        jscc = tuple(row for row in self.over_the_air if row.scheme in scheme_ids)
        digital = tuple(row for row in self.digital if row.scheme in scheme_ids)
        return self._with_rows(jscc, digital)

    def with_rows_of(self, other: Accuracy) -> Accuracy:
        """Adds the rows of another behind its own."""
        return self._with_rows(
            (*self.over_the_air, *other.over_the_air), (*self.digital, *other.digital)
        )

    def _with_rows(
        self, jscc: tuple[JsccAccuracy, ...], digital: tuple[DigitalAccuracy, ...]
    ) -> Accuracy:
        """Replaces the rows; a part that the card never had and that stays empty is not added."""
        rows = {"over_the_air": jscc, "digital": digital}
        present = {
            name: values for name, values in rows.items() if values or name in self.model_fields_set
        }
        return self.model_copy(update=present)


class ExtensionRecord(_Record):
    """Schemes that were added to a finished bundle, and what they were trained with."""

    schemes: tuple[str, ...]
    from_bundle: str
    """Id of the bundle that was extended."""
    backbone: str
    """Id of the backbone that the schemes work on."""
    recipe: RecipeRecord
    codec_data: str
    machine: str
    versions: dict[str, str]
    accuracy_protocol: str | None = None

    def rate_lambda_of(self, scheme_id: str) -> float | None:
        """λ of a scheme, None where the recipe has none."""
        return self.recipe.rate_lambda_of(scheme_id)


class AdoptionRecord(_Record):
    """A network that others trained: its file, its preprocessing, and the codes fitted to it."""

    network: str
    """Name of the ONNX file that was adopted."""
    sha256: str
    """Digest of that file."""
    output: str
    """Name of the graph's output that is the feature."""
    preprocessing: str
    """Colour order, scale, mean and deviation, as options of ``airreid adopt``."""
    parity: float
    """Largest difference of the bundle's graph from the plain network, relative to the RMS."""
    codes: dict[str, str]
    """Scheme id to how its code was chosen."""
    held_out_people: int
    """People of the test; 0 without one."""
    top1: dict[str, float]
    """Top-1 on these people by scheme, payload and SNR, of codes fitted without them."""
    int8: str | None = None
    """Result of quantising the network: kept or not, how fast and how accurate it is."""


class SiteRecord(_Record):
    """A network that others trained, trained on at a site through noise: ``train run site``."""

    people: int
    """Identities that were trained on."""
    images: int
    tracks: int = 0
    """Tracks of one camera each that were trained on beside the identities."""
    held_out_people: int
    """People among those who were held out to choose codes and weights by; 0 with too few."""
    joint: bool
    """Whether the network itself was trained, or codes on its features alone."""
    why_frozen: str | None = None
    """Reason for which the network could not be trained, where that was asked for."""
    epochs: int | None = None
    minutes: float | None = None
    """Minutes of training in older cards; left out, so that equal runs make equal bundles."""
    share: float | None = None
    """Share of the trained weights in the bundle's network; the rest is the public one's."""
    tested_people: int
    """People of the test; 0 without one."""
    protocol: str | None = None
    channel: str = "awgn"
    """Channel model that the network was trained for, and ``before`` and ``after`` are through."""
    guessing: float | None = None
    """Top-1 of a random ranking of these people."""
    before: dict[str, float] = {}
    """Top-1 on these people of the network as it was given, with codes in closed form."""
    after: dict[str, float] = {}
    """Top-1 on these people of the bundle."""
    people_half_width: dict[str, float] = {}
    """Half of the 95 % interval of ``after`` over people, each counted as one trial."""
    elsewhere: dict[str, dict[str, float]] = {}
    """Data set of another site to top-1 there, ``before`` or ``after`` before each name."""
    elsewhere_people: dict[str, int] = {}
    """Data set of another site to the number of people who were searched for there."""


class RequantisationRecord(_Record):
    """Rounding anew of int8 backbones, see :mod:`airreid.quantisation.requantise`."""

    from_bundle: str
    """Id of the bundle that the backbones were taken from."""
    backbones: tuple[str, ...]
    """Ids of the backbones whose weights were rounded."""
    bits: int
    """Bits of a weight."""
    images: str
    """Images that the biases were corrected on: name and digest of names and labels."""
    date: str
    """Day of the rounding, UTC, as in 2026-11-29."""
    versions: dict[str, str]
    top1_change: float | None = None
    """Top-1 without a channel, less that of the bundle before, over the same queries."""
    top1_change_half_width: float | None = None
    """Half of its 95 % interval, for paired hits (McNemar)."""


class ModelCard(_Record):
    """Origin of a bundle, and how good it is."""

    licence: str | None = None
    data: str | None = None
    """Images that the backbone was trained on: name and digest of names and labels."""
    codec_data: str | None = None
    """Images that the schemes were trained on, likewise."""
    initial_weights: str | None = None
    """Origin of the first backbone's initial weights."""
    backbone_training_minutes: float | None = None
    recipe: RecipeRecord | None = None
    parity_backbone: float | None = None
    """Parity of the first backbone, see :class:`BackboneRecord`."""
    backbones: tuple[BackboneRecord, ...] = ()
    runs: tuple[RunCard, ...] = ()
    """Cards of the runs that a bundle of several was exported from."""
    machine: str | None = None
    versions: dict[str, str] | None = None
    """Package name to version."""
    accuracy: Accuracy | None = None
    adopted: AdoptionRecord | None = None
    """Origin of the backbone's network, in a bundle made by ``airreid adopt``."""
    site: SiteRecord | None = None
    """Training at a site of a network that others trained."""
    extended: tuple[ExtensionRecord, ...] = ()
    """Schemes added later, oldest first."""
    requantised: tuple[RequantisationRecord, ...] = ()
    """Rounding of the weights after training, oldest first."""

    def with_requantisation(self, record: RequantisationRecord) -> ModelCard:
        """Adds a record, and drops the accuracy, which is that of other weights."""
        values = self.model_dump(exclude={"accuracy"})
        return self.model_validate({**values, "requantised": (*self.requantised, record)})

    def rate_lambda_of(self, scheme_id: str) -> float | None:
        """λ that a scheme was trained with by the recipes of the card, None where none says.

        For bundles and runs written before a digital scheme carried its λ itself.
        """
        parts: list[RunCard | ExtensionRecord] = [*self.runs, *self.extended]
        for part in parts:
            if scheme_id in part.schemes:
                return part.rate_lambda_of(scheme_id)
        return None if self.recipe is None else self.recipe.rate_lambda_of(scheme_id)

    def only(self, scheme_ids: Collection[str]) -> ModelCard:
        """Drops the accuracy of other schemes."""
        if self.accuracy is None:
            return self
        return self.model_copy(update={"accuracy": self.accuracy.only(scheme_ids)})


class RunCard(ModelCard):
    """Card of one run in a bundle exported from several."""

    schemes: tuple[str, ...] = ()
    """Schemes that the bundle takes from this run."""


ModelCard.model_rebuild()
