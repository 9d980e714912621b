"""Memory of a service: what is there when it is ready is not looked at again."""

from __future__ import annotations

import gc

from airreid import memory


def test_a_collection_leaves_alone_what_a_service_started_with() -> None:
    def tracked() -> bool:
        return any(thing is held for thing in gc.get_objects())

    held = [object() for _ in range(3)]
    assert tracked()
    try:
        memory.leave_alone()
        assert gc.get_freeze_count() > 1000
        assert not tracked()
    finally:
        gc.unfreeze()
    assert tracked()
