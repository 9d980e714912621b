import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airreid.errors import InputError
from airreid.images import CROP_HEIGHT, CROP_WIDTH, decode, load, to_crop


def encoded(image: Image.Image, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def photo() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (90, 40, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def test_crop_is_pillows_bicubic(photo: Image.Image) -> None:
    crop = to_crop(decode(encoded(photo, "PNG"), "a.png"))
    assert crop.shape == (CROP_HEIGHT, CROP_WIDTH, 3)
    assert crop.dtype == np.uint8
    expected = photo.resize((CROP_WIDTH, CROP_HEIGHT), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(crop, np.asarray(expected))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_every_mode_becomes_rgb(photo: Image.Image, mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert to_crop(decode(encoded(photo.convert(mode), kind), "a")).shape[-1] == 3


def test_not_an_image() -> None:
    with pytest.raises(InputError, match=r"notes\.txt: not an image; give a JPEG"):
        decode(b"hello", "notes.txt")
    with pytest.raises(InputError, match="not an image"):
        decode(b"", "empty.jpg")


def test_truncated_jpeg(photo: Image.Image) -> None:
    data = encoded(photo)
    with pytest.raises(InputError, match=r"cut\.jpg: damaged or truncated"):
        decode(data[: len(data) // 2], "cut.jpg")


def test_every_truncation_is_refused_or_whole(photo: Image.Image) -> None:
    data = encoded(photo, "PNG")
    for end in range(0, len(data) - 12, 37):  # the last 12 bytes are the end marker
        with pytest.raises(InputError):
            decode(data[:end], "cut.png")


def test_one_pixel() -> None:
    with pytest.raises(InputError, match=r"dot\.png: 1x1 pixels is too small"):
        decode(encoded(Image.new("RGB", (1, 1)), "PNG"), "dot.png")


def test_a_bomb_is_not_unpacked() -> None:
    with pytest.raises(InputError, match="crop the person out"):
        decode(encoded(Image.new("1", (20_000, 20_000)), "PNG"), "bomb.png")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path / "none.jpg")
