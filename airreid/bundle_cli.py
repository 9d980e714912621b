"""``airreid bundle``: look at a bundle, and prove that it works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from airreid.bundle import Bundle, default_bundle_path, files_of, load_bundle
from airreid.console import print_table, say
from airreid.errors import BundleError
from airreid.inference import BackboneRunner
from airreid.payload import Ideal, Link
from airreid.quantisation.saturation import LARGEST_SAFE, saturation
from airreid.scheme import DIRECT_SNR_DB, Scheme, links_of
from airreid.scheme_kinds import open_scheme, scheme_kind

app = typer.Typer(no_args_is_help=True, help="Model bundles.")
Folder = Annotated[Path | None, typer.Argument(help="Bundle; the demo's if left out.")]


@app.command()
def show(folder: Folder = None) -> None:
    """Print what a bundle holds and where it comes from."""
    bundle = load_bundle(folder or default_bundle_path())
    title = f"{bundle.manifest.name}  bundle {bundle.bundle_id}  {bundle.path}"
    backbones = []
    for info in bundle.manifest.backbones:
        size = bundle.file(info.file).stat().st_size / 1e6
        shape = f"{info.height}x{info.width} uint8"
        backbones.append(
            (info.id, info.precision, shape, info.feature_dim, info.space_id, f"{size:.1f}")
        )
    names = ("backbone", "precision", "input", "feature", "space", "MB")
    print_table(names, backbones, title)
    schemes = []
    for scheme in bundle.manifest.schemes:
        size = sum(bundle.file(ref).stat().st_size for ref in scheme.files) / 1e6
        schemes.append(
            (
                scheme.id,
                scheme.bandwidth,
                ", ".join(links_of(scheme)),
                scheme.embedding_dim,
                scheme.gallery,
                scheme_kind(scheme.kind).made_for(bundle, scheme),
                f"{size:.1f}",
            )
        )
    print_table(("scheme", "B", "links", "embedding", "gallery", "made for", "MB"), schemes)
    Console().print_json(bundle.manifest.provenance.model_dump_json())


@app.command()
def verify(folder: Folder = None) -> None:
    """Check every file against the manifest, run every graph, check power and shapes.

    Warns of int8 graphs that give other features on processors without VNNI.
    """
    bundle = load_bundle(folder or default_bundle_path())
    check_graphs(bundle)
    for warning in saturation_warnings(bundle):
        say(f"warning: {warning}", err=True)
    say(f"{bundle.path}: bundle {bundle.bundle_id} is whole and runs")


def saturation_warnings(bundle: Bundle) -> list[str]:
    """Says of each graph whose int8 products can saturate what that means, and the way out."""
    warnings = []
    for ref in {ref.path: ref for ref in files_of(bundle.manifest)}.values():
        if not ref.path.endswith(".onnx"):
            continue
        count = saturation(bundle.file(ref))
        if count is not None:
            warnings.append(
                f"{ref.path}: {count.layers} of {count.quantised} int8 layers have weights beyond "
                f"+-{LARGEST_SAFE} (up to {count.largest}); on processors with AVX2 or AVX-512 and "
                "no VNNI their sums can saturate, which costs accuracy; make the graph again with "
                "this version, whose int8 weights have 7 bits"
            )
    return warnings


def check_graphs(bundle: Bundle) -> None:
    """Runs every graph on made input. Raises :class:`BundleError` naming the first misfit."""
    rng = np.random.default_rng(0)
    spaces = {info.space_id: info.feature_dim for info in bundle.manifest.backbones}
    for info in bundle.manifest.backbones:
        crops = rng.integers(0, 256, (2, info.height, info.width, 3), dtype=np.uint8)
        _expect(BackboneRunner(bundle, info, 1).features(crops), info.feature_dim, info.id)
    for scheme in bundle.manifest.schemes:
        if scheme.space_id not in spaces:
            raise BundleError(f"scheme {scheme.id}: no backbone of space {scheme.space_id}")
        features = rng.standard_normal((2, spaces[scheme.space_id])).astype(np.float32)
        opened = open_scheme(bundle, scheme, 1)
        _expect(opened.gallery(features), scheme.embedding_dim, f"{scheme.id} gallery map")
        for link in links_of(scheme):
            _check_link(opened, link, features)


def _check_link(scheme: Scheme, link: Link, features: NDArray[np.float32]) -> None:
    """Sends two features over a perfect link."""
    name = f"{scheme.info.id} {link}"
    payloads = scheme.pack(features, link)
    for payload in payloads:
        if isinstance(payload, Ideal):
            continue
        count = payload.symbols.size
        if count != scheme.info.bandwidth:
            raise BundleError(f"{name}: {count} symbols, not {scheme.info.bandwidth}")
        power = float(np.square(payload.symbols.astype(np.float64)).mean())
        if abs(power - 1.0) > 1e-4:
            raise BundleError(f"{name}: block power {power}, not 1")
    received = scheme.unpack(payloads, [DIRECT_SNR_DB] * len(payloads))
    _expect(received.embeddings, scheme.info.embedding_dim, f"{name} receiver")
    if received.lost.any():
        raise BundleError(f"{name}: a block is lost without any noise")


def _expect(output: np.ndarray, dim: int, what: str) -> None:
    if output.shape != (2, dim) or not np.isfinite(output).all():
        raise BundleError(f"{what}: gives {output.shape}, not finite values of shape (2, {dim})")
