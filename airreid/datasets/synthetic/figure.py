"""Draws one person in one pose as flat shapes, seen from one side, with a mask.

Coordinates are in units of the figure: x to the right in body widths from the
spine, y downwards from 0 (crown) to 1 (soles). ``Canvas`` scales them to pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from airreid.datasets.synthetic.people import Garment, Person, Rgb

Point = tuple[float, float]


@dataclass(frozen=True)
class Pose:
    """Pose of a person in one shot."""

    yaw: float
    """Degrees: 0 faces the camera, 90 shows the left side, 180 the back."""
    stride: float
    """-1..1: phase of the walk, moves legs and arms against each other."""
    lean: float
    """Sideways lean of the upper body as a fraction of the height."""


class Canvas:
    """A picture in figure units; every shape goes to the image and to the mask."""

    def __init__(self, size: tuple[int, int], scale: float, origin: Point, lean: float) -> None:
        self.image = Image.new("RGB", size)
        self.mask = Image.new("L", size)
        self._draw = ImageDraw.Draw(self.image)
        self._mask_draw = ImageDraw.Draw(self.mask)
        self._scale = scale
        self._origin = origin
        self._lean = lean

    def at(self, point: Point) -> Point:
        x, y = point
        return (
            self._origin[0] + (x + self._lean * (1.0 - y)) * self._scale,
            self._origin[1] + y * self._scale,
        )

    def polygon(self, points: list[Point], fill: Rgb) -> None:
        pixels = [self.at(p) for p in points]
        self._draw.polygon(pixels, fill=fill)
        self._mask_draw.polygon(pixels, fill=255)

    def ellipse(self, centre: Point, rx: float, ry: float, fill: Rgb) -> None:
        x, y = self.at(centre)
        box = (
            x - rx * self._scale,
            y - ry * self._scale,
            x + rx * self._scale,
            y + ry * self._scale,
        )
        self._draw.ellipse(box, fill=fill)
        self._mask_draw.ellipse(box, fill=255)

    def limb(self, points: list[Point], thickness: float, fill: Rgb) -> None:
        pixels = [self.at(p) for p in points]
        width = max(1, round(thickness * self._scale))
        for draw, paint in ((self._draw, fill), (self._mask_draw, 255)):
            draw.line(pixels, fill=paint, width=width, joint="curve")
            radius = width / 2
            for x, y in pixels:
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=paint)

    def cloth(self, points: list[Point], garment: Garment, logo: bool = True) -> None:
        """A polygon filled with the garment's pattern (a logo only where it shows)."""
        self.polygon(points, garment.colour)
        pattern = garment.pattern
        if pattern == "plain" or (pattern == "logo" and not logo):
            return
        pixels = [self.at(p) for p in points]
        left, top = (int(min(axis)) for axis in zip(*pixels, strict=True))
        right, bottom = (int(max(axis)) + 1 for axis in zip(*pixels, strict=True))
        width, height = max(1, right - left), max(1, bottom - top)
        stencil = Image.new("L", (width, height))
        ImageDraw.Draw(stencil).polygon([(x - left, y - top) for x, y in pixels], fill=255)
        figure = _pattern_mask(pattern, height, width, max(2.0, garment.pitch * self._scale))
        both = Image.fromarray(np.where(figure, np.asarray(stencil), 0).astype(np.uint8))
        self.image.paste(garment.accent, (left, top), both)


def _pattern_mask(pattern: str, height: int, width: int, pitch: float) -> np.ndarray:
    """Mask (height, width) of where the accent colour covers the main colour."""
    y, x = np.mgrid[0:height, 0:width]
    match pattern:
        case "hoops":
            return np.asarray((y / pitch) % 1.0 < 0.5)
        case "pinstripe":
            return np.asarray((x / pitch) % 1.0 < 0.35)
        case "check":
            return np.asarray(((x / pitch) % 1.0 < 0.5) != ((y / pitch) % 1.0 < 0.5))
        case "dots":
            dx, dy = (x / pitch) % 1.0 - 0.5, (y / pitch) % 1.0 - 0.5
            return np.asarray(dx * dx + dy * dy < 0.07)
        case "diagonal":
            return np.asarray(((x + y) / pitch) % 1.0 < 0.45)
        case "block":
            return np.asarray(y > height * 0.5)
        case "logo":
            dx, dy = (x - width * 0.5) / (width * 0.22), (y - height * 0.34) / (height * 0.12)
            return np.asarray(dx * dx + dy * dy < 1.0)
        case _:
            raise ValueError(f"unknown pattern {pattern!r}")


