"""A worker takes what waits, in order, and gives back what has not begun."""

from __future__ import annotations

import threading

import pytest

from accesspoint.receiver.batch_worker import BatchWorker


def test_what_waits_is_processed_together_in_order_and_can_be_taken_back() -> None:
    batches: list[list[object]] = []
    entered, gate = threading.Event(), threading.Event()

    def process(batch: list[object]) -> None:
        batches.append(batch)
        entered.set()
        assert gate.wait(20)

    items = [object() for _ in range(12)]
    worker = BatchWorker("test", process, 5)
    worker.put(items[0])
    assert entered.wait(20)
    for item in items[1:]:
        worker.put(item)
    assert len(worker) == 11
    assert worker.take_back(items[4])
    assert not worker.take_back(items[4])
    assert not worker.take_back(items[0])  # it is being processed
    gate.set()
    worker.close(20)
    rest = [item for item in items[1:] if item is not items[4]]
    assert batches == [[items[0]], rest[:5], rest[5:]]


def test_a_failing_batch_does_not_end_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    def process(batch: list[int]) -> None:
        if batch == [1000]:
            raise ValueError("no")
        done.extend(batch)

    worker = BatchWorker("test", process, 1)
    for number in (1000, 2000):
        worker.put(number)
    worker.close(20)
    assert done == [2000]
    assert "batch_failed" in caplog.text
