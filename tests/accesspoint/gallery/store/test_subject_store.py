"""Subjects by themselves: made, changed, listed."""

from __future__ import annotations

import pytest

from accesspoint.errors import NotFoundError
from airreid.errors import InputError

from ..short_features import Opener


def test_subjects_are_made_changed_and_listed(opened: Opener) -> None:
    gallery = opened("one")
    subject, created = gallery.subjects.put("alice", "Alice A.", "north gate", 2e9)
    assert created
    assert (subject.display_name, subject.note, subject.expires_at) == (
        "Alice A.",
        "north gate",
        2e9,
    )
    again, created = gallery.subjects.put("alice")
    assert not created
    assert again.note == "north gate"
    changed = gallery.subjects.patch("alice", note="", expires_at=None)
    assert (changed.display_name, changed.note, changed.expires_at) == ("Alice A.", "", None)
    assert changed.updated_at >= changed.created_at
    for name in ("albert", "bob"):
        gallery.subjects.put(name)
    assert [s.id for s in gallery.subjects.page("", 9, "al")] == ["albert", "alice"]
    assert [s.id for s in gallery.subjects.page("albert", 1)] == ["alice"]
    with pytest.raises(NotFoundError, match="no subject 'zoe'"):
        gallery.subjects.patch("zoe", note="x")
    with pytest.raises(InputError, match="display_name"):
        gallery.subjects.put("zoe", "a\x00b")
    with pytest.raises(InputError, match="expires_at"):
        gallery.subjects.put("zoe", expires_at=float("nan"))
    assert gallery.subjects.get("zoe") is None
