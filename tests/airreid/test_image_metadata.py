"""Metadata of hostile files costs no memory, and that of everyday ones is read."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from airreid.errors import InputError
from airreid.image_metadata import check_directories, orientation_of
from airreid.images import decode

PICTURE = Image.new("RGB", (48, 96), (200, 10, 10))


def encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, kind, **options)
    return buffer.getvalue()


def directory(tags: list[tuple[int, int, int, int]]) -> bytes:
    body = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    return body + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)


def overlapping(count: int, size: int) -> bytes:
    """Thousands of tags, each over the same bytes."""
    tags = [(number, 7, size, 8) for number in range(1000, 1000 + count)]
    data = directory(tags)
    return data + bytes(max(0, size + 8 - len(data)))


def rotated(orientation: int) -> bytes:
    tag = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0" + struct.pack(">2sHIH", b"MM", 42, 8, 1) + tag


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_orientation_is_read_in_both_orders(order: str) -> None:
    mark = b"II" if order == "<" else b"MM"
    for value in range(10):
        tag = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, value, 0)
        exif = b"Exif\0\0" + struct.pack(f"{order}2sHIH", mark, 42, 8, 1) + tag
        expected = value if 1 <= value <= 8 else 1
        assert orientation_of({"exif": exif}, with_xmp=True) == expected
        assert orientation_of({"exif": exif[:-6]}, with_xmp=True) == 1
    for other in (None, b"", "text", b"Exif\0\0", b"II*\0\xff\xff\xff\xff"):
        assert orientation_of({"exif": other}, with_xmp=True) == 1


XMP = '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {}'
AS_TEXT = "\nexif\n      26\n{}\n"


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"xmp": XMP.format('tiff:Orientation="6"/>').encode()}, 6),
        ({"xmp": XMP.format("><tiff:Orientation>8</tiff:Orientation>").encode()}, 8),
        ({"XML:com.adobe.xmp": XMP.format("tiff:Orientation='3'/>")}, 3),
        ({"xmp": XMP.format('tiff:Orientation="9"/>').encode()}, 1),
        ({"xmp": b"\xff\xfe"}, 1),
        ({"xmp": XMP.format('tiff:Orientation="6"/>').encode(), "exif": rotated(1)}, 1),
        ({"Raw profile type exif": AS_TEXT.format(rotated(6).hex())}, 6),
        ({"Raw profile type APP1": AS_TEXT.format(rotated(8).hex())}, 8),
        ({"Raw profile type exif": "no digits\n\n\n\nxyz"}, 1),
    ],
)
def test_the_orientation_of_other_places(info: dict[str, object], expected: int) -> None:
    assert orientation_of(info, with_xmp=True) == expected
    if "xmp" in str(info):
        assert orientation_of(info, with_xmp=False) == 1


def test_tags_over_the_same_bytes_are_refused_before_pillow_copies_them() -> None:
    bomb = overlapping(4000, 60_000)
    with pytest.raises(InputError, match=r"a\.tif: more metadata than the file has bytes"):
        decode(bomb, "a.tif")
    jpeg = encoded("JPEG")
    segment = b"Exif\0\0" + bomb[:65_000]
    marked = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]
    with pytest.raises(InputError, match=r"a\.jpg: more metadata than the file has bytes"):
        decode(marked, "a.jpg")
    for kind in ("PNG", "WEBP"):  # nothing but the orientation is read of these
        assert decode(encoded(kind, exif=bomb[:65_000]), "a").size == PICTURE.size


def test_a_tag_of_very_many_values_is_refused() -> None:
    data = directory([(273, 4, 70_000, 8)]) + bytes(300_000)
    with pytest.raises(InputError, match="a tag of 70000 values"):
        decode(data, "a.tif")
    check_directories(directory([(0x8769, 4, 1, 8)]), "a loop")  # ends


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "AVIF"])
def test_ordinary_metadata_is_no_reason(kind: str) -> None:
    if kind == "AVIF":
        pytest.importorskip("PIL._avif")
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a camera", 6
    exif.get_ifd(0x8769)[0x9003] = "2026:01:01 10:00:00"
    assert decode(encoded(kind, exif=exif), "a").size == (96, 48)
