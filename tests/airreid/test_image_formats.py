"""Files that people bring: images of every format are read, or called what they are."""

from __future__ import annotations

import importlib.util
import io
import random

import numpy as np
import pytest
from PIL import Image

from airreid import image_formats
from airreid.errors import InputError
from airreid.image_bounds import SCANS_MAX
from airreid.image_formats import format_of
from airreid.images import decode

FORMATS = ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "AVIF"]


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    if kind == "AVIF":
        pytest.importorskip("PIL._avif")
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def picture() -> Image.Image:
    ramp = np.linspace(0, 255, 48 * 96 * 3, dtype=np.uint8).reshape(96, 48, 3)
    return Image.fromarray(ramp)


def heif_box(brand: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + brand + bytes(4) + b"".join(compatible)
    return (len(body) + 4).to_bytes(4, "big") + body + bytes(64)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_recognised_and_read(picture: Image.Image, kind: str) -> None:
    data = encoded(picture, kind)
    assert format_of(data).is_image
    assert format_of(data).name.upper() == kind
    decoded = decode(data, "a")
    assert decoded.size == picture.size
    difference = np.abs(np.asarray(decoded, np.int16) - np.asarray(picture, np.int16)).mean()
    assert difference < (20 if kind == "GIF" else 3)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
def test_compressed_tiff_files_are_read(picture: Image.Image, compression: str) -> None:
    decoded = decode(encoded(picture, "TIFF", compression=compression), "a.tif")
    difference = np.abs(np.asarray(decoded, np.int16) - np.asarray(picture, np.int16)).mean()
    assert difference < 8


def test_scans_inside_a_tiff_file_are_bounded_as_outside(picture: Image.Image) -> None:
    data = encoded(picture, "TIFF", compression="jpeg") + b"\xff\xda" * 200_000
    with pytest.raises(InputError, match="pixels in 200001 scans"):
        decode(data, "a.tif")
    assert SCANS_MAX < 200_000
    plain = encoded(picture, "TIFF") + b"\xff\xda" * 200_000
    assert decode(plain, "a.tif").size == picture.size


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_an_animation_is_not_taken_for_its_first_picture(picture: Image.Image, kind: str) -> None:
    blank = Image.new("RGB", picture.size, "white")
    data = encoded(blank, kind, save_all=True, append_images=[picture, picture])
    what = "TIFF file of several pages" if kind == "TIFF" else f"animated {kind}"
    with pytest.raises(InputError, match=rf"a\.x: an? {what}; save the picture that shows"):
        decode(data, "a.x")


def test_a_phones_second_picture_in_a_jpeg_file_is_left_alone(picture: Image.Image) -> None:
    depth = Image.new("RGB", picture.size)
    data = encoded(picture, "MPO", save_all=True, append_images=[depth])
    difference = np.asarray(decode(data, "a.jpg"), np.int16) - np.asarray(picture, np.int16)
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"%PDF-1.7\n", "not an image but a PDF document; give a JPEG"),
        (b"\x89HDF\r\n\x1a\n", "not an image but an HDF5 file"),
        (b"PK\x03\x04....", "not an image but a ZIP archive"),
        (b"<!DOCTYPE html><html>", "not an image but a web page"),
        (b"<?xml version='1.0'?><svg/>", "not an image but an SVG drawing"),
        (heif_box(b"isom", b"mp42"), "not an image but a video"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "a JPEG XL image, which is not read; give"),
        (b"\xff\x0a\x00\x00", "a JPEG XL image, which is not read"),
        (b"\x00\x05\x16\x07" + bytes(40), "a leftover of a Mac's archive"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (b"II\x2a\x00\x10\x00\x00\x00CR\x02\x00", "a camera's raw file"),
        (b"", "not an image but an empty file"),
        (b"notes on people", "not an image; give a JPEG"),
        (bytes(range(256)), "not an image; give a JPEG"),
    ],
)
def test_what_is_no_image_is_called_what_it_is(data: bytes, expected: str) -> None:
    assert not format_of(data).is_image
    with pytest.raises(InputError, match=r"^a\.jpg: ") as error:
        decode(data, "a.jpg")
    assert expected in str(error.value)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "AVIF"])
def test_the_first_bytes_of_an_image_are_called_damaged(picture: Image.Image, kind: str) -> None:
    if kind == "AVIF":
        pytest.importorskip("PIL._avif")
    data = encoded(picture, kind)[:40]
    with pytest.raises(InputError, match=f"a: a damaged {kind} image, or of a kind that is not"):
        decode(data, "a")


def test_a_heic_image_is_named_where_it_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for box in (heif_box(b"heic", b"mif1", b"heic"), heif_box(b"mif1", b"heic", b"avif")):
        assert format_of(box).name == "HEIC"
        monkeypatch.setattr(image_formats, "_opens_heif", lambda: False)
        with pytest.raises(InputError, match=r"IMG_1\.HEIC: a HEIC image; pip install 'airreid\["):
            decode(box, "IMG_1.HEIC")
    assert format_of(heif_box(b"mif1", b"avif")).name == "AVIF"


@pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is None, reason="extra heif")
def test_a_heic_image_is_read_upright(picture: Image.Image) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    data = encoded(turned, "HEIF", quality=95, exif=exif.tobytes())
    assert format_of(data).name == "HEIC"
    decoded = decode(data, "IMG_1.HEIC")
    assert decoded.size == picture.size
    difference = np.abs(np.asarray(decoded, np.int16) - np.asarray(picture, np.int16)).mean()
    assert difference < 4


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_refused_or_read_and_nothing_else(
    picture: Image.Image, kind: str
) -> None:
    generator = random.Random(f"damage {kind}")
    whole = encoded(picture, kind)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 6)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        data = data[: generator.choice([len(data), generator.randrange(1, len(data))])]
        try:
            assert decode(bytes(data), "damaged").mode == "RGB"
        except InputError as error:
            assert str(error).startswith("damaged: ")  # noqa: PT017
