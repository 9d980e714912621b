"""Image files whose decoding would take memory or time that no picture needs."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airreid import images
from airreid.errors import InputError
from airreid.image_bounds import (
    PARTS_MAX,
    SCANS_MAX,
    SMALL_PIXELS,
    PixelTurns,
    check_work,
    scans_of,
)
from airreid.images import WHOLE_PIXELS, decode, read


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def progressive(size: tuple[int, int] = (64, 128)) -> bytes:
    pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG", progressive=True)


def with_last_scan_repeated(data: bytes, times: int) -> bytes:
    start = data.rfind(b"\xff\xda")
    return data[:-2] + data[start:-2] * times + data[-2:]


def test_scans_are_counted_before_they_are_decoded() -> None:
    data = progressive()
    scans = scans_of(data, "a.jpg")
    assert 5 <= scans <= 12
    assert decode(data, "a.jpg").size == (64, 128)
    assert scans_of(with_last_scan_repeated(data, 10), "a.jpg") == scans + 10
    with pytest.raises(InputError, match=f"over {SCANS_MAX} scans"):
        decode(with_last_scan_repeated(data, 300), "bomb.jpg")
    assert scans_of(encoded(Image.new("RGB", (64, 64)), "JPEG"), "b.jpg") == 1
    assert scans_of(encoded(Image.new("RGB", (64, 64)), "WEBP"), "b.webp") == 1
    check_work(50_000_000, 10, "large.jpg")
    with pytest.raises(InputError, match="50000000 pixels in 11 scans"):
        check_work(50_000_000, 11, "large.jpg")


def test_a_scans_mark_in_a_segment_is_no_scan() -> None:
    comment = b"\xff\xda" * 1000
    data = encoded(Image.new("RGB", (64, 64)), "JPEG", comment=comment)
    assert comment in data
    assert scans_of(data, "a.jpg") == 1
    assert decode(data, "a.jpg").size == (64, 64)


def test_files_of_very_many_parts_are_refused() -> None:
    jpeg = encoded(Image.new("RGB", (64, 64)), "JPEG")
    bomb = jpeg[:2] + b"\xff\xfe\x00\x02" * PARTS_MAX + jpeg[2:]
    with pytest.raises(InputError, match="parts"):
        decode(bomb, "bomb.jpg")
    png = encoded(Image.new("RGB", (64, 64)), "PNG")
    chunk = b"\x00\x00\x00\x00tEXt" + bytes(4)
    with pytest.raises(InputError, match="parts"):
        decode(png[:33] + chunk * PARTS_MAX + png[33:], "bomb.png")
    for cut in range(2, 60):
        scans_of(jpeg[:cut], "cut.jpg")
        scans_of(png[:cut], "cut.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA"])
def test_a_large_image_comes_smaller(kind: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if (kind, mode) in {("JPEG", "P"), ("JPEG", "RGBA"), ("WEBP", "P"), ("WEBP", "1")}:
        pytest.skip("there is no such file")
    across = np.tile(np.linspace(0, 255, 200, dtype=np.uint8), (400, 1))
    image = Image.fromarray(across).convert("RGB").convert(mode)
    data = encoded(image, kind)
    whole = decode(data, "a")
    monkeypatch.setattr(images, "WHOLE_PIXELS", 6_000)
    small = decode(data, "a")
    assert whole.size == (200, 400)
    assert small.size == (50, 100)
    assert small.mode == "RGB"
    expected = np.asarray(whole.reduce(4), np.int32)
    assert np.abs(np.asarray(small, np.int32) - expected).mean() < 3


def test_crops_are_far_from_being_reduced() -> None:
    assert WHOLE_PIXELS >= 8_000_000


def test_few_images_are_decoded_at_once_and_small_ones_at_any_time() -> None:
    turns = PixelTurns(decoders=2, pixels=10 * SMALL_PIXELS)
    big = 6 * SMALL_PIXELS
    order: list[str] = []

    def decode_another(name: str, pixels: int) -> threading.Thread:
        def work() -> None:
            with turns.turn(pixels):
                order.append(name)

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    with turns.turn(big):
        decode_another("small", SMALL_PIXELS).join(30)
        decode_another("fits", 4 * SMALL_PIXELS).join(30)
        assert order == ["small", "fits"]
        waiting = [decode_another("too large", 5 * SMALL_PIXELS)]
        with turns.turn(2 * SMALL_PIXELS):
            waiting.append(decode_another("third", 2 * SMALL_PIXELS))
            assert order == ["small", "fits"]
    for thread in waiting:
        thread.join(30)
    assert sorted(order[2:]) == ["third", "too large"]
    with turns.turn(1000 * SMALL_PIXELS):  # alone, however large
        order.append("alone")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (Path("/dev/zero"), tmp_path / "pipe.png", tmp_path):
        with pytest.raises(InputError, match=r"not a regular file|cannot be read"):
            read(path)
