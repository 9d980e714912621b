"""Images that cannot be decoded, left out of a data set where they are few."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from airreid.datasets.check import decoding_errors
from airreid.datasets.dataset import DataSet
from airreid.datasets.samples import ImageSet
from airreid.errors import InputError

MOST = 0.01
"""Share of the images that may be left out; above it the data set itself is damaged."""
Phase = Callable[[str, int], Callable[[], object]]
"""Begins a phase of so many steps; call the result after each."""
Broken = dict[tuple[str, str], str]
"""Name and version of images that cannot be read, each with its reason, which begins with the
file's path."""


def broken_images(images: ImageSet, cache: Path, phase: Phase) -> Broken:
    """Decodes every image, once each, and returns those that cannot be.

    The result is kept in ``cache`` if that folder is there. Raises :class:`InputError` where they
    are more than one and more than :data:`MOST` of all.
    """
    once = {(sample.name, sample.version): sample for sample in images.samples}
    images = ImageSet(images.name, tuple(once.values()))
    path = cache / f"unreadable-{images.digest()}.json"
    reasons = _stored(path, len(images))
    if reasons is None:
        tick = phase(f"looking at {len(images)} images", len(images))
        errors = enumerate(decoding_errors(images.samples, tick))
        reasons = {number: error for number, error in errors if error}
        if cache.is_dir():
            path.write_text(json.dumps(reasons), encoding="utf-8")
    if len(reasons) > max(1.0, MOST * len(images)):
        first = next(iter(reasons.values()))
        raise InputError(
            f"{images.name}: {len(reasons)} of {len(images)} images cannot be read ({first}); "
            f"up to {MOST:.0%} are left out. Copy the data again; 'airreid data check' names all"
        )
    samples = images.samples
    return {(samples[n].name, samples[n].version): reason for n, reason in reasons.items()}


def without(images: ImageSet, broken: Broken) -> ImageSet:
    """Leaves images out of a set."""
    samples = tuple(s for s in images.samples if (s.name, s.version) not in broken)
    return replace(images, samples=samples)


def readable(data: DataSet, cache: Path, phase: Phase, subsets: Iterable[str] = ()) -> DataSet:
    """Leaves images that cannot be decoded out of a data set, each with its reason.

    ``subsets``: those that are looked at, all if empty. Raises as :func:`broken_images` does.
    """
    looked_at = {name: data.subsets[name] for name in subsets} or dict(data.subsets)
    samples = tuple(s for images in looked_at.values() for s in images.samples)
    return leave_out(data, broken_images(ImageSet(data.label, samples), cache, phase))


def leave_out(data: DataSet, broken: Broken) -> DataSet:
    """Leaves images out of every subset of a data set; their reasons are with the others."""
    if not broken:
        return data
    return replace(
        data,
        subsets={name: without(images, broken) for name, images in data.subsets.items()},
        left_out=(*data.left_out, *broken.values()),
    )


def _stored(path: Path, count: int) -> dict[int, str] | None:
    """Reads what an earlier call has found; None without any, and where the file is damaged."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        reasons = {int(number): str(reason) for number, reason in stored.items()}
    except (OSError, ValueError, AttributeError):
        return None
    return reasons if all(0 <= number < count for number in reasons) else None
