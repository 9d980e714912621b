"""Descriptions of schemes as a bundle's manifest holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from airreid.disk import file_sha256
from airreid.nested.stopping import StoppingRule
from airreid.validation import FrozenModel

DIM_MAX = 65536
"""Values of a feature or an embedding, at most."""
_WORD = "[a-z][a-z0-9]*"
SchemeId = Annotated[str, Field(pattern=rf"^{_WORD}(-{_WORD})*-[0-9]+(-r[0-9]+)?$")]
"""The kind, words of one's own, B, and a number where one bandwidth has several rates:
``jscc-ae-256``, ``jscc-fc-joint-64``, ``digital-256-r1``."""
Bandwidth = Annotated[int, Field(ge=1, le=65536)]


class FileRef(FrozenModel):
    """A file of the bundle."""

    path: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    """Name inside the folder; no folders below it."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @classmethod
    def of(cls, path: Path) -> FileRef:
        """Names a file that lies in the bundle's folder, with the hash of its contents."""
        return cls(path=path.name, sha256=file_sha256(path))


class SchemeInfo(FrozenModel):
    """Fields of every scheme. Each kind adds its own: :mod:`airreid.scheme_kinds`."""

    id: SchemeId
    kind: str
    """Name of the registered kind."""
    space_id: str
    """Space of the backbone features that it encodes."""
    bandwidth: Bandwidth
    """Real channel uses per query."""
    embedding_dim: Annotated[int, Field(ge=1, le=DIM_MAX)]
    """Dimensions of the vectors that are searched for."""
    gallery: str
    """Short name of the map from a gallery feature to the space of the embeddings."""

    @property
    def files(self) -> list[FileRef]:
        """The scheme's files, in the order of its fields."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return [value for value in values if isinstance(value, FileRef)]


class JsccInfo(SchemeInfo):
    """A joint source-channel code: features straight to symbols.

    encoder: features (N, feature_dim) -> x (N, bandwidth), each row of mean power 1.
    decoder: y (N, bandwidth) -> embeddings (N, embedding_dim); without one the
    received vector is itself the embedding.
    """

    kind: Literal["jscc-ae", "jscc-fc"]
    encoder: FileRef
    decoder: FileRef | None = None
    gallery: Literal["decoder(encoder)", "encoder"]
    snr_db_train: tuple[float, float]
    """Range of SNR that the scheme was trained with."""

    @model_validator(mode="after")
    def _agrees(self) -> JsccInfo:
        if self.gallery == "decoder(encoder)" and self.decoder is None:
            raise ValueError(f"scheme {self.id}: gallery map needs a decoder and there is none")
        return self


class NestedInfo(SchemeInfo):
    """A joint source-channel code in pieces: any number of them is a code of its own.

    encoder: features (N, feature_dim) -> x (N, bandwidth), each piece of mean power 1. The
    received pieces are themselves the embedding; those that were not sent count as zeros, which
    leaves the inner products with a gallery vector to the pieces that were.
    """

    kind: Literal["jscc-nested"]
    piece: Annotated[int, Field(ge=1, le=4096)]
    """Real channel uses of a piece."""
    encoder: FileRef
    gallery: Literal["encoder"] = "encoder"
    snr_db_train: tuple[float, float]
    """Range of SNR that the scheme was made for."""
    stopping: StoppingRule | None = None
    """Rule by which a receiver says that it has heard enough; None: it asks for every piece."""

    @model_validator(mode="after")
    def _whole_pieces(self) -> NestedInfo:
        if self.bandwidth % self.piece or self.embedding_dim != self.bandwidth:
            raise ValueError(
                f"scheme {self.id}: bandwidth {self.bandwidth} must be whole pieces of "
                f"{self.piece} uses, and embedding_dim the same"
            )
        return self


class DigitalInfo(SchemeInfo):
    """Separate source and channel coding: features to a latent, to bits, to symbols.

    encoder: features (N, feature_dim) -> latent (N, embedding_dim), which is rounded to
    integers; these are what is sent and what the gallery holds.
    """

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    kind: Literal["digital"]
    encoder: FileRef
    coding_tables: FileRef = Field(alias="codebook")
    """The prior's integer tables and the channel codes: :mod:`airreid.digital.coding_tables`."""
    gallery: Literal["rounded"] = "rounded"
    rate_lambda: Annotated[float, Field(gt=0)] | None = None
    """The paper's λ that the scheme was trained with: bits per query that one unit of
    retrieval loss is worth. None in bundles that were exported without it, and then not
    in the JSON."""

    @model_serializer(mode="wrap")
    def _without_missing_lambda(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        if self.rate_lambda is None:
            del values["rate_lambda"]
        return values
