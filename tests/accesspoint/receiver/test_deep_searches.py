from __future__ import annotations

from accesspoint.receiver import deep_searches
from accesspoint.receiver.deep_searches import DEAR_SECONDS, DeepSearches


def test_a_camera_is_remembered_for_a_while_and_few_are() -> None:
    now = 0.0
    searches = DeepSearches(lambda: now)
    assert not searches.of_late("a")
    searches.note("a")
    assert searches.of_late("a")
    assert not searches.of_late("b")
    now = DEAR_SECONDS - 1
    assert searches.of_late("a")
    now = DEAR_SECONDS
    assert not searches.of_late("a")
    for number in range(deep_searches._CAMERAS):
        searches.note(f"camera {number}")
    assert "a" not in searches._last
    assert searches.of_late("camera 0")
    assert len(searches._last) == deep_searches._CAMERAS
