"""Documents kept with a gallery."""

from __future__ import annotations

import pytest

from accesspoint.gallery.store.database import Database
from accesspoint.gallery.store.stored_settings import StoredSettings

from ..short_features import Opener


def test_settings_are_read_from_the_file_once(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = opened("one")
    gallery.set_setting("match_policy", "{}")
    assert gallery.setting("quality_gate") is None
    with monkeypatch.context() as patch:
        patch.delattr(Database, "rows")  # the file is busy: nobody may ask it
        assert gallery.setting("match_policy") == "{}"
        assert gallery.setting("quality_gate") is None
    gallery.set_setting("quality_gate", '{"mode": "off"}')
    assert gallery.setting("quality_gate") == '{"mode": "off"}'
    assert StoredSettings(gallery.store.database).get("match_policy") == "{}"
