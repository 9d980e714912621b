"""Check of a whole data set: every image decoded, every missing file named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from airreid.datasets.advice import advice, cameras_of
from airreid.datasets.dataset import DISTRACTOR, DataSet
from airreid.datasets.samples import IN_NAMES, Sample
from airreid.datasets.tracks import FORM
from airreid.errors import InputError
from airreid.worker_processes import worker_processes

_FEW = 64
"""Images that are decoded faster here than processes start, at most."""


@dataclass(frozen=True)
class Checked:
    """Result of the check."""

    problems: list[str]
    """Errors, one line each, naming the file. Empty for a data set that can be used."""
    content: str
    """16 hex digits over names and decoded pixels of the images that can be read."""


def images_of(data: DataSet) -> list[Sample]:
    """Lists every image of the data set once, in the order of subsets."""
    by_name = {sample.name: sample for images in data.subsets.values() for sample in images.samples}
    return list(by_name.values())


def check_images(
    samples: Sequence[Sample], tick: Callable[[], object] = lambda: None, workers: int = 0
) -> Checked:
    """Decodes every image, in as many processes as there are cores unless ``workers`` is set."""
    problems = []
    digest = hashlib.sha256()
    for sample, (error, pixels) in zip(samples, _decoded(samples, workers), strict=True):
        if error:
            problems.append(error)
        else:
            digest.update(f"{sample.name}|{pixels}\n".encode(errors=IN_NAMES))
        tick()
    return Checked(problems, digest.hexdigest()[:16])


def decoding_errors(
    samples: Sequence[Sample], tick: Callable[[], object] = lambda: None, workers: int = 0
) -> Iterator[str]:
    """Decodes every image and yields why it cannot be, empty where it can; as many processes as
    in :func:`check_images`."""
    for error, _ in _decoded(samples, workers):
        yield error
        tick()


def _decoded(samples: Sequence[Sample], workers: int) -> Iterator[tuple[str, str]]:
    if len(samples) <= _FEW:
        yield from map(_decode, samples)
        return
    with worker_processes(workers) as pool:
        yield from pool.map(_decode, samples, chunksize=32)


def _decode(sample: Sample) -> tuple[str, str]:
    """Returns (error or "", SHA-256 of size and pixels or "")."""
    try:
        pixels = np.asarray(sample.load())
    except InputError as error:
        return str(error), ""
    head = f"{pixels.shape}".encode()
    return "", hashlib.sha256(head + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def structure_problems(data: DataSet) -> list[str]:
    """Names files that lists name and that are missing, those left out, and empty subsets."""
    problems = [f"{data.name}: listed but missing: {name}" for name in data.missing]
    beside = set(data.beside)
    problems += [reason for reason in data.left_out if reason not in beside]
    problems += [f"{data.label}: {name} is empty" for name, s in data.subsets.items() if not s]
    return problems


def remarks(data: DataSet) -> list[str]:
    """Lists what a user should know and may have intended."""
    notes = []
    if data.elsewhere:
        notes.append(f"found at {data.elsewhere}, not at the folder that was given")
    if data.beside:
        what = f"{len(data.beside)} files" if len(data.beside) > 1 else "1 file"
        notes.append(f"{what} beside the images, not taken: {_listed(data.beside, '; ', 20)}")
    if data.leftovers:
        notes.append(f"{data.leftovers} hidden files and leftovers of archives passed over")
    cameras = cameras_of(data["train"]) if "train" in data else {}
    single = sorted(identity for identity, views in cameras.items() if len(views) < 2)
    if "query" in data and (alone := data.unanswerable()):
        also = "; to train on, they were seen by one camera only" if alone == single else ""
        notes.append(
            f"no counterpart by another camera, so never counted: {_listed(alone)} "
            f"({len(alone)} of {len(data['query'].identities)} identities searched for{also})"
        )
        single = [] if alone == single else single
    notes += advice(data)
    if single and data.form != FORM:
        notes.append(
            f"train: seen by one camera only: {_listed(single)} "
            f"({len(single)} of {len(cameras)} identities)"
        )
    return notes


def _listed(names: Iterable[str], between: str = ", ", most: int = 10) -> str:
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + rest


def describe(data: DataSet) -> dict[str, Any]:
    """Describes the data set in numbers, for people and for JSON."""
    rows = []
    for name, images in data.subsets.items():
        expected = data.expected.get(name)
        rows.append(
            {
                "subset": name,
                "images": len(images),
                "identities": len(set(images.identities) - {DISTRACTOR}),
                "cameras": len({s.camera for s in images.samples}),
                "distractors": sum(s.identity == DISTRACTOR for s in images.samples),
                "expected_images": expected.images if expected else None,
                "expected_identities": expected.identities if expected else None,
            }
        )
    return {
        "form": data.form,
        "data": data.label,
        "complete": not (data.shortfall or data.part or data.missing),
        "published_counts": bool(data.expected),
        "protocols": list(data.protocols),
        "digest": data.digest(),
        "subsets": rows,
    }
