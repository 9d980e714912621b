"""The bundle: what training hands to the services, a folder that proves itself.

``manifest.json`` names backbones and schemes and lists every file with its SHA-256.
:func:`load_bundle` refuses a folder in which anything is missing or altered.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from airreid.errors import BundleError
from airreid.model_card import ModelCard
from airreid.validation import FrozenModel, loaded

MANIFEST = "manifest.json"
SchemeId = Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)*-[0-9]+(-r[0-9]+)?$")]
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


class BackboneInfo(FrozenModel):
    """uint8 RGB crops (N, height, width, 3) -> features (N, feature_dim) float32.

    Normalisation is inside the graph.
    """

    id: str
    file: FileRef
    precision: Literal["fp32", "int8"]
    space_id: str
    """Features of one space may meet in a gallery, features of two never."""
    height: Annotated[int, Field(ge=16)] = 256
    width: Annotated[int, Field(ge=16)] = 128
    feature_dim: Annotated[int, Field(ge=1)] = 2048


class JsccInfo(FrozenModel):
    """A joint source-channel code: features straight to symbols.

    encoder: features (N, feature_dim) -> x (N, bandwidth), each row of mean power 1.
    decoder: y (N, bandwidth) -> embeddings (N, embedding_dim); without one the
    received vector is itself the embedding.
    """

    id: SchemeId
    kind: Literal["jscc-ae", "jscc-fc"]
    space_id: str
    bandwidth: Bandwidth
    """Real channel uses per query."""
    embedding_dim: Annotated[int, Field(ge=1)]
    encoder: FileRef
    decoder: FileRef | None = None
    gallery: Literal["decoder(encoder)", "encoder"]
    """How a gallery feature comes to the space of the decoded embeddings."""
    snr_db_train: tuple[float, float]
    """Range of SNR that the scheme was trained with."""

    @model_validator(mode="after")
    def _agrees(self) -> JsccInfo:
        if self.gallery == "decoder(encoder)" and self.decoder is None:
            raise ValueError(f"scheme {self.id}: gallery map needs a decoder and there is none")
        return self


class DigitalInfo(FrozenModel):
    """Separate source and channel coding: features to a latent, to bits, to symbols.

    encoder: features (N, feature_dim) -> latent (N, embedding_dim), which is rounded to
    integers; these are what is sent and what the gallery holds.
    """

    id: SchemeId
    kind: Literal["digital"]
    space_id: str
    bandwidth: Bandwidth
    """Real channel uses per query."""
    embedding_dim: Annotated[int, Field(ge=1)]
    encoder: FileRef
    codebook: FileRef
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


SchemeInfo = JsccInfo | DigitalInfo


class Manifest(FrozenModel):
    """The contents of ``manifest.json``."""

    format: Literal[1] = 1
    name: str
    backbones: Annotated[tuple[BackboneInfo, ...], Field(min_length=1)]
    """The first one is used where nothing else is asked for."""
    schemes: Annotated[
        tuple[Annotated[SchemeInfo, Field(discriminator="kind")], ...], Field(min_length=1)
    ]
    provenance: ModelCard

    @model_validator(mode="after")
    def _fits_together(self) -> Manifest:
        ids = [scheme.id for scheme in self.schemes]
        if len(set(ids)) != len(ids):
            raise ValueError("schemes: every id once")
        spaces = {backbone.space_id for backbone in self.backbones}
        for scheme in self.schemes:
            if scheme.space_id not in spaces:
                raise ValueError(f"scheme {scheme.id}: no backbone of space {scheme.space_id}")
        return self


class Bundle:
    """A bundle on disk whose files have been checked."""

    def __init__(self, path: Path, manifest: Manifest, bundle_id: str) -> None:
        self.path = path
        self.manifest = manifest
        self.bundle_id = bundle_id
        """First 16 hex digits of the manifest's SHA-256."""

    def rate_lambda(self, scheme: DigitalInfo) -> float | None:
        """λ that a scheme was trained with: its own or, in an older bundle, the card's."""
        if scheme.rate_lambda is not None:
            return scheme.rate_lambda
        return self.manifest.provenance.rate_lambda_of(scheme.id)

    def file(self, ref: FileRef) -> Path:
        return self.path / ref.path

    @property
    def backbone(self) -> BackboneInfo:
        return self.manifest.backbones[0]

    @property
    def scheme_ids(self) -> list[str]:
        return [scheme.id for scheme in self.manifest.schemes]

    @property
    def spaces(self) -> list[str]:
        """Feature spaces of the backbones, that of the first backbone first."""
        return list(dict.fromkeys(info.space_id for info in self.manifest.backbones))

    def backbone_of(self, space_id: str) -> BackboneInfo:
        """The first backbone of a space. Raises :class:`BundleError` if there is none."""
        for info in self.manifest.backbones:
            if info.space_id == space_id:
                return info
        raise BundleError(f"no backbone of space {space_id} in bundle {self.manifest.name}")

    def of_space(self, space_id: str) -> Bundle:
        """The same files seen as a bundle of one space: its backbones and schemes alone.

        Raises :class:`BundleError` for a space without backbone or scheme.
        """
        self.backbone_of(space_id)
        schemes = tuple(one for one in self.manifest.schemes if one.space_id == space_id)
        if not schemes:
            raise BundleError(f"no scheme of space {space_id} in bundle {self.manifest.name}")
        backbones = tuple(one for one in self.manifest.backbones if one.space_id == space_id)
        parts = {"backbones": backbones, "schemes": schemes}
        return Bundle(self.path, self.manifest.model_copy(update=parts), self.bundle_id)

    def scheme(self, scheme_id: str) -> SchemeInfo:
        """Raises :class:`BundleError` naming the schemes that there are."""
        for scheme in self.manifest.schemes:
            if scheme.id == scheme_id:
                return scheme
        raise BundleError(
            f"no scheme {scheme_id!r} in bundle {self.manifest.name}; "
            f"it has: {', '.join(self.scheme_ids)}"
        )


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_bundle(path: Path) -> Bundle:
    """Reads a bundle and checks every file against the manifest.

    Raises :class:`BundleError` for a missing folder, a manifest that does not fit,
    and a file that is missing or altered.
    """
    manifest_path = path / MANIFEST
    try:
        raw = manifest_path.read_bytes()
    except OSError:
        raise BundleError(
            f"no bundle at {path} (no {MANIFEST}); give --bundle a folder made by 'airreid train'"
        ) from None
    manifest = loaded(Manifest, raw, manifest_path)
    for ref in files_of(manifest):
        file = path / ref.path
        if not file.is_file():
            raise BundleError(f"{file}: missing from the bundle; export or copy it again")
        if file_sha256(file) != ref.sha256:
            raise BundleError(f"{file}: contents differ from the manifest; copy it again")
    return Bundle(path, manifest, hashlib.sha256(raw).hexdigest()[:16])