def draw_figure(
    person: Person, pose: Pose, size: tuple[int, int], scale: float, origin: Point
) -> Canvas:
    """Draws ``person`` on a ``size`` = (width, height) canvas.

    ``scale`` is the pixel height of an average person, ``origin`` the pixel of the
    crown of the head.
    """
    canvas = Canvas(size, scale * person.height, origin, pose.lean)
    turn = np.deg2rad(pose.yaw)
    facing, side = float(np.cos(turn)), float(np.sin(turn))
    breadth = 0.118 * person.width * (0.62 + 0.38 * abs(facing))
    shoulder = breadth * person.shoulders
    if person.bag == "backpack" and facing > 0:
        _backpack(canvas, person, breadth, facing, side)
    _legs(canvas, person, pose, breadth, side)
    _arm(canvas, person, pose, shoulder, far=True)
    _torso(canvas, person, breadth, shoulder, facing)
    _head(canvas, person, facing, side)
    _arm(canvas, person, pose, shoulder, far=False)
    if person.bag == "backpack" and facing <= 0:
        _backpack(canvas, person, breadth, facing, side)
    _carried_bag(canvas, person, breadth, facing, side)
    return canvas


def _shade(colour: Rgb, factor: float) -> Rgb:
    r, g, b = (int(min(255, c * factor)) for c in colour)
    return (r, g, b)


def _legs(canvas: Canvas, person: Person, pose: Pose, breadth: float, side: float) -> None:
    hip, knee, ankle = 0.50, 0.72, 0.94
    kind, cloth = person.lower.kind, person.lower
    thick = {"trousers": 0.088, "slim": 0.064}.get(kind, 0.07) * (0.6 + 0.4 * person.width)
    for sign in (-1.0, 1.0):
        swing = sign * pose.stride * (0.035 + 0.075 * abs(side))
        x0 = sign * breadth * 0.42
        x1, x2 = x0 + swing * 0.6, x0 + swing
        lift = 0.025 * max(0.0, sign * pose.stride)
        dim = 1.0 if sign > 0 else 0.86
        canvas.limb([(x1, knee), (x2, ankle - lift)], 0.05 * person.width, _shade(person.skin, dim))
        toe = 0.03 * (side if abs(side) > 0.3 else sign * 0.3)
        canvas.ellipse((x2 + toe, 0.972 - lift), 0.042, 0.024, person.shoes)
        if kind in ("trousers", "slim"):
            path = [(x0, hip), (x1, knee), (x2, ankle - lift - 0.008)]
            canvas.limb(path, thick, _shade(cloth.colour, dim))
            if cloth.pattern in ("pinstripe", "block"):
                canvas.limb(path, thick * 0.22, _shade(cloth.accent, dim))
        elif kind == "shorts":
            canvas.limb([(x0, hip), (x1, knee - 0.03)], thick * 1.3, _shade(cloth.colour, dim))
    if kind in ("skirt", "long skirt"):
        hem, flare = (0.71, 1.25) if kind == "skirt" else (0.9, 1.45)
        canvas.cloth(
            [
                (-breadth * 0.85, hip - 0.06),
                (breadth * 0.85, hip - 0.06),
                (breadth * flare, hem),
                (-breadth * flare, hem),
            ],
            cloth,
        )


def _torso(canvas: Canvas, person: Person, breadth: float, shoulder: float, facing: float) -> None:
    hem = {"coat": 0.70, "jacket": 0.54, "hoodie": 0.55}.get(person.upper.kind, 0.52)
    flare = 1.1 if person.upper.kind == "coat" else 0.92
    body = [
        (-shoulder * 0.55, 0.165),
        (shoulder * 0.55, 0.165),
        (shoulder, 0.20),
        (breadth * 0.88, 0.38),
        (breadth * flare, hem),
        (-breadth * flare, hem),
        (-breadth * 0.88, 0.38),
        (-shoulder, 0.20),
    ]
    canvas.cloth(body, person.upper, logo=facing > 0.3)
    if person.upper.kind in ("jacket", "coat") and facing > 0.25:
        gap = breadth * 0.26
        canvas.polygon(
            [(-gap, 0.17), (gap, 0.17), (gap * 1.1, hem), (-gap * 1.1, hem)], person.inner
        )
    if person.upper.kind == "hoodie":
        canvas.ellipse((0.0, 0.172), shoulder * 0.62, 0.028, _shade(person.upper.colour, 0.8))


