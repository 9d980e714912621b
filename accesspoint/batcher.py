"""One worker thread that takes whatever is waiting: batches grow with the load alone."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from airreid.v1 import uplink_pb2

Request = uplink_pb2.QueryRequest
Response = uplink_pb2.QueryResponse
_Item = tuple[Request, float, "Future[Response]"]


class MicroBatcher:
    """Never waits for a batch to fill: a lone block is answered at once."""

    def __init__(
        self, answer: Callable[[Sequence[Request]], list[Response]], max_batch: int = 64
    ) -> None:
        self._answer = answer
        self._max_batch = max_batch
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> Future[Response]:
        future: Future[Response] = Future()
        self._queue.put((request, time.perf_counter(), future))
        return future

    def close(self) -> None:
        """Answers what is waiting, then ends the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, ended = [first], False
            while len(batch) < self._max_batch:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    ended = True
                    break
                batch.append(item)
            self._process(batch)
            if ended:
                return

    def _process(self, batch: list[_Item]) -> None:
        started = time.perf_counter()
        live = [item for item in batch if item[2].set_running_or_notify_cancel()]
        try:
            responses = self._answer([request for request, _, _ in live])
        except BaseException as error:
            for _, _, future in live:
                future.set_exception(error)
            return
        for (_, submitted, future), response in zip(live, responses, strict=True):
            response.timings.queue_ms = (started - submitted) * 1e3
            future.set_result(response)
