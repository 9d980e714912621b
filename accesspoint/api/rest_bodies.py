"""Bodies that REST takes, as JSON. Times are seconds since 1970, UTC."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from accesspoint.api.enrolment import ITEMS_MAX, Candidate, Source, source_of
from accesspoint.api.search_service import TOP_MAX
from accesspoint.gallery.records import TEXT_MAX
from airreid import wire
from airreid.errors import InputError
from airreid.subject_ids import ID_MAX

Text = Annotated[str, Field(max_length=TEXT_MAX)]
Name = Annotated[str, Field(max_length=ID_MAX)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A number, and neither a text nor a truth value."""
Time = Annotated[float, Field(strict=True, ge=0, lt=253_402_300_800, allow_inf_nan=False)]
Floats = Annotated[list[Number], Field(fail_fast=True, min_length=1, max_length=65_536)]
"""Numbers of a feature. What is wrong with the first bad one is said, and not with the others: an
error for each would take a second and half a gigabyte."""
_IMAGE_TEXT = 45_000_000
"""Longest image in base64, in characters."""
_KEYS_MAX = 32
"""Keys that an object may have before they are compared with those that there are."""
_BASE64_PIECE = 1 << 18
"""Characters of base64 that are decoded at once: a multiple of four."""


class Body(BaseModel):
    """Base of the bodies; a field that nobody knows is refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few_keys(cls, data: Any) -> Any:
        """Refuses many keys with one error, not one for each that nobody knows."""
        if isinstance(data, dict) and len(data) > _KEYS_MAX:
            raise PydanticCustomError("keys", "an object with too many keys")
        return data


class PutSubjectBody(Body):
    """Fields of a subject; one that is left out stays as it is."""

    display_name: Text | None = None
    note: Text | None = None
    expires_at: Time | None = None


class PatchSubjectBody(Body):
    """Fields to change; one that is left out stays, an ``expires_at`` of null ends the expiry."""

    display_name: Text = ""
    note: Text = ""
    expires_at: Time | None = None


class MergeBody(Body):
    source: Name
    """Subject that is gone afterwards."""
    into: Name


class FeatureBody(Body):
    """A feature of the backbone that is served."""

    space_id: Text
    values: Floats | None = None
    values_base64: Annotated[str, Field(max_length=400_000)] | None = None
    """The values as little-endian IEEE 754 binary32, instead of ``values``."""

    def source(self, what: str) -> Source:
        """Reads the feature. Raises :class:`InputError`."""
        if (self.values is None) == (self.values_base64 is None):
            raise InputError(f"feature of {what}: give values or values_base64")
        if self.values is not None:
            with np.errstate(over="ignore"):  # infinite then, and refused by name later
                return Source(None, np.asarray(self.values, dtype=np.float32), self.space_id)
        data = _decoded(self.values_base64 or "", f"feature of {what}")
        if not data or len(data) % 4:
            raise InputError(f"feature of {what}: {len(data)} bytes are not float32 values")
        values = wire.from_bytes(data, len(data) // 4, f"feature of {what}")
        return Source(None, values, self.space_id)


class FeatureSearchBody(FeatureBody):
    top_k: Annotated[int, Field(strict=True, ge=0, le=TOP_MAX)] = 0
    """Subjects to answer with; 0 means 10."""
    top_entries: Annotated[int, Field(strict=True, ge=0, le=TOP_MAX)] = 0
    """Entries to answer with."""


class ItemBody(Body):
    """An item to enrol: an image or a feature."""

    subject: Name
    camera: Name
    image_base64: Annotated[str, Field(max_length=_IMAGE_TEXT)] | None = None
    """A JPEG, PNG, BMP or WebP file, in base64."""
    feature: FeatureBody | None = None
    key: Name = ""
    """The client's own name for the entry: a second entry of the subject with it replaces
    the first."""
    captured_at: Time | None = None
    expires_at: Time | None = None

    def candidate(self) -> Candidate | InputError:
        """Reads the candidate; returns what is wrong with one that cannot be read."""
        what = f"{self.subject[:ID_MAX]!r}"
        try:
            image = None
            if self.image_base64 is not None:
                image = _decoded(self.image_base64, f"image of {what}")
            if image is None and self.feature is not None:
                source = self.feature.source(what)
            elif self.feature is None:
                source = source_of(image, None, "", what)
            else:
                raise InputError(f"{what}: give an image or a feature")
        except InputError as error:
            return error
        return Candidate(
            self.subject, self.camera, source, self.key, self.captured_at, self.expires_at
        )


class BatchBody(Body):
    items: Annotated[list[ItemBody], Field(fail_fast=True, max_length=ITEMS_MAX)]


class BatchDeleteBody(Body):
    ids: Annotated[
        list[Annotated[int, Field(strict=True)]], Field(fail_fast=True, max_length=ITEMS_MAX)
    ]


class PolicyBody(Body):
    """Documents as docs/matching.md describes them; one that is left out stays as it is."""

    match_policy: dict[str, JsonValue] | None = None
    quality_gate: dict[str, JsonValue] | None = None


class JobBody(Body):
    kind: Annotated[str, Field(max_length=64)]
    """reindex, export, import, calibrate, backup, scrub or prove_deleted."""
    parameters: Annotated[
        dict[str, Annotated[str, Field(max_length=10_000)]], Field(max_length=16)
    ] = {}


def _decoded(text: str, what: str) -> bytes:
    """Decodes base64 in pieces, between which other threads run."""
    starts = range(0, len(text), _BASE64_PIECE)
    try:
        if starts and "=" in text[: starts[-1]]:
            raise ValueError
        pieces = [
            base64.b64decode(text[start : start + _BASE64_PIECE], validate=True) for start in starts
        ]
    except (binascii.Error, ValueError):
        raise InputError(f"{what}: not base64") from None
    return b"".join(pieces)
