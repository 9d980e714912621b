"""Shares of the bound: never more than it, equal among those who send, back when they stop."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from accesspoint.receiver.credits import ACTIVE_SECONDS, Credits


@given(
    window=st.integers(1, 100),
    bound=st.integers(1, 300),
    senders=st.integers(1, 50),
    idle=st.integers(0, 50),
)
def test_windows_add_up_to_no_more_than_the_bound(
    window: int, bound: int, senders: int, idle: int
) -> None:
    async def run() -> None:
        now = 0.0
        credits_ = Credits(window, bound, lambda: now)
        shares = [credits_.join() for _ in range(senders + idle)]
        for share in shares[:senders]:
            await asyncio.wait_for(credits_.admit(share), 5)
            credits_.answered(share)
        now = 0.5
        each = credits_.window()
        assert 1 <= each <= window
        assert each * senders <= max(bound, senders)
        assert each == window or (each + 1) * senders > bound  # nothing is left unused
        for share in shares[1:senders]:
            credits_.leave(share)
        now = 0.7
        assert credits_.window() == min(window, bound)
        now += ACTIVE_SECONDS
        assert credits_.window() == min(window, bound)
        assert credits_.in_flight == 0

    asyncio.run(run())


async def test_those_who_wait_for_room_come_in_their_order_and_count_as_senders() -> None:
    now = 0.0
    credits_ = Credits(10, 2, lambda: now)
    first, second, third = (credits_.join() for _ in range(3))
    order: list[str] = []

    async def enter(name: str, share: object) -> None:
        await credits_.admit(share)  # type: ignore[arg-type]
        order.append(name)

    await enter("a", first)
    await enter("b", first)
    waiting = [
        asyncio.create_task(enter(name, share)) for name, share in (("c", second), ("d", third))
    ]
    await asyncio.sleep(0)
    assert credits_.in_flight == 2
    now = 50.0
    assert credits_.window() == 1  # three that want, two places
    gone = asyncio.create_task(enter("x", second))
    await asyncio.sleep(0)
    gone.cancel()
    credits_.answered(first)
    credits_.answered(first)
    await asyncio.gather(*waiting)
    assert order == ["a", "b", "c", "d"]
    assert credits_.in_flight == 2
