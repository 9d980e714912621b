"""The bundle of a site: its network, and for every bandwidth the code that held-out people like."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.adopt.heads import HeadRecord, write_heads
from airreid.adopt.images import spread
from airreid.adopt.int8 import Int8Result, try_int8
from airreid.adopt.schemes import parse_schemes
from airreid.bundle import BackboneInfo, Bundle, Manifest, load_bundle, write_manifest
from airreid.codecs.selection import TrainedCode
from airreid.datasets.samples import ImageSet
from airreid.evaluation.features import features_of
from airreid.model_card import ModelCard
from training.export.bundle import write_with_card
from training.recipes.site_steps import NetworkStep
from training.site.context import SiteContext


@dataclass(frozen=True)
class Backed:
    """A network in a bundle's format, and its features of the images that are trained on."""

    bundle: Bundle
    features: NDArray[np.float32]
    """(N, D) of ``images.fit``."""


@dataclass(frozen=True)
class Built:
    """A bundle with codes, not yet in its place, and how it came about."""

    bundle: Bundle
    heads: tuple[HeadRecord, ...]
    int8: Int8Result | None
    """None where the recipe ships fp32."""


def bare_bundle(folder: Path, name: str, backbone: BackboneInfo) -> Bundle:
    """Writes the manifest of a bundle with a backbone and no schemes."""
    return write_manifest(
        folder, Manifest(name=name, backbones=(backbone,), schemes=(), provenance=ModelCard())
    )


def backed(bundle: Bundle, context: SiteContext) -> Backed:
    """Pairs a bundle with its features of the images that are trained on."""
    return Backed(bundle, features_by(bundle, context.images.fit, context))


def features_by(bundle: Bundle, images: ImageSet, context: SiteContext) -> NDArray[np.float32]:
    """Extracts features (N, D) by a bundle's network."""
    tick = context.report.phase(f"features of {len(images)} images", len(images))
    return features_of(bundle, bundle.backbone, images, context.cache, tick)


def build(network: Backed, trained: TrainedCode, folder: Path, context: SiteContext) -> Built:
    """Makes a bundle in ``folder``: the network, its codes and, where it pays, its int8 twin.

    For every scheme the best of PCA, the discriminant, mixtures and ``trained`` on the held-out
    people is taken, PCA where nobody is held out.
    """
    step = context.recipe.steps[0]
    assert isinstance(step, NetworkStep)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    info = network.bundle.backbone
    shutil.copyfile(network.bundle.file(info.file), folder / info.file.path)
    bare = bare_bundle(folder, context.recipe.name, info)
    wanted = parse_schemes(step.schemes)
    images = context.images
    labels = context.labels if context.split is not None else None
    tick = context.report.phase(f"codes of {len(images.fit)} images", len(wanted))
    heads, _ = write_heads(
        wanted,
        network.features,
        labels,
        folder,
        info.space_id,
        tick,
        context.split,
        trained,
        context.radio,
    )

    def crops(most: int) -> NDArray[np.uint8]:
        size = (info.height, info.width)
        return np.ascontiguousarray(context.crops(size)[spread(images.fit, most)])

    int8 = None
    if context.recipe.ship == "int8":
        int8 = try_int8(bare, info, crops, images.test, context.cache, context.report.phase)
    backbones = (info,) if int8 is None or int8.backbone is None else (int8.backbone, info)
    manifest = Manifest(
        name=context.recipe.name,
        backbones=backbones,
        schemes=tuple(head.info for head in heads),
        provenance=ModelCard(),
    )
    return Built(write_manifest(folder, manifest), tuple(heads), int8)


def put_in_place(built: Built, card: ModelCard, target: Path) -> Bundle:
    """Writes the card and moves the bundle to ``target``, whole or not at all."""
    manifest = built.bundle.manifest.model_copy(update={"provenance": card})
    write_with_card(built.bundle.path, manifest)
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    built.bundle.path.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return load_bundle(target)
