"""Events reach everybody who listens; a slow listener loses the oldest and knows how many."""

from __future__ import annotations

import asyncio
import threading

from accesspoint.events import Feed


async def test_everybody_hears_everything_in_order_from_any_thread() -> None:
    feed = Feed(waiting=10_000)

    async def listen() -> list[int]:
        with feed.subscribe() as events:
            heard = []
            async for event in events:
                heard.append(event["n"])
                if event["n"] == 4999:
                    return heard
            raise AssertionError("it ended")

    listeners = [asyncio.create_task(listen()) for _ in range(3)]
    await asyncio.sleep(0)

    def publish() -> None:
        for n in range(5000):
            feed.publish({"n": n})

    thread = threading.Thread(target=publish)
    thread.start()
    for heard in await asyncio.wait_for(asyncio.gather(*listeners), 20):
        assert heard == list(range(5000))
    thread.join()
    assert feed.published == 5000


async def test_a_slow_listener_loses_the_oldest() -> None:
    feed = Feed(remembered=4, waiting=8)
    with feed.subscribe() as events:
        for n in range(20):
            feed.publish({"n": n})
        assert events.lost == 12
        heard = [(await anext(events))["n"] for _ in range(8)]
        assert heard == list(range(12, 20))
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        feed.publish({"n": 99})
        assert (await asyncio.wait_for(waiting, 5))["n"] == 99
    assert [event["n"] for event in feed.recent()] == [17, 18, 19, 99]
    feed.publish({"n": 100})
    assert [event async for event in events] == []


async def test_a_new_listener_may_ask_for_the_last_ones() -> None:
    feed = Feed(remembered=4)
    for n in range(6):
        feed.publish({"n": n})
    with feed.subscribe(replay=3) as events, feed.subscribe() as nothing:
        assert [(await anext(events))["n"] for _ in range(3)] == [3, 4, 5]
        nothing.close()
        assert [event async for event in nothing] == []
