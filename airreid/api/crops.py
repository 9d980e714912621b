"""Person crops as the Python API takes them: files, pictures in memory, arrays."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from airreid.crop_folder import list_crops
from airreid.datasets.samples import Sample
from airreid.datasets.synthetic.population import open_synthetic
from airreid.errors import InputError
from airreid.image_colours import DAMAGE
from airreid.images import MIN_SIDE, load, read, to_rgb
from airreid.picture_files import left_out_note

ImageLike: TypeAlias = "str | Path | Image.Image | NDArray[np.uint8]"
"""One person crop: the path of an image file, a Pillow image, or uint8 (height, width, 3) RGB."""
Images: TypeAlias = "ImageLike | Sequence[ImageLike]"
"""One crop, a sequence of them, or uint8 (N, height, width, 3); any size, resized to what
the network takes."""


class Crops(NamedTuple):
    """Person crops and what is known of them: three lists of the same length.

    A tuple, so that ``gallery.add(*crops)`` passes all three.

    Example:
        >>> import airreid
        >>> crops = airreid.Crops(["a.png", "b.png"], ["alice", "bob"], ["door", "door"])
        >>> crops.subjects
        ['alice', 'bob']
    """

    images: list[ImageLike]
    """Paths, Pillow images or uint8 arrays (height, width, 3)."""
    subjects: list[str]
    """Names of the people shown; two crops with the same name show the same person."""
    cameras: list[str]
    """Names of the cameras that took them."""


def synthetic_people(identities: int = 20) -> tuple[Crops, Crops]:
    """Draws synthetic people that the demo bundle was not trained on: (gallery, queries).

    The people of ``airreid simulate``, pixel by pixel: two gallery crops of each by camera
    ``cam-0``, three queries of each by ``cam-1``; 256x128 Pillow images. Takes some
    milliseconds a picture.

    Args:
        identities: Number of people, 1 to 999,999.

    Raises:
        airreid.InputError: for a number outside these bounds.

    Example:
        >>> import airreid
        >>> gallery, queries = airreid.synthetic_people(2)
        >>> gallery.subjects
        ['person-0000', 'person-0000', 'person-0001', 'person-0001']
        >>> len(queries.images), queries.images[0].size
        (6, (128, 256))
    """
    data = open_synthetic(f"demo-{identities}")
    return _drawn(data["gallery"].samples), _drawn(data["query"].samples)


def _drawn(samples: Sequence[Sample]) -> Crops:
    return Crops(
        [sample.load() for sample in samples],
        [sample.identity for sample in samples],
        [sample.camera for sample in samples],
    )


def read_crops(folder: str | Path) -> Crops:
    """Lists the image files ``folder/<identity>/<camera>/<image>``, sorted by path.

    The files are opened when they are encoded, not here. A warning says how many files are no
    images or lie elsewhere.

    Raises:
        airreid.InputError: if the folder is missing or has no image at such a place.

    Example:
        >>> import airreid, pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> gallery, _ = airreid.synthetic_people(1)
        >>> (folder / "alice" / "door").mkdir(parents=True)
        >>> gallery.images[0].save(folder / "alice" / "door" / "00.png")
        >>> crops = airreid.read_crops(folder)
        >>> crops.subjects, crops.cameras, crops.images[0].name
        (['alice'], ['door'], '00.png')
    """
    listed = list_crops(Path(folder))
    if listed.left_out:
        note = left_out_note([file.reason for file in listed.left_out])
        warnings.warn(note, stacklevel=2)
    return Crops(
        [crop.path for crop in listed.crops],
        [crop.identity for crop in listed.crops],
        [crop.camera for crop in listed.crops],
    )


def each_image(images: Images) -> list[ImageLike]:
    """Lists one crop or many. Raises :class:`InputError` for what is neither."""
    if isinstance(images, str | Path | Image.Image):
        return [images]
    if isinstance(images, np.ndarray):
        if images.ndim not in (3, 4):
            raise InputError(
                f"image array of shape {images.shape}: give uint8 (height, width, 3) or "
                "(N, height, width, 3)"
            )
        return [images] if images.ndim == 3 else list(images)
    return list(images) if isinstance(images, Iterable) else [images]


def opened(images: Images) -> Iterator[Image.Image]:
    """Yields each crop as an RGB Pillow image of its own size.

    Raises :class:`InputError` naming the file, or the position of an image in memory.
    """
    for position, image in enumerate(each_image(images)):
        yield _opened(image, position)


def file_bytes(image: ImageLike, position: int) -> bytes:
    """Returns an image file's own bytes, or a PNG of it. Raises as :func:`opened`."""
    if isinstance(image, str | Path):
        return read(Path(image))
    buffer = io.BytesIO()
    _opened(image, position).save(buffer, "PNG")
    return buffer.getvalue()


def _opened(image: ImageLike, position: int) -> Image.Image:
    if isinstance(image, str | Path):
        return load(Path(image))
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise InputError(
                f"image {position}: {image.dtype} array of shape {image.shape}; "
                "give uint8 (height, width, 3), RGB"
            )
        image = Image.fromarray(image)
    elif not isinstance(image, Image.Image):
        raise InputError(
            f"image {position}: a {type(image).__name__}; give a path, a Pillow image or an array"
        )
    if min(image.size) < MIN_SIDE:
        width, height = image.size
        raise InputError(
            f"image {position}: {width}x{height} pixels is too small for a person; "
            f"give a crop with both sides of {MIN_SIDE} pixels or more"
        )
    try:
        image.load()
        return to_rgb(image, f"image {position}")
    except DAMAGE as error:
        raise InputError(
            f"image {position}: cannot be read ({error}); give a whole image that is not closed"
        ) from None