def files_of(manifest: Manifest) -> list[FileRef]:
    """Every file that the manifest names."""
    refs = [backbone.file for backbone in manifest.backbones]
    return refs + [ref for scheme in manifest.schemes for ref in scheme_files(scheme)]


def scheme_files(scheme: SchemeInfo) -> list[FileRef]:
    """The files of one scheme."""
    if isinstance(scheme, DigitalInfo):
        return [scheme.encoder, scheme.codebook]
    return [scheme.encoder] if scheme.decoder is None else [scheme.encoder, scheme.decoder]


def write_manifest(path: Path, manifest: Manifest) -> Bundle:
    """Writes ``manifest.json`` into the folder and reads the bundle back, checked."""
    path.mkdir(parents=True, exist_ok=True)
    text = manifest.model_dump_json(indent=2) + "\n"
    (path / MANIFEST).write_text(text, encoding="utf-8")
    return load_bundle(path)


def link_bundle(bundle: Bundle, folder: Path) -> Bundle:
    """A bundle of its own in ``folder``, with links to the files of another or of a part."""
    folder.mkdir(parents=True, exist_ok=True)
    for ref in files_of(bundle.manifest):
        (folder / ref.path).symlink_to(bundle.file(ref).resolve())
    return write_manifest(folder, bundle.manifest)


def default_bundle_path() -> Path:
    """The folder that ``AIRREID_BUNDLE`` names, or the demo bundle of a checkout."""
    named = os.environ.get("AIRREID_BUNDLE")
    return Path(named) if named else Path(__file__).resolve().parent.parent / "models" / "demo"
