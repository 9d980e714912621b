"""Settings of one link: typed, bounded, and changed a field at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from airreid.channels.registry import ModelName, channel_model, channel_models, is_channel_model
from airreid.channels.traces import Trace, read_trace
from airreid.errors import InputError
from airreid.flags import Flag, Settings
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN
from airreid.subject_ids import ID_MAX
from airreid.validation import FiniteModel, inside, validated

SNR_FIELDS = ("snr_db", "snr_range_db", "snr_trace")
"""Sources of the SNR: a link has one of them."""
NAME_MAX = ID_MAX
"""Characters of a link's name, an edge id, at most."""

Snr = Annotated[float, Field(ge=SNR_DB_MIN, le=SNR_DB_MAX, allow_inf_nan=False)]
Finite = Field(allow_inf_nan=False)


class LinkSettings(Settings):
    """Settings of one link. A field of another model than ``model`` is refused."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: Annotated[ModelName, Flag()] = "awgn"
    """awgn, rayleigh, rician, impulsive or erasure."""
    snr_db: Annotated[Snr, Flag("--snr")] = 10.0
    """SNR per real channel use, in dB.

    On average over fading. Of every block, unless a range or a trace is set.
    """
    snr_range_db: Annotated[
        tuple[Snr, Snr] | None,
        Flag("--snr-range", metavar="LOW HIGH", type=tuple[float, float]),
    ] = None
    """SNR of each block at random between two, in dB.

    Each block has one of its own, uniform in dB.
    """
    snr_trace: Annotated[Trace | None, Flag("--trace", type=Path)] = None
    """SNR of each block from a CSV file: snr_db or block,snr_db.

    Each block has the SNR of its number.
    """
    seed: Annotated[int, Field(ge=0, lt=2**64), Flag()] = 0
    """Seed of the noise."""
    csi: Annotated[bool, Field(title="Receiver knows the gain"), Flag("--csi/--no-csi")] = True
    """Fading: the receiver knows each block's gain, or is told the average SNR alone.

    True: the simulator equalises and reports the block's own SNR. False: the receiver gets
    the faded block and the average SNR.
    """
    doppler: Annotated[float, Field(ge=0, le=10, title="Doppler × block time"), Finite, Flag()] = (
        0.0
    )
    """Fading: Doppler frequency times time between blocks; 0: independent.

    0: not one gain has to do with another, as after ideal interleaving.
    """
    k_factor_db: Annotated[
        float, Field(ge=-40, le=40, title="K factor, dB"), Finite, Flag("--k-factor")
    ] = 6.0
    """rician: K in dB.

    Power of the line of sight over that of all scattered paths.
    """
    impulse_probability: Annotated[
        float, Field(ge=0, le=1, title="Probability of an impulse"), Finite, Flag()
    ] = 0.01
    """impulsive: that an impulse hits a complex use.

    I and Q together.
    """
    impulse_ratio_db: Annotated[
        float, Field(ge=0, le=40, title="Impulse over noise, dB"), Finite, Flag("--impulse-ratio")
    ] = 20.0
    """impulsive: noise of a hit use over that of others, in dB."""
    erasure_probability: Annotated[
        float, Field(ge=0, le=1, title="Probability of an erasure"), Finite, Flag()
    ] = 0.1
    """erasure: that a channel use is erased."""
    erasure_unit: Annotated[Literal["complex", "real"], Field(title="Erased at once"), Flag()] = (
        "complex"
    )
    """erasure: complex (I and Q together) or real.

    What is erased at once.
    """
    parameters: Annotated[dict[str, float], Flag("--parameter", type=list[str])] = Field(
        default_factory=dict
    )
    """NAME=VALUE of a model that an extension brings; may be repeated.

    What is not given has the model's default.
    """

    @field_validator("snr_trace", mode="before")
    @classmethod
    def _read(cls, trace: object) -> object:
        """A trace, read where its file is named. Raises :class:`InputError`."""
        return read_trace(Path(trace)) if isinstance(trace, str | Path) else trace

    @field_validator("parameters", mode="before")
    @classmethod
    def _split(cls, parameters: object) -> object:
        """Texts ``NAME=VALUE`` as a mapping. Raises :class:`InputError`."""
        return split_parameters(parameters) if isinstance(parameters, list) else parameters

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in sorted(self.model_fields_set & _foreign(self.model)):
            owners = " or ".join(model.name for model in channel_models() if name in model.fields)
            raise PydanticCustomError(
                "foreign", f"{name}: model {self.model} has none; it belongs to {owners}"
            )
        sources = [name for name in SNR_FIELDS if name in self.model_fields_set]
        if len([name for name in sources if getattr(self, name) is not None]) > 1:
            raise PydanticCustomError("snr", f"{sources[0]}: give one of {', '.join(SNR_FIELDS)}")
        if self.snr_range_db is not None and self.snr_range_db[0] > self.snr_range_db[1]:
            low, high = self.snr_range_db
            raise PydanticCustomError(
                "order", f"snr_range_db: {low:g} is above {high:g}; give the lower SNR first"
            )
        try:
            self.model_parameters  # noqa: B018
        except ValidationError as error:
            raise inside(error, "parameters") from None
        return self

    @property
    def model_parameters(self) -> FiniteModel:
        """``parameters`` as the model's own class, defaults filled in."""
        return channel_model(self.model).parameters.model_validate(self.parameters)

    def described(self) -> dict[str, object]:
        """Returns the fields that matter, for people and logs, in order."""
        snr = next((name for name in SNR_FIELDS[1:] if getattr(self, name) is not None), "snr_db")
        names = ("model", snr, "seed", *channel_model(self.model).fields)
        values = {name: getattr(self, name) for name in names}
        values |= self.model_parameters.model_dump()
        return {
            name: str(value) if isinstance(value, Trace) else value
            for name, value in values.items()
        }


def _foreign(model: str) -> set[str]:
    """Fields that belong to other models alone."""
    fields = {name for other in channel_models() for name in other.fields}
    return fields - set(channel_model(model).fields)


def split_parameters(texts: Sequence[str]) -> dict[str, float]:
    """``["m=2"]`` -> ``{"m": 2.0}``. Raises :class:`InputError` for another text."""
    parameters: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            parameters[name.strip()] = float(value)
        except ValueError:
            raise InputError(f"parameter {text!r}: write NAME=VALUE, a number") from None
    return parameters


def link_settings(**fields: object) -> LinkSettings:
    """Returns checked settings; fields left out have their defaults.

    Raises :class:`InputError` naming the field.
    """
    return validated(LinkSettings, fields, "link")


def changed(settings: LinkSettings, changes: Mapping[str, object]) -> LinkSettings:
    """Changes some fields of settings; the others keep their values.

    An SNR, a range or a trace takes the place of whichever there was. Another model
    takes its own defaults. Raises :class:`InputError` naming the field.
    """
    fields = {name: getattr(settings, name) for name in settings.model_fields_set}
    model = changes.get("model", settings.model)
    gone: set[str] = set()
    if model != settings.model:
        gone |= {"parameters"}
        if is_channel_model(model):
            gone |= _foreign(str(model))
    if any(name in changes for name in SNR_FIELDS):
        gone |= set(SNR_FIELDS)
    fields = {name: value for name, value in fields.items() if name not in gone}
    parameters = changes.get("parameters")
    if isinstance(parameters, Mapping):
        changes = {**changes, "parameters": {**fields.get("parameters", {}), **parameters}}
    return link_settings(**(fields | dict(changes)))
