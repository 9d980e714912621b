"""Cameras of synthetic people: viewpoint, light, background, optics, occlusion.

``shoot`` is a pure function of (population seed, identity, camera, shot): every
draw comes from one counter-based generator keyed by these four numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from airreid.datasets.synthetic.figure import Pose, draw_figure
from airreid.datasets.synthetic.people import Person, Rgb, make_person

HEIGHT, WIDTH = 256, 128
"""Pixels of a rendered crop, the size that re-ID feeds to its networks."""
RENDERER = 1
"""Raised whenever a picture changes, so that no cache serves an older one."""
_OVERSAMPLE = 2


@dataclass(frozen=True)
class Camera:
    """Properties of a camera that stay the same from shot to shot."""

    number: int
    yaw: float
    """Degrees by which people walking past are turned, before each shot's own turn."""
    gain: tuple[float, float, float]
    gamma: float
    blur: float
    noise: float
    floor: float
    """Horizon as a fraction of the crop's height."""
    wall_rgb: Rgb
    floor_rgb: Rgb
    clutter: float
    occlusion: float
    """Probability that something stands in front of the person."""
    distant: float
    """Probability that a shot is taken from afar, with few pixels on the person."""
    backdrop: int
    """Seed of the furniture behind the people."""


def _rgb(values: NDArray[np.generic]) -> Rgb:
    red, green, blue = (int(c) for c in np.clip(values, 0, 255))
    return (red, green, blue)


def make_camera(seed: int, number: int) -> Camera:
    """Camera ``number`` (>= 0) of the installation ``seed``."""
    if number < 0:
        raise ValueError(f"camera must be >= 0, got {number}")
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, number, 1])))
    warm = rng.uniform(-0.2, 0.2)
    exposure = rng.uniform(0.6, 1.2)
    tint = rng.uniform(-0.05, 0.05)
    wall = rng.integers(90, 215)
    ground = rng.integers(60, 170)
    return Camera(
        number=number,
        yaw=(0.0, 130.0, 60.0, 180.0)[number % 4] + float(rng.uniform(-15, 15)),
        gain=(exposure * (1 + warm), exposure * (1 + tint), exposure * (1 - warm)),
        gamma=float(rng.uniform(0.8, 1.25)),
        blur=float(rng.uniform(0.3, 1.3)),
        noise=float(rng.uniform(2.0, 8.0)),
        floor=float(rng.uniform(0.45, 0.8)),
        wall_rgb=_rgb(wall + rng.integers(-22, 22, 3)),
        floor_rgb=_rgb(ground + rng.integers(-18, 18, 3)),
        clutter=float(rng.uniform(1.0, 5.0)),
        occlusion=float(rng.uniform(0.2, 0.4)),
        distant=float(rng.uniform(0.2, 0.4)),
        backdrop=int(rng.integers(2**31)),
    )


def _background(camera: Camera, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A wall, a floor and some furniture, panned by each shot's own offset."""
    width, height = size
    scene = np.random.Generator(np.random.Philox(camera.backdrop))
    image = Image.new("RGB", size, camera.wall_rgb)
    draw = ImageDraw.Draw(image)
    pan = float(rng.uniform(-1.0, 1.0)) * width
    horizon = (camera.floor + float(rng.uniform(-0.03, 0.03))) * height
    for _ in range(int(camera.clutter * 4)):
        x = (float(scene.uniform(-2.0, 3.0)) * width + pan) % (3 * width) - width
        w, h = float(scene.uniform(0.1, 0.7)) * width, float(scene.uniform(0.1, 0.6)) * height
        shade = np.clip(
            np.asarray(camera.wall_rgb) * scene.uniform(0.5, 1.15) + scene.normal(0, 9, 3), 0, 255
        )
        draw.rectangle((x, horizon - h, x + w, horizon), fill=_rgb(shade))
    draw.rectangle((0, horizon, width, height), fill=camera.floor_rgb)
    for _ in range(int(camera.clutter)):
        y = horizon + float(scene.uniform(0, 1)) * (height - horizon)
        shade = np.asarray(camera.floor_rgb) * scene.uniform(0.7, 1.1)
        draw.line(
            (0, y, width, y + float(scene.uniform(-20, 20))),
            fill=_rgb(shade),
            width=5,
        )
    return image


def _occlude(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int]) -> None:
    width, height = size
    grey = rng.uniform(30, 190)
    colour = _rgb(grey + rng.normal(0, 18, 3))
    if rng.random() < 0.5:  # a post or a door frame
        w = float(rng.uniform(0.08, 0.22)) * width
        x = float(rng.uniform(0.1, 0.8)) * width
        draw.rectangle((x, 0, x + w, height), fill=colour)
    else:  # a bench, a counter, a parked car
        top = float(rng.uniform(0.55, 0.85)) * height
        x = float(rng.uniform(-0.5, 0.5)) * width
        draw.rectangle((x, top, x + width, height), fill=colour)


