import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airreid import images
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


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_a_crop_of_any_mode_has_pillows_colours(photo: Image.Image, mode: str) -> None:
    """Also where an image comes straight from a program, without :func:`decode`."""
    image = photo.convert(mode)
    expected = to_crop(image.convert("RGB"))
    np.testing.assert_array_equal(to_crop(image), expected)
    if mode in ("L", "1"):
        assert (expected == expected[..., :1]).all()


def test_a_decoded_grey_image_is_rgb_with_its_greys(photo: Image.Image) -> None:
    grey = photo.convert("L")
    decoded = decode(encoded(grey, "PNG"), "grey.png")
    assert decoded.mode == "RGB"
    pixels = np.repeat(np.asarray(grey)[..., None], 3, axis=2)
    np.testing.assert_array_equal(np.asarray(decoded), pixels)


def test_a_crop_of_the_right_size_is_not_touched() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (CROP_HEIGHT, CROP_WIDTH, 3), np.uint8)
    np.testing.assert_array_equal(to_crop(Image.fromarray(pixels)), pixels)
    turned = np.ascontiguousarray(pixels.transpose(1, 0, 2))
    assert to_crop(Image.fromarray(turned)).shape == (CROP_HEIGHT, CROP_WIDTH, 3)


@pytest.mark.parametrize(("size", "fits"), [((8, 8), True), ((7, 90), False), ((90, 7), False)])
def test_the_smallest_side_is_eight_pixels(size: tuple[int, int], fits: bool) -> None:
    data = encoded(Image.new("RGB", size), "PNG")
    if fits:
        assert decode(data, "small.png").size == size
    else:
        with pytest.raises(InputError, match="too small for a person"):
            decode(data, "small.png")


def test_the_largest_image_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """50 million pixels and 32 MiB are taken, one more of either is not."""
    assert (images.MAX_PIXELS, images.MAX_BYTES) == (50_000_000, 32 * 2**20)
    photo = encoded(Image.new("L", (20, 10)), "PNG")
    path = tmp_path / "photo.png"
    path.write_bytes(photo)
    monkeypatch.setattr(images, "MAX_PIXELS", 200)
    monkeypatch.setattr(images, "MAX_BYTES", len(photo))
    assert load(path).size == (20, 10)
    monkeypatch.setattr(images, "MAX_PIXELS", 199)
    with pytest.raises(InputError, match="20x10 pixels; crop the person out"):
        load(path)
    monkeypatch.setattr(images, "MAX_PIXELS", 200)
    monkeypatch.setattr(images, "MAX_BYTES", len(photo) - 1)
    with pytest.raises(InputError, match="send a person crop of at most"):
        decode(photo, "photo.png")
    with pytest.raises(InputError, match=r"photo\.png: over .* bytes"):
        load(path)


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
