"""``airreid bundle``: look at a bundle, prove that it works, round its weights anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from airreid.bundle import (
    MANIFEST,
    BackboneInfo,
    Bundle,
    default_bundle_path,
    files_of,
    load_bundle,
)
from airreid.console import print_table, progress_bars, say
from airreid.datasets.samples import ImageSet
from airreid.errors import BundleError, InputError
from airreid.inference import BackboneRunner
from airreid.json_output import Json, JsonOut, show_json
from airreid.payload import Ideal, Link
from airreid.quantisation.saturation import LARGEST_SAFE, saturation
from airreid.scheme import DIRECT_SNR_DB, Scheme, links_of
from airreid.scheme_kinds import open_scheme, scheme_kind

app = typer.Typer(no_args_is_help=True, help="Model bundles.")
_MOST_IMAGES = 64
"""Images that biases are corrected on, as in exports."""
Folder = Annotated[Path | None, typer.Argument(help="Bundle; the demo's if left out.")]


@app.command()
def show(folder: Folder = None, as_json: Json = False, json_out: JsonOut = None) -> None:
    """Print what a bundle holds and where it comes from."""
    bundle = load_bundle(folder or default_bundle_path())
    document = {"bundle_id": bundle.bundle_id, "folder": str(bundle.path)}
    document |= {"manifest": json.loads((bundle.path / MANIFEST).read_bytes())}
    if show_json("airreid bundle show 1", document, as_json, json_out):
        return
    say(f"{bundle.manifest.name}, in {bundle.path}")
    say(f"bundle {bundle.bundle_id}: cameras and access point must have the same bundle")
    backbones = []
    for info in bundle.manifest.backbones:
        size = bundle.file(info.file).stat().st_size / 1e6
        shape = f"{info.height}x{info.width} uint8"
        backbones.append(
            (info.id, info.precision, shape, info.feature_dim, info.space_id, f"{size:.1f}")
        )
    for space_id in dict.fromkeys(info.space_id for info in bundle.manifest.backbones):
        say(f"space {space_id}: features of one space can be compared; a gallery holds one space")
    names = ("backbone", "precision", "input", "feature", "space", "MB")
    print_table(names, backbones)
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


@app.command("requantise")
def requantise_command(
    folder: Annotated[Path, typer.Argument(help="Bundle with int8 backbones of 8-bit weights.")],
    images: Annotated[
        str,
        typer.Option(
            help="Crops of people to correct biases on: <identity>/<camera>/<image>, a data set "
            "that 'airreid data check' knows, or any folder of images."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the new bundle; must not be there yet.")],
) -> None:
    """Round int8 weights anew to 7 bits, so that every processor finds the same people.

    For a bundle that 'verify' warns of, whose fp32 graph is no longer there. Schemes and feature
    space stay; accuracy is left out of the card: measure it anew with 'airreid evaluate'.
    """
    try:  # here, so that the other commands need no package that this one does
        from airreid.quantisation.requantised_bundle import requantise_bundle

        chosen = correction_images(images)
    except ModuleNotFoundError as error:
        raise InputError(
            f"'airreid bundle requantise' needs {error.name}: install AirReID with the extra "
            "adopt, in a checkout .venv/bin/pip install -e '.[adopt]'"
        ) from None
    bundle = load_bundle(folder)

    def crops(info: BackboneInfo) -> NDArray[np.uint8]:
        return np.stack([info.crop(sample.load()) for sample in chosen.samples])

    name = f"{len(chosen)} images of {chosen.name}, digest {chosen.digest()}"
    safe = requantise_bundle(bundle, crops, name, out)
    ids = ", ".join(safe.manifest.provenance.requantised[-1].backbones)
    say(f"{safe.path}: bundle {safe.bundle_id}, with 7-bit weights in {ids}")


def correction_images(source: str) -> ImageSet:
    """Takes some of the images that can be read, evenly spread over them, to correct biases on."""
    from airreid.adopt.images import open_images, readable_images, spread
    from airreid.datasets.cli import tell_left_out
    from airreid.evaluation.cli import phases
    from airreid.evaluation.features import default_cache

    opened = open_images(source)
    with progress_bars() as bars:
        opened = readable_images(opened, default_cache(), phases(bars))
    tell_left_out(opened.left_out)
    samples = [opened.fit.samples[row] for row in spread(opened.fit, _MOST_IMAGES)]
    return ImageSet(opened.fit.name, tuple(samples))


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
                "no VNNI their sums can saturate, which costs accuracy; export the bundle again "
                "with this version, or round its weights anew with 'airreid bundle requantise'"
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
