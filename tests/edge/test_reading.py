"""Files read ahead of the network: in order, the bad ones in their place, never too many."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airreid.images import load, to_crop
from edge import reading
from edge.reading import AHEAD, Cut, read_ahead, read_crop


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for number in range(12):
        path = tmp_path / f"{number}.png"
        pixels = rng.integers(0, 256, (40 + 30 * number, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
        paths.append(path)
    paths[3].write_bytes(b"no image")
    paths[7].unlink()
    paths[11].write_bytes(paths[10].read_bytes()[:-200])
    return paths


def test_what_the_network_sees_is_what_reading_one_by_one_gives(files: list[Path]) -> None:
    crops = list(read_ahead(files, to_crop))
    assert [crop.path for crop in crops] == files
    for number, crop in enumerate(crops):
        if number in (3, 7, 11):
            assert crop.image is None
            assert str(files[number]) in crop.error
        else:
            assert crop.image is not None
            assert not crop.error
            np.testing.assert_array_equal(to_crop(crop.image), to_crop(load(files[number])))
        assert crop.seconds > 0


def test_reading_waits_for_a_slow_network_and_ends_with_it(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def slow_read(path: Path, cut: Cut) -> reading.Crop:
        read.append(path)
        return read_crop(path, cut)

    monkeypatch.setattr(reading, "read_crop", slow_read)
    before = set(threading.enumerate())
    crops = read_ahead(files, to_crop)
    for taken in range(1, 4):
        next(crops)
        until = time.monotonic() + 10
        while len(read) < taken + AHEAD and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.05)
        assert read == files[: taken + AHEAD]
    crops.close()
    assert len(read) == 3 + AHEAD
    assert set(threading.enumerate()) <= before


def test_closing_reads_no_more_than_what_is_under_way(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    gate = threading.Event()

    def gated_read(path: Path, cut: Cut) -> reading.Crop:
        read.append(path)
        if len(read) > 1:
            assert gate.wait(60)
        return read_crop(path, cut)

    monkeypatch.setattr(reading, "read_crop", gated_read)
    crops = read_ahead(files, to_crop)
    assert next(crops).path == files[0]
    end = time.monotonic() + 20
    while len(read) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    opening = threading.Timer(0.5, gate.set)
    opening.start()
    crops.close()  # waits for the second file, which is being read; the rest is called off
    opening.join()
    assert read == files[:2]