def _arm(canvas: Canvas, person: Person, pose: Pose, shoulder: float, far: bool) -> None:
    sign = -1.0 if far else 1.0
    swing = -sign * pose.stride * 0.06
    path = [
        (sign * shoulder * 0.95, 0.205),
        (sign * (shoulder + 0.022) + swing * 0.4, 0.345),
        (sign * (shoulder + 0.018) + swing, 0.475),
    ]
    thick = 0.052 * (0.55 + 0.45 * person.width)
    dim = 0.84 if far else 0.96
    canvas.limb(path, thick * 0.82, _shade(person.skin, dim))
    sleeve = (
        path[:2] if person.upper.kind == "tee" else [*path[:2], _between(path[1], path[2], 0.82)]
    )
    if person.upper.kind == "tee":
        sleeve = [path[0], _between(path[0], path[1], 0.55)]
    canvas.limb(sleeve, thick * 1.15, _shade(person.upper.colour, dim))
    if person.upper.pattern == "block":
        canvas.limb(sleeve[-2:], thick * 1.15, _shade(person.upper.accent, dim))


def _between(a: Point, b: Point, t: float) -> Point:
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t)


def _head(canvas: Canvas, person: Person, facing: float, side: float) -> None:
    hair, style = person.hair, person.hairstyle
    if style in ("long", "bob"):
        drop = 0.24 if style == "long" else 0.165
        canvas.polygon([(-0.052, 0.06), (0.052, 0.06), (0.058, drop), (-0.058, drop)], hair)
    canvas.limb([(0.0, 0.12), (0.0, 0.17)], 0.045, _shade(person.skin, 0.9))
    if style == "afro":
        canvas.ellipse((0.0, 0.062), 0.078, 0.072, hair)
    canvas.ellipse((0.0, 0.078), 0.047, 0.066, person.skin)
    if style == "bald":
        return
    crown = person.upper.accent if style == "cap" else hair
    if facing < -0.2:
        canvas.ellipse((0.0, 0.07), 0.05, 0.06, crown)
    else:
        canvas.ellipse((-0.012 * side, 0.044), 0.05, 0.042, crown)
        if style == "cap":
            canvas.polygon(
                [(-0.05, 0.05), (0.05, 0.05), (0.062 + 0.03 * side, 0.066), (-0.05, 0.06)], crown
            )
        canvas.ellipse((0.012 * side, 0.094), 0.038, 0.04, person.skin)
    if style == "bun":
        canvas.ellipse((-0.03 * side, 0.004), 0.026, 0.024, hair)
    if style == "long" and facing < -0.2:
        canvas.polygon([(-0.05, 0.07), (0.05, 0.07), (0.056, 0.26), (-0.056, 0.26)], hair)


def _backpack(canvas: Canvas, person: Person, breadth: float, facing: float, side: float) -> None:
    if facing <= -0.25:
        half, centre = breadth * 0.72, 0.0
    else:
        half, centre = breadth * 0.5, -breadth * 0.9 * side
    canvas.polygon(
        [
            (centre - half, 0.20),
            (centre + half, 0.20),
            (centre + half * 1.1, 0.42),
            (centre - half * 1.1, 0.42),
        ],
        person.bag_colour,
    )
    if facing > 0.25:
        for sign in (-1.0, 1.0):
            canvas.limb(
                [(sign * breadth * 0.6, 0.17), (sign * breadth * 0.75, 0.34)],
                0.02,
                person.bag_colour,
            )


def _carried_bag(
    canvas: Canvas, person: Person, breadth: float, facing: float, side: float
) -> None:
    hand = 1.0 if facing >= 0 else -1.0
    if person.bag == "handbag":
        x = hand * (breadth + 0.03)
        canvas.limb([(x, 0.47), (x, 0.52)], 0.012, _shade(person.bag_colour, 0.7))
        canvas.polygon(
            [(x - 0.05, 0.52), (x + 0.05, 0.52), (x + 0.058, 0.60), (x - 0.058, 0.60)],
            person.bag_colour,
        )
    elif person.bag in ("shoulder", "messenger"):
        x = hand * breadth * 0.95
        start = x if person.bag == "shoulder" else -x * 0.6
        canvas.limb([(start, 0.18), (x, 0.44)], 0.016, _shade(person.bag_colour, 0.75))
        canvas.polygon(
            [(x - 0.048, 0.43), (x + 0.048, 0.43), (x + 0.05, 0.53), (x - 0.05, 0.53)],
            person.bag_colour,
        )
