"""A recipe's schemes on features of a frozen backbone: trained once, kept, exported."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import SchemeInfo
from training import checkpoint
from training.bundling import export_head
from training.data.samples import ImageSet
from training.export_digital import export_digital
from training.models.codec import Codec
from training.models.digital import Digital
from training.recipe import DigitalSpec, Recipe
from training.report import Report
from training.train_codec import parse_scheme, train_codec
from training.train_digital import train_digital


@dataclass(frozen=True)
class People:
    """What schemes are trained on: features (N, D) by the backbone ``space``, of ``images``."""

    features: NDArray[np.float32]
    images: ImageSet
    space: str


@dataclass(frozen=True)
class Schemes:
    """Exported schemes, and the digital ones' networks as they were trained."""

    infos: list[SchemeInfo]
    digital: dict[str, Digital]


def scheme_ids(recipe: Recipe) -> list[str]:
    """Ids of all schemes of a recipe, in the order of a bundle: JSCC, then digital.

    Raises :class:`airreid.errors.InputError` for one that cannot be trained.
    """
    for scheme_id in recipe.codec.schemes:
        parse_scheme(scheme_id)
    return [*recipe.codec.schemes, *(scheme.id for scheme in recipe.digital.schemes)]


def make_schemes(
    recipe: Recipe,
    people: People,
    out: Path,
    folder: Path,
    report: Report,
    leave_out: Collection[str] = (),
) -> Schemes:
    """Trains the recipe's schemes but for ``leave_out`` and exports them to ``folder``.

    What is trained lies in ``out`` as checkpoints and is not trained again.
    """
    infos: list[SchemeInfo] = []
    digital: dict[str, Digital] = {}
    snr_range = (recipe.codec.snr_db_min, recipe.codec.snr_db_max)
    for scheme_id in recipe.codec.schemes:
        if scheme_id not in leave_out:
            codec = _codec(scheme_id, recipe, people, out, report)
            sample = people.features[:64]
            infos.append(export_head(scheme_id, codec, folder, sample, people.space, snr_range))
    for scheme in recipe.digital.schemes:
        if scheme.id not in leave_out:
            model = digital[scheme.id] = _digital(scheme, recipe, people, out, report)
            infos.append(
                export_digital(
                    scheme.id,
                    model.head,
                    model.prior,
                    folder,
                    people.features,
                    people.space,
                    recipe.digital.crc_bits,
                    recipe.digital.payload_sizes,
                )
            )
    return Schemes(infos, digital)


def _codec(scheme_id: str, recipe: Recipe, people: People, out: Path, report: Report) -> Codec:
    path = out / f"codec-{scheme_id}-{people.space}.pt"
    kind, bandwidth = parse_scheme(scheme_id)
    if path.exists():
        codec = Codec(kind, people.features.shape[1], bandwidth, recipe.codec.hidden)
        codec.load_state_dict(checkpoint.load(path))
        return codec.eval()
    codec = train_codec(
        scheme_id,
        recipe.codec,
        people.features,
        people.images.labels(),
        people.images.cameras(),
        recipe.seed,
        lambda progress: report.codec(scheme_id, progress),
    )
    checkpoint.save(path, codec.state_dict())
    return codec


def _digital(
    scheme: DigitalSpec, recipe: Recipe, people: People, out: Path, report: Report
) -> Digital:
    path = out / f"codec-{scheme.id}-{people.space}.pt"
    if path.exists():
        model = Digital(people.features.shape[1], scheme.dimensions)
        model.load_state_dict(checkpoint.load(path))
        return model.eval()
    model = train_digital(
        scheme,
        recipe.digital,
        people.features,
        people.images.labels(),
        people.images.cameras(),
        recipe.seed,
        lambda progress: report.digital(scheme.id, progress),
    )
    checkpoint.save(path, model.state_dict())
    return model
