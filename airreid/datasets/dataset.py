"""Data set under one protocol: named subsets of images and their published counts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from airreid.datasets.samples import IN_NAMES, ImageSet
from airreid.errors import InputError
from airreid.retrieval import Labels


@dataclass(frozen=True)
class Count:
    """Published size of a subset."""

    images: int | None
    """Number of images; None where nobody has published it."""
    identities: int


@dataclass(frozen=True)
class DataSet:
    """Images of one source under one protocol.

    ``subsets`` has ``train`` and, where the protocol has a test, ``query`` and
    ``gallery``. Junk is not in them; distractors are, as identity :data:`DISTRACTOR`.
    """

    name: str
    """Name in results: ``Market-1501``, ``CUHK03 labeled``."""
    form: str
    """Form of the files: ``CUHK03-NP folders``."""
    protocol: str
    protocols: tuple[str, ...]
    """Every protocol that this source can be opened with."""
    subsets: Mapping[str, ImageSet]
    expected: Mapping[str, Count] = field(default_factory=dict)
    """Published counts of the subsets; empty for a user's own images."""
    single_shot: bool = False
    """One gallery image of an identity at a time, drawn at random and repeatedly."""
    part: str = ""
    """Part that this is of the whole: ``camera pair 1 of 5``; empty for the whole."""
    missing: tuple[str, ...] = ()
    """Files that the data set's own lists name and that are not there."""
    left_out: tuple[str, ...] = ()
    """Why a file is not taken, for each; it begins with the file's path."""
    beside: tuple[str, ...] = ()
    """Those of ``left_out`` that nobody takes for images: notes and tables beside them."""
    elsewhere: str = ""
    """Where the data set was found, if not at the path that was given."""
    leftovers: int = 0
    """Number of hidden files and of leftovers of systems and archives."""

    def __getitem__(self, name: str) -> ImageSet:
        """A subset. Raises :class:`InputError` naming those that there are."""
        if name not in self.subsets:
            raise InputError(
                f"{self.label}: no {name} images; it has: {', '.join(self.subsets)}. "
                f"Protocols: {', '.join(self.protocols)}"
            )
        return self.subsets[name]

    def __contains__(self, name: str) -> bool:
        return name in self.subsets

    @property
    def shortfall(self) -> list[str]:
        """Each count that is not the published one, in words: ``train: 10 of 7368 images``."""
        shortfall = []
        for name, count in self.expected.items():
            images = self.subsets[name]
            identities = len(set(images.identities) - {DISTRACTOR})
            if count.images is not None and len(images) != count.images:
                shortfall.append(f"{name}: {len(images)} of {count.images} images")
            if identities != count.identities:
                shortfall.append(f"{name}: {identities} of {count.identities} identities")
        return shortfall

    @property
    def label(self) -> str:
        """Name, protocol, and that it is a subset if it is one: for every result."""
        parts = [self.part] if self.part else []
        parts += self.shortfall
        if self.missing:
            parts.append(f"{len(self.missing)} listed files missing")
        subset = f" [subset: {'; '.join(parts)}]" if parts else ""
        return f"{self.name}, protocol {self.protocol}{subset}"

    def digest(self) -> str:
        """16 hex digits over what is in which subset: names, identities and cameras.

        The same for the same files wherever they lie; pixels do not enter.
        """
        lines = [self.protocol, str(self.single_shot)]
        for name, images in sorted(self.subsets.items()):
            lines += [f"{name}|{s.name}|{s.identity}|{s.camera}" for s in images.samples]
        return hashlib.sha256("\n".join(lines).encode(errors=IN_NAMES)).hexdigest()[:16]

    def test_labels(self) -> tuple[Labels, Labels]:
        """Labels of (query, gallery), comparable; distractors are identity 0, people begin at 1."""
        query, gallery = self["query"].samples, self["gallery"].samples
        both = [*query, *gallery]
        people = sorted({s.identity for s in both} - {DISTRACTOR})
        identities = {name: i for i, name in enumerate(people, 1)} | {DISTRACTOR: 0}
        cameras = {name: i for i, name in enumerate(sorted({s.camera for s in both}))}
        labels = np.asarray([(identities[s.identity], cameras[s.camera]) for s in both], np.int64)
        labels = labels.reshape(-1, 2)
        split = len(query)
        return (
            Labels(labels[:split, 0], labels[:split, 1]),
            Labels(labels[split:, 0], labels[split:, 1]),
        )

    def unanswerable(self) -> list[str]:
        """Identities among the queries that no other camera has in the gallery, sorted."""
        cameras: dict[str, set[str]] = {}
        for sample in self["gallery"].samples:
            cameras.setdefault(sample.identity, set()).add(sample.camera)
        return sorted(
            {
                sample.identity
                for sample in self["query"].samples
                if not cameras.get(sample.identity, set()) - {sample.camera}
            }
        )


DISTRACTOR = "distractor"
"""Identity of gallery images of nobody who is searched for."""


def pick(protocol: str | None, protocols: tuple[str, ...], where: str) -> str:
    """Chooses the protocol asked for, the first one for None. Raises :class:`InputError`."""
    if protocol is None:
        return protocols[0]
    if protocol not in protocols:
        raise InputError(f"{where}: no protocol {protocol!r}; there are: {', '.join(protocols)}")
    return protocol
