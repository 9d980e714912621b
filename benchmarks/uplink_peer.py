"""The plain way to serve the uplink, for comparison: a thread for each stream, a block at a time.

    python -m benchmarks.uplink_peer DATA_DIR

Decodes and searches with the very same receiver. Prints its port and serves until it is ended.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.store.store import Store
from accesspoint.receiver.blocks import Receiver
from airreid.bundle import default_bundle_path, load_bundle
from airreid.v1 import uplink_pb2, uplink_pb2_grpc

STREAMS_MAX = 1024


class Synchronous(uplink_pb2_grpc.UplinkServiceServicer):
    """Servicer that answers each block before it reads the next one of the stream."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def Query(
        self, request_iterator: Iterator[uplink_pb2.QueryRequest], context: grpc.ServicerContext
    ) -> Iterator[uplink_pb2.QueryResponse]:
        for request in request_iterator:
            yield self._receiver.answer([request])[0]


def main(folder: Path) -> None:
    bundle = load_bundle(default_bundle_path())
    gallery = Gallery(Store(folder / "gallery.sqlite"), bundle, 1)
    gallery.wait_ready()
    server = grpc.server(ThreadPoolExecutor(STREAMS_MAX))
    uplink_pb2_grpc.add_UplinkServiceServicer_to_server(
        Synchronous(Receiver(bundle, gallery)), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
