"""A change of model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from accesspoint.errors import ConflictError, NotReadyError, WrongSpaceError
from accesspoint.gallery.gallery import Gallery
from airreid.errors import InputError

from ..short_features import Opener, nearest, new, vector


def encode(images: Sequence[bytes]) -> np.ndarray:
    """The 'model' of space two: a feature from the number that an image's bytes are."""
    if b"broken" in images:
        raise InputError("no image")
    return np.stack([vector(1000 + int(image)) for image in images])


def two_spaces(opened: Opener) -> Gallery:
    """40 entries of 10 people with thumbnails, opened with the bundle of another space."""
    gallery = opened("one")
    gallery.enrol(
        [new(f"p{i % 10}", i, thumbnail=str(i).encode(), quality=i / 40) for i in range(40)]
    )
    nearest(gallery, 3)
    return opened("two")


def test_a_change_of_model_from_thumbnails(opened: Opener) -> None:
    gallery = two_spaces(opened)
    assert gallery.needs_reindex
    assert not gallery.ready
    with pytest.raises(NotReadyError, match="of the feature space one, the bundle is of two"):
        gallery.search("features", vector(3)[None], 1, 1)
    with pytest.raises(WrongSpaceError, match="feature of space 'one'"):
        gallery.enrol([new("x", 1)])
    ticks: list[tuple[int, int]] = []
    report = gallery.maintenance.reindex(
        encode, lambda done, total: ticks.append((done, total)), "ab"
    )
    assert (report.encoded, report.failed, report.switched) == (40, (), True)
    assert ticks[0] == (0, 40)
    assert ticks[-1] == (40, 40)
    assert gallery.ready
    assert gallery.counts() == (10, 40)
    subject, number = nearest(gallery, 1003)
    assert subject == "p3"
    entry = gallery.entry(number)
    assert entry is not None
    assert (entry.space_id, entry.quality, entry.model_digest) == ("two", 3 / 40, "ab")
    assert gallery.thumbnail(number) == b"3"  # for the next change
    with pytest.raises(ConflictError, match="nothing to reindex"):
        gallery.maintenance.reindex(encode)
    again = opened("two")
    assert again.ready
    assert nearest(again, 1003) == (subject, number)


def test_a_reindex_that_was_killed_goes_on_where_it_was(opened: Opener) -> None:
    gallery = two_spaces(opened)
    indexed: list[bytes] = []

    def dies(images: Sequence[bytes]) -> np.ndarray:
        if len(indexed) >= 16:
            raise KeyboardInterrupt
        indexed.extend(images)
        return encode(images)

    with pytest.raises(KeyboardInterrupt):
        gallery.maintenance.reindex(dies)
    gallery.delete_entries([1])  # encoded already: what was made of it goes as well
    gallery.delete_subject("p1")
    gallery = opened("two")
    assert gallery.needs_reindex
    assert gallery.counts() == (9, 35 + 13)  # of 16 encoded: not entry 1, not two of p1

    def counting(images: Sequence[bytes]) -> np.ndarray:
        indexed.extend(images)
        return encode(images)

    assert gallery.maintenance.reindex(counting).switched
    assert len(set(indexed)) == len(indexed)
    assert gallery.counts() == (9, 35)
    [result] = gallery.search("features", vector(1000)[None], 99, 99)
    assert len(result.entry_ids) == 35
    assert result.matches[0].score < 0.99


def test_who_has_no_thumbnail_must_be_enrolled_anew(opened: Opener) -> None:
    gallery = opened("one")
    gallery.enrol(
        [
            new("with", 1, thumbnail=b"1"),
            new("with", 2),
            new("without", 3),
            new("bad", 4, thumbnail=b"broken"),
        ]
    )
    gallery = opened("two")
    report = gallery.maintenance.reindex(encode)
    assert not report.switched
    assert report.unserved == ("bad", "without")
    assert report.unserved_count == 2
    assert [(number, message) for number, message in report.failed] == [(4, "no image")]
    assert gallery.needs_reindex
    gallery.enrol([new("without", 5, "two")])
    assert gallery.maintenance.unserved("", 9) == ["bad"]
    report = gallery.maintenance.reindex(encode, allow_unserved=True)
    assert report.switched
    assert report.encoded == 0
    assert gallery.ready
    assert gallery.maintenance.unserved("", 9) == ["bad"]
    assert {entry.space_id for entry in gallery.entries(0, 9, "bad")} == {"one"}
    assert {entry.space_id for entry in gallery.entries(0, 9, "with")} == {"two"}


def test_an_empty_gallery_takes_any_space(opened: Opener) -> None:
    opened("one").enrol([new("a", 1)])
    opened("one").delete_subject("a")
    gallery = opened("two")
    assert gallery.ready
    gallery.enrol([new("a", 1, "two")])
    assert nearest(gallery, 1)[0] == "a"
