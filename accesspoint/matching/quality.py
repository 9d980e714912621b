"""Quality of an image that is to be enrolled: measures of its pixels, and the gate's bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from accesspoint.errors import QualityError
from accesspoint.matching.policy import Cosine, load_document
from airreid.images import to_crop
from airreid.validation import FiniteModel

SETTING = "quality_gate"
"""Name of the document among the gallery's settings."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601."""
_REDUCE, _BOX = 4, 5
"""Sharpness is measured on a crop of 64 x 32, where sensor noise has averaged out, by
blurring it again over 5 pixels."""


class QualityGate(FiniteModel):
    """Bounds that an image must keep; docs/matching.md says where the defaults come from."""

    version: Literal[1] = 1
    mode: Literal["off", "warn", "refuse"] = "warn"
    min_width: Annotated[int, Field(ge=1, le=4096)] = 24
    min_height: Annotated[int, Field(ge=1, le=4096)] = 48
    """Pixels of the original, before it is resized to the network's crop."""
    min_aspect: Annotated[float, Field(gt=0.0, le=100.0)] = 1.2
    max_aspect: Annotated[float, Field(gt=0.0, le=100.0)] = 5.0
    """Height over width."""
    min_sharpness: Annotated[float, Field(ge=0.0, le=1.0)] = 0.45
    min_brightness: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    max_brightness: Annotated[float, Field(ge=0.0, le=1.0)] = 0.9
    """Mean luma, 0 black and 1 white."""
    min_contrast: Annotated[float, Field(ge=0.0, le=0.5)] = 0.06
    near_duplicate: Cosine = 0.9
    """Cosine of raw features with another subject's entry, at which the two are likely one
    person; where the match policy is calibrated, its own ``near_duplicate`` counts."""
    exact_duplicate: Cosine = 0.9999
    """Cosine with an entry of the same subject, at which the entry adds nothing."""


def load_gate(text: str | None) -> QualityGate:
    """Reads a gate from its JSON; the default one for None or an empty text.

    Raises :class:`airreid.errors.InputError` naming the first field that is wrong.
    """
    return load_document(QualityGate, text, "quality gate")


@dataclass(frozen=True)
class Measures:
    """Measures of an image."""

    width: int
    height: int
    """Pixels of the original."""
    sharpness: float
    """0 to 1: share of the crop's edges that blurring takes away, in the weaker of the two
    directions."""
    brightness: float
    """Mean luma of the crop, 0 to 1."""
    contrast: float
    """Half the distance between the crop's 5th and 95th percentile of luma, 0 to 0.5."""


@dataclass(frozen=True)
class Quality:
    """Verdict on an image."""

    score: float
    """0 to 1: the worst of its properties, 0.5 where one is just at its bound."""
    reasons: tuple[str, ...]
    """Properties outside the gate's bounds; empty for a good image."""
    measures: Measures


def measure(image: Image.Image | NDArray[np.uint8]) -> Measures:
    """Measures a decoded image, or uint8 (H, W, 3) RGB.

    Sharpness is the blur metric of Crété, Dolmiere, Ladret and Nicolas (*The blur
    effect*, SPIE 6492, 2007), turned round so that sharp is high. The crop that is measured
    has 256 x 128 pixels whatever the network takes: the gate's bounds are for that size.
    """
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image, "RGB")
    width, height = picture.size
    crop = Image.fromarray(to_crop(picture), "RGB")
    luma = np.asarray(crop, np.float32) @ _LUMA / 255.0
    low, high = np.percentile(luma, [5, 95])
    small = np.asarray(crop.reduce(_REDUCE), np.float32) @ _LUMA / 255.0
    return Measures(
        width=width,
        height=height,
        sharpness=min(_sharpness(small), _sharpness(small.T)),
        brightness=float(luma.mean()),
        contrast=float(high - low) / 2,
    )


def _sharpness(luma: NDArray[np.float32]) -> float:
    """Sharpness along the first axis of (H, W)."""
    padded = np.pad(luma, ((_BOX // 2 + 1, _BOX // 2), (0, 0)), mode="edge")
    sums = np.cumsum(padded, axis=0, dtype=np.float64)
    blurred = (sums[_BOX:] - sums[:-_BOX]) / _BOX
    edges = np.abs(np.diff(luma, axis=0))
    lost = np.maximum(0.0, edges - np.abs(np.diff(blurred, axis=0)))
    return float(lost.sum() / max(float(edges.sum()), 1e-9))


def assess(image: Image.Image | NDArray[np.uint8], gate: QualityGate) -> Quality:
    """Judges an image: a decoded original, or uint8 (H, W, 3) RGB."""
    measures = measure(image)
    aspect = measures.height / measures.width
    checks = [
        _Check(measures.width, gate.min_width, f"only {measures.width} pixels wide"),
        _Check(measures.height, gate.min_height, f"only {measures.height} pixels high"),
        _Check(
            aspect, gate.min_aspect, f"too wide for a person: {measures.width}x{measures.height}"
        ),
        _Check(
            1 / aspect,
            1 / gate.max_aspect,
            f"too slim for a person: {measures.width}x{measures.height}",
        ),
        _Check(
            measures.sharpness, gate.min_sharpness, f"blurred: sharpness {measures.sharpness:.2f}"
        ),
        _Check(
            measures.brightness, gate.min_brightness, f"dark: brightness {measures.brightness:.2f}"
        ),
        _Check(
            1 - measures.brightness,
            1 - gate.max_brightness,
            f"too bright: brightness {measures.brightness:.2f}",
        ),
        _Check(measures.contrast, gate.min_contrast, f"flat: contrast {measures.contrast:.2f}"),
    ]
    return Quality(
        score=min(check.score for check in checks),
        reasons=tuple(check.reason for check in checks if check.value < check.bound),
        measures=measures,
    )


@dataclass(frozen=True)
class _Check:
    """One property of an image, its bound, and what is wrong below it."""

    value: float
    bound: float
    reason: str

    @property
    def score(self) -> float:
        """0.5 at the bound; 1 from half as much again on, or from halfway to 1."""
        if self.value < self.bound:
            return 0.5 * self.value / self.bound
        good = 1.5 * self.bound
        if self.bound < 1:
            good = min(good, (1 + self.bound) / 2)
        return 0.5 + 0.5 * min(1.0, (self.value - self.bound) / max(good - self.bound, 1e-9))


def pass_gate(reasons: Sequence[str], gate: QualityGate, name: str) -> tuple[str, ...]:
    """Returns the warnings to answer with: all ``reasons`` in mode ``warn``, none in ``off``.

    Raises :class:`QualityError` with ``name`` and the reasons in mode ``refuse``.
    """
    if gate.mode == "off" or not reasons:
        return ()
    if gate.mode == "refuse":
        raise QualityError(
            f"{name}: {'; '.join(reasons)}; give a better image, or change the quality gate"
        )
    return tuple(reasons)
