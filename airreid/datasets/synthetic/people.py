"""Synthetic people: the attributes that tell one from another.

An identity is a pure function of ``(seed, identity)``. Colours come from short
palettes of everyday clothes, so that many people share them and colour alone does
not name anybody; pattern, cut, build, hair and bags make the rest of the difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Rgb = tuple[int, int, int]

SKIN: tuple[Rgb, ...] = (
    (244, 214, 190),
    (231, 188, 155),
    (206, 158, 120),
    (172, 120, 84),
    (126, 82, 56),
    (86, 56, 40),
)
HAIR: tuple[Rgb, ...] = (
    (24, 20, 20),
    (56, 38, 26),
    (96, 62, 36),
    (150, 104, 56),
    (204, 168, 104),
    (150, 148, 146),
)
CLOTH: tuple[Rgb, ...] = (
    (28, 28, 32),
    (62, 64, 70),
    (128, 130, 134),
    (222, 222, 218),
    (34, 46, 84),
    (58, 96, 158),
    (132, 172, 208),
    (134, 34, 38),
    (196, 62, 54),
    (46, 84, 56),
    (122, 134, 84),
    (118, 84, 54),
    (198, 170, 128),
    (214, 176, 62),
    (108, 62, 110),
    (212, 138, 150),
)
TOPS = (0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
LEGS = (0, 0, 0, 0, 1, 1, 2, 4, 4, 4, 5, 5, 10, 11, 12, 3)
"""Indices into CLOTH as often as they are worn: dark and grey more than the rest."""
SHOES: tuple[Rgb, ...] = (
    (26, 24, 24),
    (232, 232, 228),
    (110, 76, 48),
    (150, 40, 40),
    (60, 70, 110),
)
PATTERNS = ("plain", "hoops", "pinstripe", "check", "dots", "block", "logo", "diagonal")
UPPERS = ("tee", "shirt", "jacket", "hoodie", "coat")
LOWERS = ("trousers", "trousers", "trousers", "slim", "slim", "shorts", "skirt", "long skirt")
HAIRSTYLES = ("short", "long", "bob", "bun", "bald", "cap", "afro")
BAGS = ("none", "none", "backpack", "shoulder", "handbag", "messenger")


@dataclass(frozen=True)
class Garment:
    """One piece of clothing: cut, main colour, second colour and pattern."""

    kind: str
    colour: Rgb
    accent: Rgb
    pattern: str
    pitch: float
    """Period of the pattern as a fraction of the person's height."""


@dataclass(frozen=True)
class Person:
    """Properties of an identity that stay the same from camera to camera."""

    identity: int
    height: float
    """Stature relative to the average, about 0.88 to 1.10."""
    width: float
    """Breadth relative to the average, about 0.80 to 1.30."""
    shoulders: float
    skin: Rgb
    hair: Rgb
    hairstyle: str
    upper: Garment
    inner: Rgb
    lower: Garment
    shoes: Rgb
    bag: str
    bag_colour: Rgb


def _jitter(rng: np.random.Generator, colour: Rgb, spread: float = 10.0) -> Rgb:
    shifted = np.clip(np.asarray(colour) + rng.normal(0.0, spread, 3), 0, 255)
    return (int(shifted[0]), int(shifted[1]), int(shifted[2]))


def _choice(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _garment(
    rng: np.random.Generator, kinds: tuple[str, ...], palette: tuple[Rgb, ...], plain: float
) -> Garment:
    pattern = "plain" if rng.random() < plain else _choice(rng, PATTERNS[1:])
    return Garment(
        kind=_choice(rng, kinds),
        colour=_jitter(rng, palette[int(rng.integers(len(palette)))]),
        accent=_jitter(rng, palette[int(rng.integers(len(palette)))]),
        pattern=pattern,
        pitch=float(rng.uniform(0.022, 0.05)),
    )


def make_person(seed: int, identity: int) -> Person:
    """Draws identity number ``identity`` (>= 0) of the population ``seed``.

    The same pair gives the same person on every machine; different numbers give
    statistically independent people.
    """
    if identity < 0:
        raise ValueError(f"identity must be >= 0, got {identity}")
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, identity, 0])))
    tops = tuple(CLOTH[i] for i in TOPS)
    legs = tuple(CLOTH[i] for i in LEGS)
    return Person(
        identity=identity,
        height=float(np.clip(rng.normal(1.0, 0.05), 0.88, 1.10)),
        width=float(np.clip(rng.normal(1.0, 0.13), 0.80, 1.30)),
        shoulders=float(rng.uniform(0.9, 1.12)),
        skin=_jitter(rng, SKIN[int(rng.integers(len(SKIN)))], 6.0),
        hair=_jitter(rng, HAIR[int(rng.integers(len(HAIR)))], 8.0),
        hairstyle=_choice(rng, HAIRSTYLES),
        upper=_garment(rng, UPPERS, tops, plain=0.5),
        inner=tops[int(rng.integers(len(tops)))],
        lower=_garment(rng, LOWERS, legs, plain=0.85),
        shoes=_jitter(rng, SHOES[int(rng.integers(len(SHOES)))]),
        bag=_choice(rng, BAGS),
        bag_colour=_jitter(rng, CLOTH[int(rng.integers(len(CLOTH)))]),
    )
