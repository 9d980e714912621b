"""Names that a frame may have."""

from __future__ import annotations

import pytest

from airreid.errors import InputError
from edge.folder import shown
from edge.frames import NAME_MAX, TRACK_MAX, check_track, track_of


def test_the_longest_track_id_is_taken_and_a_longer_one_is_not() -> None:
    assert TRACK_MAX == 128
    longest = "t" * 128
    assert track_of(f"{longest}__1.jpg") == longest
    assert check_track(longest, "a.jpg") == longest
    with pytest.raises(InputError, match="a: track id of 129 characters; use at most 128"):
        check_track(longest + "t", "a")
    with pytest.raises(InputError, match="track id of 129 characters"):
        track_of(f"{longest}t__1.jpg")


def test_a_track_id_is_printable() -> None:
    assert check_track("", "a.jpg") == ""
    assert check_track("Zoë 7", "a.jpg") == "Zoë 7"
    with pytest.raises(InputError, match=r"a\.jpg: the track id has characters"):
        check_track("a\tb", "a.jpg")


def test_a_name_is_shown_up_to_its_limit() -> None:
    assert NAME_MAX == 256
    assert shown("n" * 256) == "n" * 256
    assert shown("n" * 257) == "n" * 256