def _develop(camera: Camera, rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Optics, white balance, tone curve and sensor noise."""
    if rng.random() < camera.distant:  # far away: few pixels on the person
        small = float(rng.uniform(0.2, 0.45))
        image = image.resize((int(WIDTH * small), int(HEIGHT * small)), Image.Resampling.BOX)
        image = image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    image = image.filter(ImageFilter.GaussianBlur(camera.blur * float(rng.uniform(0.7, 1.3))))
    values = np.asarray(image, dtype=np.float32) / 255.0
    gain = np.asarray(camera.gain, np.float32) * rng.uniform(0.78, 1.2) * rng.normal(1.0, 0.05, 3)
    light = 1.0 + float(rng.uniform(-0.2, 0.2)) * np.linspace(
        -1, 1, values.shape[1], dtype=np.float32
    )
    values = (
        np.clip(values * gain.astype(np.float32) * light[None, :, None], 0.0, 1.0) ** camera.gamma
    )
    values *= 255.0
    values += rng.standard_normal(values.shape, dtype=np.float32) * camera.noise
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def shoot(person: Person, camera: Camera, seed: int, shot: int) -> Image.Image:
    """One crop (256 x 128 RGB) of ``person`` by ``camera``.

    ``shot`` numbers the pictures of this person by this camera; pose, crop, light
    and noise differ from shot to shot.
    """
    key = np.random.SeedSequence([seed, person.identity, camera.number, shot, 2])
    rng = np.random.Generator(np.random.Philox(key))
    size = (WIDTH * _OVERSAMPLE, HEIGHT * _OVERSAMPLE)
    image = _background(camera, rng, size)
    turned = 180.0 if rng.random() < 0.2 else 0.0
    pose = Pose(
        yaw=camera.yaw + turned + float(rng.normal(0, 22)),
        stride=float(rng.uniform(-1, 1)),
        lean=float(rng.normal(0, 0.015)),
    )
    scale = size[1] * float(rng.uniform(0.82, 0.94))
    top = (size[1] - scale * person.height) * 0.5 + size[1] * float(rng.normal(0, 0.025))
    origin = (size[0] * (0.5 + float(rng.normal(0, 0.045))), top)
    drawn = draw_figure(person, pose, size, scale, origin)
    figure = drawn.image
    if rng.random() < 0.5:
        figure = figure.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        mask = drawn.mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    else:
        mask = drawn.mask
    image.paste(figure, (0, 0), mask)
    if rng.random() < camera.occlusion:
        _occlude(ImageDraw.Draw(image), rng, size)
    image = image.reduce(_OVERSAMPLE)
    return _develop(camera, rng, image)


def render(seed: int, identity: int, camera: int, shot: int) -> Image.Image:
    """Shot number ``shot`` of an identity by a camera: 256 x 128 RGB."""
    return shoot(make_person(seed, identity), make_camera(seed, camera), seed, shot)
