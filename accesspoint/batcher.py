"""Blocks of many streams, decoded and searched together where they wait together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from airreid.v1 import uplink_pb2
from airreid.worker import Worker

Request = uplink_pb2.QueryRequest
Response = uplink_pb2.QueryResponse
_Item = tuple[Request, float, "Future[Response]"]


class MicroBatcher:
    """Never waits for a batch to fill: a lone block is answered at once."""

    def __init__(
        self, answer: Callable[[Sequence[Request]], list[Response]], max_batch: int = 64
    ) -> None:
        self._answer = answer
        self._worker = Worker("receiver", self._process, max_batch)

    def submit(self, request: Request) -> Future[Response]:
        future: Future[Response] = Future()
        self._worker.put((request, time.perf_counter(), future))
        return future

    def close(self) -> None:
        """Answers what is waiting, then ends the thread."""
        self._worker.close()

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
