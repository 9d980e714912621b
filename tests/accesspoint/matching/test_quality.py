"""The gate against rendered people and what can be wrong with a picture of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageFilter

from accesspoint.errors import QualityError
from accesspoint.matching.quality import QualityGate, assess, load_gate, measure, pass_gate
from airreid.datasets.synthetic.cameras import render
from airreid.errors import InputError

GATE = QualityGate()


@pytest.fixture(scope="module")
def crops() -> list[Image.Image]:
    """Draws crops of six cameras, a third of them from afar or behind something."""
    return [render(903, identity, identity % 6, 0) for identity in range(36)]


def _array(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Image.Image], Image.Image]:
    def apply(image: Image.Image) -> Image.Image:
        values = change(np.asarray(image, np.float32))
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))

    return apply


def _blurred(sigma: float, noise: float = 0.0) -> Callable[[Image.Image], Image.Image]:
    rng = np.random.default_rng(1)
    grain = _array(lambda x: x + noise * rng.standard_normal(x.shape))
    return lambda image: grain(image.filter(ImageFilter.GaussianBlur(sigma)))


def _motion(values: np.ndarray) -> np.ndarray:
    return np.mean([np.roll(values, shift, axis=1) for shift in range(-10, 11)], axis=0)


def test_good_pictures_pass(crops: list[Image.Image]) -> None:
    verdicts = [assess(crop, GATE) for crop in crops]
    flawless = [verdict for verdict in verdicts if not verdict.reasons]
    assert len(flawless) >= 0.97 * len(crops)
    assert all(verdict.score >= 0.5 for verdict in flawless)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (_blurred(4), "blurred"),
        (_blurred(4, noise=4.0), "blurred"),
        (_blurred(8, noise=4.0), "blurred"),
        (_array(_motion), "blurred"),
        (_array(lambda x: 0.15 * x), "dark"),
        (_array(lambda x: 128 + 0.1 * (x - 128)), "flat"),
        (_array(lambda x: 235 + 0.08 * x), "too bright"),
        (lambda image: image.resize((12, 24)), "pixels wide"),
        (lambda image: image.resize((40, 44)), "pixels high"),
        (lambda image: image.resize((256, 128)), "too wide"),
        (lambda image: image.resize((30, 256)), "too slim"),
    ],
)
def test_bad_pictures_are_caught(
    spoil: Callable[[Image.Image], Image.Image], word: str, crops: list[Image.Image]
) -> None:
    verdicts = [assess(spoil(crop), GATE) for crop in crops]
    caught = [
        v
        for v in verdicts
        if any(reason.startswith(word) or word in reason for reason in v.reasons)
    ]
    assert len(caught) >= 0.97 * len(crops)
    assert all(verdict.score < 0.5 for verdict in caught)


def test_more_blur_is_less_sharp(crops: list[Image.Image]) -> None:
    for crop in crops[:10]:
        values = [measure(_blurred(sigma)(crop)).sharpness for sigma in (0.1, 2, 4, 8)]
        assert values == sorted(values, reverse=True)


def test_sharpness_of_known_pictures() -> None:
    # Stripes as wide as what is blurred over vanish; a ramp has nothing to lose.
    rows = np.arange(256)[:, None, None]
    stripes = np.where((rows + np.arange(128)[None, :, None]) // 4 % 2, 255, 0)
    assert measure(np.repeat(stripes, 3, 2).astype(np.uint8)).sharpness > 0.7
    ramp = np.broadcast_to((rows + np.arange(128)[None, :, None]) * 0.66, (256, 128, 3))
    assert measure(ramp.astype(np.uint8)).sharpness < 0.2
    # Sharp in one direction alone is blurred by motion.
    assert (
        measure(np.repeat(np.repeat(stripes[:, :1], 128, 1), 3, 2).astype(np.uint8)).sharpness
        == 0.0
    )


@pytest.mark.parametrize("value", [0, 127, 255])
def test_a_picture_of_nothing(value: int) -> None:
    verdict = assess(np.full((256, 128, 3), value, np.uint8), GATE)
    assert verdict.score == 0.0
    assert {"blurred", "flat"} <= {reason.split(":")[0] for reason in verdict.reasons}


def test_brightness_and_contrast_are_those_of_the_pixels() -> None:
    half = np.zeros((256, 128, 3), np.uint8)
    half[:128] = 255
    measures = measure(half)
    assert measures.brightness == pytest.approx(0.5, abs=0.01)
    assert measures.contrast == pytest.approx(0.5, abs=0.01)
    assert (measures.width, measures.height) == (128, 256)
    green = np.zeros((256, 128, 3), np.uint8)
    green[..., 1] = 255
    assert measure(green).brightness == pytest.approx(0.587, abs=1e-3)


def test_modes() -> None:
    reasons = ("dark: brightness 0.03", "flat: contrast 0.01")
    assert pass_gate(reasons, QualityGate(mode="off"), "image of alice") == ()
    assert pass_gate(reasons, QualityGate(mode="warn"), "image of alice") == reasons
    with pytest.raises(QualityError, match=r"image of alice: dark.*; flat.*; give a better image"):
        pass_gate(reasons, QualityGate(mode="refuse"), "image of alice")
    assert pass_gate((), QualityGate(mode="refuse"), "image of alice") == ()


def test_document() -> None:
    gate = QualityGate(mode="refuse", min_sharpness=0.3)
    assert load_gate(gate.model_dump_json()) == gate
    assert load_gate(None) == QualityGate()
    with pytest.raises(InputError, match="quality gate: mode: "):
        load_gate('{"mode": "perhaps"}')
