"""Pictures as phones, editors and presses write them: each gives the pixels of its plain twin."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

import airreid
from airreid.image_colours import BACKGROUND
from airreid.images import decode, to_crop

ORIENTATION = 0x0112
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: upright.transpose(1, 0, 2)[::-1],
    7: lambda upright: upright.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda upright: upright.transpose(1, 0, 2)[:, ::-1],
}
"""Stored rows and columns of an upright picture, by Exif 2.32's table of orientations."""


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def person() -> Image.Image:
    gallery, _ = airreid.synthetic_people(1)
    picture = gallery.images[0]
    assert isinstance(picture, Image.Image)
    return picture.resize((64, 128))


def oriented(person: Image.Image, orientation: int, kind: str) -> bytes:
    """The file of a camera that was held as the tag says."""
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(person))))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    if kind == "JPEG":
        options = {"quality": 100, "subsampling": 0}
    if kind == "AVIF":
        options = {"quality": 100}
    return encoded(stored, kind, exif=exif, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_picture_is_upright_whatever_its_tag(
    person: Image.Image, kind: str, orientation: int
) -> None:
    if kind == "AVIF":
        pytest.importorskip("PIL._avif")
    decoded = decode(oriented(person, orientation, kind), "phone")
    assert decoded.size == person.size
    difference = np.abs(np.asarray(decoded, np.int16) - np.asarray(person, np.int16))
    assert difference.max() <= {"JPEG": 12, "AVIF": 40}.get(kind, 0)
    assert difference.mean() < 3
    np.testing.assert_array_equal(to_crop(decoded), to_crop(Image.fromarray(np.asarray(decoded))))


@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_a_picture_of_a_program_is_upright_too(person: Image.Image, orientation: int) -> None:
    opened = Image.open(io.BytesIO(oriented(person, orientation, "PNG")))
    np.testing.assert_array_equal(to_crop(opened), to_crop(person))


def test_a_large_picture_is_turned_after_it_is_made_smaller(
    person: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airreid.images.WHOLE_PIXELS", 2_100)
    for kind in ("JPEG", "PNG", "TIFF"):
        decoded = decode(oriented(person, 6, kind), "phone")
        assert decoded.size == (32, 64)
        expected = np.asarray(person.reduce(2), np.int16)
        assert np.abs(np.asarray(decoded, np.int16) - expected).mean() < 3


def test_a_damaged_tag_does_not_cost_the_picture(person: Image.Image) -> None:
    for exif in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"):
        data = encoded(person, "PNG", exif=exif)
        np.testing.assert_array_equal(np.asarray(decode(data, "a.png")), np.asarray(person))
    for orientation in (0, 9, 65535):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        data = encoded(person, "PNG", exif=exif)
        np.testing.assert_array_equal(np.asarray(decode(data, "a.png")), np.asarray(person))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_become_the_eight_they_were_made_of(person: Image.Image, kind: str) -> None:
    grey = np.asarray(person.convert("L"))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    decoded = np.asarray(decode(encoded(deep, kind), "deep"))
    np.testing.assert_array_equal(decoded, np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(to_crop(deep), to_crop(person.convert("L")))


def test_sixteen_bits_of_a_large_picture(
    person: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = person.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    monkeypatch.setattr("airreid.images.WHOLE_PIXELS", 2_100)
    decoded = np.asarray(decode(encoded(deep, "PNG"), "deep.png"))
    np.testing.assert_array_equal(decoded[..., 0], np.asarray(grey.reduce(2)))


def test_pixels_of_which_nobody_knows_the_white_are_refused(person: Image.Image) -> None:
    bright = Image.fromarray(np.asarray(person.convert("L"), np.float32) * 1000)
    with pytest.raises(airreid.InputError, match=r"a\.tif: 32-bit pixels; save it with 8 or 16"):
        decode(encoded(bright, "TIFF"), "a.tif")
    with pytest.raises(airreid.InputError, match="32-bit pixels"):
        to_crop(bright)


def cut_out(person: Image.Image, hidden: int) -> Image.Image:
    """The person with a clear frame whose pixels have a hidden colour."""
    pixels = np.full((128, 64, 4), hidden, np.uint8)
    pixels[..., 3] = 0
    pixels[16:112, 12:52, :3] = np.asarray(person)[16:112, 12:52]
    pixels[16:112, 12:52, 3] = 255
    return Image.fromarray(pixels)


def on_background(person: Image.Image) -> NDArray[np.uint8]:
    pixels = np.full((128, 64, 3), BACKGROUND, np.uint8)
    pixels[16:112, 12:52] = np.asarray(person)[16:112, 12:52]
    return pixels


@pytest.mark.parametrize("hidden", [0, 90, 255])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_what_transparent_pixels_hide_does_not_count(
    person: Image.Image, kind: str, hidden: int
) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    data = encoded(cut_out(person, hidden), kind, **options)
    np.testing.assert_array_equal(np.asarray(decode(data, "cut")), on_background(person))
    np.testing.assert_array_equal(
        to_crop(cut_out(person, hidden)), to_crop(Image.fromarray(on_background(person)))
    )


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGB", "I;16"])
def test_a_colour_that_means_transparent_is_background(mode: str) -> None:
    pixels = np.zeros((32, 16), np.uint8)
    pixels[:, 8:] = 255
    if mode == "I;16":
        image = Image.fromarray(pixels.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(pixels).convert(mode)
    clear: object = (0, 0, 0) if mode == "RGB" else 0
    decoded = np.asarray(decode(encoded(image, "PNG", transparency=clear), "key.png"))
    assert (decoded[:, :8] == BACKGROUND).all()
    assert (decoded[:, 8:] == 255).all()


def test_half_transparent_is_half_background() -> None:
    image = Image.new("RGBA", (16, 32), (255, 255, 255, 128))
    decoded = np.asarray(decode(encoded(image, "PNG"), "half.png"), np.int16)
    assert np.abs(decoded - (255 + 128) / 2).max() <= 1


def adobe_rgb() -> bytes:
    """AdobeRGB's primaries and gamma in LittleCMS's profile of sRGB: tags of the same sizes."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    tags = {}
    for place in range(count):
        start = 132 + 12 * place
        offset = int.from_bytes(data[start + 4 : start + 8], "big")
        tags[bytes(data[start : start + 4])] = (start, offset)

    def fixed(value: float) -> bytes:
        return round(value * 65536).to_bytes(4, "big", signed=True)

    primaries = {  # of AdobeRGB (1998), adapted to D50
        b"rXYZ": (0.60974, 0.31111, 0.01947),
        b"gXYZ": (0.20528, 0.62567, 0.06087),
        b"bXYZ": (0.14919, 0.06322, 0.74457),
    }
    for tag, values in primaries.items():
        offset = tags[tag][1]
        data[offset + 8 : offset + 20] = b"".join(fixed(value) for value in values)
    for tag in (b"rTRC", b"gTRC", b"bTRC"):
        offset = tags[tag][1]
        assert data[offset : offset + 4] == b"para"
        data[offset + 8 : offset + 12] = b"\0\0\0\0"  # Y = X^gamma
        data[offset + 12 : offset + 16] = fixed(2.19921875)
    return bytes(data)


def in_profile(person: Image.Image, profile: bytes) -> Image.Image:
    """The picture's colours as numbers of the profile."""
    converted = ImageCms.profileToProfile(
        person, ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(profile))
    )
    assert converted is not None
    return converted


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_colours_of_another_profile_are_those_of_the_plain_twin(
    person: Image.Image, kind: str
) -> None:
    profile = adobe_rgb()
    options = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}
    vivid = Image.new("RGB", person.size, (220, 30, 60))
    vivid.paste(person, (20, 10))
    numbers = in_profile(vivid, profile)
    data = encoded(numbers, kind, icc_profile=profile, **options.get(kind, {}))
    decoded = np.asarray(decode(data, "wide"), np.int16)
    assert np.abs(decoded - np.asarray(vivid, np.int16)).mean() < 2
    unconverted = np.abs(np.asarray(numbers, np.int16) - np.asarray(vivid, np.int16)).mean()
    assert unconverted > 6  # the test would see a profile that is not used


def test_a_grey_profile_and_transparency_go_together(person: Image.Image) -> None:
    profile = adobe_rgb()
    numbers = in_profile(person, profile)
    cut = cut_out(numbers, 77)
    decoded = np.asarray(decode(encoded(cut, "PNG", icc_profile=profile), "cut.png"), np.int16)
    assert np.abs(decoded - on_background(person)).mean() < 2


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_srgbs_own_profile_changes_no_pixel(person: Image.Image, mode: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = person.convert(mode)
    plain = np.asarray(decode(encoded(image, "PNG"), "plain.png"))
    tagged = np.asarray(decode(encoded(image, "PNG", icc_profile=profile), "tagged.png"))
    np.testing.assert_array_equal(tagged, plain)
    np.testing.assert_array_equal(plain, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("profile", [b"no profile", b"\0" * 200, adobe_rgb()[:300]])
def test_a_damaged_profile_counts_as_none(person: Image.Image, profile: bytes) -> None:
    data = encoded(person, "PNG", icc_profile=profile)
    np.testing.assert_array_equal(np.asarray(decode(data, "a.png")), np.asarray(person))


def test_features_of_everyday_files_are_those_of_the_plain_twin(person: Image.Image) -> None:
    """Cosine with the plain twin, through the demo's network."""
    model = airreid.Model()
    profile = adobe_rgb()
    deep = Image.fromarray(np.asarray(person.convert("L")).astype(np.uint16) * 257)
    twins = {
        "turned": (oriented(person, 6, "JPEG"), person),
        "upside down": (oriented(person, 3, "PNG"), person),
        "wide gamut": (encoded(in_profile(person, profile), "PNG", icc_profile=profile), person),
        "16 bits": (encoded(deep, "PNG"), person.convert("L")),
        "cut out": (
            encoded(cut_out(person, 255), "PNG"),
            Image.fromarray(on_background(person)),
        ),
    }
    files = model.features([decode(data, name) for name, (data, _) in twins.items()])
    plain = model.features([twin for _, twin in twins.values()])
    cosines = (files * plain).sum(1) / np.linalg.norm(files, axis=1) / np.linalg.norm(plain, axis=1)
    assert dict(zip(twins, cosines >= 0.98, strict=True)) == dict.fromkeys(twins, True)
