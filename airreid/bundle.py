"""Model bundles: folders in which training hands networks to the services.

``manifest.json`` names backbones and schemes and lists every file with its SHA-256.
:func:`load_bundle` refuses a folder in which anything is missing or altered.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, model_validator

from airreid.disk import read_regular
from airreid.errors import BundleError
from airreid.images import CROP_HEIGHT, CROP_WIDTH, to_crop
from airreid.model_card import ModelCard
from airreid.onnx_reach import GRAPH_BYTES_MAX, check_self_contained
from airreid.scheme_info import DIM_MAX, DigitalInfo, FileRef, SchemeInfo
from airreid.scheme_kinds import AnyScheme, scheme_kind
from airreid.validation import FrozenModel, loaded

MANIFEST = "manifest.json"
_MANIFEST_MAX = 64 << 20
"""Bytes of a manifest, at most."""
INSTALLED_DEMO = ("share", "airreid", "demo")
"""Folder of the demo bundle below the environment that a wheel is installed in."""
PREFERRED_SCHEME = "jscc-ae-256"
"""Scheme that a camera sends by where a bundle has it."""

Precision = Literal["fp32", "int8"]
"""Arithmetic of a backbone's graph."""


class BackboneInfo(FrozenModel):
    """uint8 RGB crops (N, height, width, 3) -> features (N, feature_dim) float32.

    Normalisation is inside the graph.
    """

    id: str
    file: FileRef
    precision: Precision
    space_id: str
    """Features of one space may meet in a gallery, features of two never."""
    height: Annotated[int, Field(ge=16, le=4096)] = CROP_HEIGHT
    width: Annotated[int, Field(ge=16, le=4096)] = CROP_WIDTH
    feature_dim: Annotated[int, Field(ge=1, le=DIM_MAX)] = 2048

    def crop(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resizes an image to what the graph takes: uint8 (height, width, 3) RGB."""
        return to_crop(image, self.height, self.width)


class Manifest(FrozenModel):
    """The contents of ``manifest.json``."""

    format: Literal[1] = 1
    name: str
    backbones: Annotated[tuple[BackboneInfo, ...], Field(min_length=1)]
    """The first one is used where nothing else is asked for."""
    schemes: tuple[AnyScheme, ...]
    """May be empty: a bare backbone, to which 'airreid train extend' adds schemes."""
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
    """A bundle on disk whose files have been checked.

    Example:
        >>> import airreid
        >>> bundle = airreid.load_bundle()
        >>> bundle.scheme_ids[:2], bundle.scheme("jscc-ae-256").bandwidth
        (['jscc-ae-64', 'jscc-ae-256'], 256)
    """

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

    def read(self, ref: FileRef) -> bytes:
        """Reads a file as the manifest has it, whatever has become of the folder since it was
        loaded. Raises :class:`BundleError`."""
        file = self.file(ref)
        try:
            data = read_regular(file, GRAPH_BYTES_MAX)
        except OSError as error:
            raise BundleError(f"{file}: cannot be read ({error.strerror}); copy it again") from None
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise BundleError(f"{file}: contents differ from the manifest; copy it again")
        return data

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
        schemes = tuple(info for info in self.manifest.schemes if info.space_id == space_id)
        if not schemes:
            raise BundleError(f"no scheme of space {space_id} in bundle {self.manifest.name}")
        backbones = tuple(info for info in self.manifest.backbones if info.space_id == space_id)
        parts = {"backbones": backbones, "schemes": schemes}
        return Bundle(self.path, self.manifest.model_copy(update=parts), self.bundle_id)

    @property
    def usual_scheme_id(self) -> str:
        """Scheme that a camera sends by unless told another.

        It is ``jscc-ae-256`` where the bundle has it, else the first JSCC scheme, else the first
        scheme. Raises :class:`BundleError` for a bundle without schemes.
        """
        self.require_schemes()
        if PREFERRED_SCHEME in self.scheme_ids:
            return PREFERRED_SCHEME
        schemes = self.manifest.schemes
        analog = (info.id for info in schemes if "analog" in scheme_kind(info.kind).links)
        return next(analog, schemes[0].id)

    def require_schemes(self) -> None:
        """Raises :class:`BundleError` for a bare backbone, which nothing can be sent by."""
        if not self.manifest.schemes:
            raise BundleError(
                f"bundle {self.manifest.name} at {self.path} is a bare backbone without schemes; "
                "add some with 'airreid train extend', or make a bundle of the network with "
                "'airreid adopt'"
            )

    def scheme(self, scheme_id: str) -> SchemeInfo:
        """Raises :class:`BundleError` naming the schemes that there are."""
        self.require_schemes()
        for scheme in self.manifest.schemes:
            if scheme.id == scheme_id:
                return scheme
        raise BundleError(
            f"no scheme {scheme_id!r} in bundle {self.manifest.name}; "
            f"it has: {', '.join(self.scheme_ids)}"
        )


def load_bundle(path: Path | str | None = None) -> Bundle:
    """Reads a bundle, a folder, and checks every file against the manifest.

    Without a path it is the folder that ``AIRREID_BUNDLE`` names, or the demo bundle.

    Raises :class:`BundleError` for a missing folder, a manifest that does not fit, a file that
    is missing or altered, and a graph that would read files that the manifest does not list.

    Example:
        >>> import airreid
        >>> airreid.load_bundle("nowhere")
        Traceback (most recent call last):
        ...
        airreid.errors.BundleError: no bundle at nowhere (no manifest.json); ...
    """
    path = default_bundle_path() if path is None else Path(path)
    if path.suffix.lower() == ".onnx":
        raise BundleError(
            f"{path}: a network is not a bundle, which is a folder; make one of it with "
            f"'airreid adopt {path} --images DIR --out BUNDLE'"
        )
    manifest_path = path / MANIFEST
    try:
        raw = read_regular(manifest_path, _MANIFEST_MAX)
    except OSError:
        raise BundleError(
            f"no bundle at {path} (no {MANIFEST}); give --bundle a folder made by 'airreid train' "
            "or 'airreid adopt'"
        ) from None
    manifest = loaded(Manifest, raw, manifest_path)
    bundle = Bundle(path, manifest, hashlib.sha256(raw).hexdigest()[:16])
    for ref in files_of(manifest):
        file = path / ref.path
        if not file.is_file():
            raise BundleError(f"{file}: missing from the bundle; export or copy it again")
        data = bundle.read(ref)
        if file.suffix == ".onnx":
            check_self_contained(data, str(file))
    return bundle


def files_of(manifest: Manifest) -> list[FileRef]:
    """Every file that the manifest names."""
    refs = [backbone.file for backbone in manifest.backbones]
    return refs + [ref for scheme in manifest.schemes for ref in scheme.files]


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
    """The folder that ``AIRREID_BUNDLE`` names, or the demo bundle: of a checkout, or installed.

    Raises :class:`BundleError` where there is none of them.
    """
    named = os.environ.get("AIRREID_BUNDLE")
    if named:
        return Path(named)
    checkout = Path(__file__).resolve().parent.parent / "models" / "demo"
    if (checkout / MANIFEST).is_file():
        return checkout
    with contextlib.suppress(PackageNotFoundError):
        for file in distribution("airreid").files or ():
            path = Path(str(file.locate())).resolve()
            if file.parts[-4:] == (*INSTALLED_DEMO, MANIFEST) and path.is_file():
                return path.parent
    raise BundleError(
        "AirReID is installed without its demo bundle; give --bundle, or name the bundle of a "
        "checkout: export AIRREID_BUNDLE=CHECKOUT/models/demo"
    )
