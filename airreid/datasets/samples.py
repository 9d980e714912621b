"""Person images by reference, and named lists of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

IN_NAMES = "surrogateescape"
"""Handling of bytes in the names of files that are no UTF-8, where names are hashed."""


@dataclass(frozen=True)
class Sample:
    """One person crop: identity, camera, and a function that loads its pixels."""

    name: str
    """Source of the image, for messages: a path, or ``synthetic:...``."""
    identity: str
    camera: str
    version: str
    """Changes whenever the pixels do: a file's size and time, the renderer's number."""
    load: Callable[[], Image.Image]
    """Returns the RGB picture; raises :class:`airreid.errors.InputError` if it cannot."""


@dataclass(frozen=True)
class ImageSet:
    """Samples with a name that results can quote."""

    name: str
    samples: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def identities(self) -> list[str]:
        """Distinct identities, sorted; the position of one is its class label."""
        return sorted({sample.identity for sample in self.samples})

    def digest(self) -> str:
        """16 hex digits over names, identities, cameras and versions of all samples."""
        lines = "\n".join(f"{s.name}|{s.identity}|{s.camera}|{s.version}" for s in self.samples)
        return hashlib.sha256(lines.encode(errors=IN_NAMES)).hexdigest()[:16]

    def labels(self) -> np.ndarray:
        """int64 (len(self),): position of each sample's identity in ``identities``."""
        number = {identity: i for i, identity in enumerate(self.identities)}
        return np.asarray([number[s.identity] for s in self.samples], dtype=np.int64)

    def cameras(self) -> np.ndarray:
        """int64 (len(self),): the samples' cameras as numbers, in sorted order of name."""
        number = {c: i for i, c in enumerate(sorted({s.camera for s in self.samples}))}
        return np.asarray([number[s.camera] for s in self.samples], dtype=np.int64)
