"""Pictures as phones, editors and presses write them: each gives the pixels of its plain twin."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

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


def test_a_tag_that_imagemagick_writes_as_text_turns_a_picture(person: Image.Image) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    digits = exif.tobytes().hex()
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(digits) // 2:8d}\n{digits}\n", zip=True)
    data = encoded(Image.fromarray(STORED[6](np.asarray(person)).copy()), "PNG", pnginfo=text)
    np.testing.assert_array_equal(np.asarray(decode(data, "a.png")), np.asarray(person))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_is_turned_once_by_what_two_tags_say(person: Image.Image, kind: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    xmp = b'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp.decode())
    options: dict[str, object] = {"pnginfo": text} if kind == "PNG" else {"xmp": xmp}
    if kind == "TIFF":
        options = {"tiffinfo": {ORIENTATION: 6, 700: xmp}}
    else:
        options["exif"] = exif
    data = encoded(Image.fromarray(STORED[6](np.asarray(person)).copy()), kind, **options)
    decoded = np.asarray(decode(data, "phone"), np.int16)
    assert decoded.shape == (128, 64, 3)
    assert np.abs(decoded - np.asarray(person, np.int16)).mean() < 5


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


def grey_tiff(levels: NDArray[np.int64], bits: int, white_is_zero: bool, sign: int = 1) -> bytes:
    """A TIFF 6.0 file of one strip of grey, its rows of whole bytes."""
    height, width = levels.shape
    if bits == 16:
        strip = levels.astype("<u2").tobytes()
    else:  # two levels of 12 bits in three bytes
        first, second = levels[:, ::2], levels[:, 1::2]
        parts = (first >> 4, (first & 15) << 4 | second >> 8, second & 255)
        strip = np.stack(parts, -1).astype(np.uint8).tobytes()
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 0 if white_is_zero else 1}
    tags |= {273: 14 + 12 * 10, 277: 1, 278: height, 279: len(strip), 339: sign}
    long = (273, 279)
    table = b"".join(
        struct.pack("<HHI", tag, 4 if tag in long else 3, 1)
        + struct.pack("<I" if tag in long else "<H2x", value)
        for tag, value in tags.items()
    )
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + table + bytes(4)
    return head.ljust(tags[273], b"\0") + strip


@pytest.mark.parametrize(("bits", "white_is_zero"), [(12, False), (16, False), (16, True)])
def test_the_white_of_a_tiff_file_is_where_it_says(
    person: Image.Image, bits: int, white_is_zero: bool
) -> None:
    grey = np.asarray(person.convert("L"))
    white = (1 << bits) - 1
    levels = grey.astype(np.int64) * white // 255
    data = grey_tiff(white - levels if white_is_zero else levels, bits, white_is_zero)
    decoded = np.asarray(decode(data, "a.tif"), np.int16)
    assert np.abs(decoded - grey[..., None]).max() <= 1


def test_levels_with_a_sign_are_refused(person: Image.Image) -> None:
    levels = np.asarray(person.convert("L")).astype(np.int64)
    with pytest.raises(airreid.InputError, match=r"a\.tif: pixels with a sign; save it"):
        decode(grey_tiff(levels, 16, False, sign=2), "a.tif")


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


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_picture_of_nothing_is_refused(mode: str) -> None:
    image = Image.new("RGBA", (16, 32), (200, 30, 60, 0)).convert(mode)
    with pytest.raises(airreid.InputError, match="clear: every pixel is transparent; save it"):
        decode(encoded(image, "PNG"), "clear")


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
    picture = vivid(person)
    numbers = in_profile(picture, profile)
    data = encoded(numbers, kind, icc_profile=profile, **options.get(kind, {}))
    decoded = np.asarray(decode(data, "wide"), np.int16)
    assert np.abs(decoded - np.asarray(picture, np.int16)).mean() < 2
    unconverted = np.abs(np.asarray(numbers, np.int16) - np.asarray(picture, np.int16)).mean()
    assert unconverted > 6  # the test would see a profile that is not used


def vivid(person: Image.Image) -> Image.Image:
    picture = Image.new("RGB", person.size, (220, 30, 60))
    picture.paste(person, (20, 10))
    return picture


def interoperability(index: bytes, order: str) -> bytes:
    """Exif data with an interoperability index, as a camera writes it (DCF 2.0)."""

    def directory(tag: int, kind: int, count: int, value: bytes) -> bytes:
        return struct.pack(f"{order}HHHI", 1, tag, kind, count) + value + bytes(4)

    def pointer(place: int) -> bytes:
        return struct.pack(f"{order}I", place)

    mark = b"II" if order == "<" else b"MM"
    return (
        b"Exif\0\0"
        + struct.pack(f"{order}2sHI", mark, 42, 8)
        + directory(0x8769, 4, 1, pointer(26))
        + directory(0xA005, 4, 1, pointer(44))
        + directory(1, 2, 4, index)
    )


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_cameras_adobe_rgb_without_a_profile_is_converted(
    person: Image.Image, order: str
) -> None:
    picture = vivid(person)
    numbers = in_profile(picture, adobe_rgb())
    options = {"quality": 98, "subsampling": 0}
    data = encoded(numbers, "JPEG", exif=interoperability(b"R03\0", order), **options)
    decoded = np.asarray(decode(data, "IMG_1.JPG"), np.int16)
    assert np.abs(decoded - np.asarray(picture, np.int16)).mean() < 2
    usual = encoded(picture, "JPEG", exif=interoperability(b"R98\0", order), **options)
    plain = encoded(picture, "JPEG", **options)
    np.testing.assert_array_equal(np.asarray(decode(usual, "a")), np.asarray(decode(plain, "a")))


def png_with(image: Image.Image, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file with chunks before its palette and pixels."""
    data = encoded(image, "PNG")
    start = 8 + 25  # behind the signature and IHDR
    added = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return data[:start] + added + data[start:]


def gamma(value: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(value * 100_000))


def primaries(*values: float) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values))


def test_png_files_say_their_gamma_and_primaries_without_a_profile(person: Image.Image) -> None:
    picture = vivid(person)
    levels = np.asarray(picture) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    mac = Image.fromarray(np.round(linear ** (1 / 1.8) * 255).astype(np.uint8))
    decoded = np.asarray(decode(png_with(mac, gamma(1 / 1.8)), "mac.png"), np.int16)
    assert np.abs(decoded - np.asarray(picture, np.int16)).mean() < 1
    assert np.abs(np.asarray(mac, np.int16) - np.asarray(picture, np.int16)).mean() > 6
    wide = in_profile(picture, adobe_rgb())
    adobe = primaries(0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
    data = png_with(wide, gamma(1 / 2.19921875), adobe)
    decoded = np.asarray(decode(data, "wide.png"), np.int16)
    assert np.abs(decoded - np.asarray(picture, np.int16)).mean() < 2


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(0.45455)],
        [gamma(0.45455), primaries(0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)],
        [gamma(1.0), (b"sRGB", b"\0")],
        [gamma(0.0)],
        [gamma(40.0)],
        [primaries(0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)],
        [gamma(1.0), primaries(0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3)],
        [gamma(1.0), primaries(0, 0, 0, 0, 0, 0, 0, 0)],
    ],
    ids=["usual", "sRGB", "said to be sRGB", "none", "damaged", "no curve", "no triangle", "zeros"],
)
def test_chunks_of_srgb_and_damaged_ones_change_no_pixel(
    person: Image.Image, chunks: list[tuple[bytes, bytes]]
) -> None:
    data = png_with(person, *chunks)
    np.testing.assert_array_equal(np.asarray(decode(data, "a.png")), np.asarray(person))


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
