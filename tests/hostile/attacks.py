"""Attacks: functions that a process of its own runs, each what somebody sends who means ill.

Each takes the ports of an access point and goes on until it is ended.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import itertools
import json
import os
import queue
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import numpy as np
from PIL import Image

from airreid.bundle import default_bundle_path, load_bundle
from airreid.v1 import common_pb2, edge_pb2, gallery_pb2, uplink_pb2

from ..http2_frames import throw_away

QUERY = "/airreid.v1.UplinkService/Query"
OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


def block(sequence: int, edge: str, **fields: object) -> uplink_pb2.QueryRequest:
    """Makes a block of the demo's bundle that is right but for the given fields."""
    bundle = load_bundle(default_bundle_path())
    info = bundle.scheme("jscc-ae-64")
    symbols = np.random.default_rng(sequence).standard_normal(info.bandwidth).astype("<f4")
    request = uplink_pb2.QueryRequest(
        id=common_pb2.BlockId(edge_id=edge, spool_id="s", sequence=sequence),
        bundle_id=bundle.bundle_id,
        scheme_id=info.id,
        top_k=1,
        analog=uplink_pb2.AnalogBlock(symbols=symbols.tobytes()),
    )
    request.MergeFrom(uplink_pb2.QueryRequest(**fields))  # type: ignore[arg-type]
    return request


def at_once(count: int, work: Callable[[int], None]) -> None:
    """Does work over and over in so many threads, whatever fails."""

    def forever(number: int) -> None:
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException, grpc.RpcError):
                work(number)
            time.sleep(0.01)

    threads = [threading.Thread(target=forever, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def from_elsewhere(port: int) -> socket.socket:
    """Connects from an address that no camera has: its network may be refused for a while."""
    return socket.create_connection(("127.0.0.1", port), 5, source_address=("127.0.1.8", 0))


def post(port: int, path: str, body: bytes, kind: str = "application/json") -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, body, {"Content-Type": kind})
        connection.getresponse().read()
    finally:
        connection.close()


def json_shapes(grpc_port: int, http_port: int) -> None:
    keys = json.dumps({f"k{number}": 0 for number in range(1_000_000)}).encode()
    bodies = [
        ("/v1/search/feature", keys),
        ("/v1/entries/batch", b'{"items":[' + b"{}," * 13_000_000 + b"{}]}"),
        ("/v1/search/feature", keys[: 2 << 20]),
        ("/v1/entries/batch", b'{"items":[{"subject":"' + b"0" * (30 << 20) + b'"}]}'),
        ("/v1/entries/batch", b'{"items":[' + b"{}," * 3_000 + b"[" * 900 + b"0," * 490_000),
        ("/v1/policy", b'{"match_policy":{' + b'"a":1,' * 15_000 + b'"b":2}}'),
    ]
    at_once(len(bodies), lambda number: post(http_port, *bodies[number]))


def wrong_values(grpc_port: int, http_port: int) -> None:
    """Bodies of the right shape in which every value is wrong."""
    values = b'"",' * 65_535 + b'""'
    feature = b'{"space_id":"x","values":[' + values + b"]}"
    item = b'{"subject":"a","camera":"c","feature":' + feature + b"}"
    bodies = [
        ("/v1/search/feature", feature),
        ("/v1/entries/batch", b'{"items":[' + b",".join([item] * 7) + b"]}"),
    ]
    at_once(8, lambda number: post(http_port, *bodies[number % 2]))


def silent_connections(grpc_port: int, http_port: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
    words = [
        b"",
        b"GET / HTTP/1.1\r\nHo",
        b"POST /v1/merge HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 60000\r\n\r\n{",
    ]

    def open_many(number: int) -> None:
        sockets = []
        for _ in range(140):
            with contextlib.suppress(OSError):
                opened = (
                    from_elsewhere(grpc_port)
                    if number == 0
                    else socket.create_connection(("127.0.0.1", http_port), 5)
                )
                sockets.append(opened)
                opened.sendall(words[number % 3])
        time.sleep(2)
        for opened in sockets:
            opened.close()

    at_once(8, open_many)


def unread_answers(grpc_port: int, http_port: int) -> None:
    ask = b"GET /assets/js/charts.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 200
    sockets: list[socket.socket] = []

    def pipeline(number: int) -> None:
        opened = socket.create_connection(("127.0.0.1", http_port), 5)
        opened.setblocking(False)
        sockets.append(opened)
        with contextlib.suppress(BlockingIOError):
            opened.send(ask)
        time.sleep(1)
        if len(sockets) > 300:
            sockets.pop(0).close()

    at_once(30, pipeline)


def requests_ahead(grpc_port: int, http_port: int) -> None:
    """Requests over and over without a wait for answers, which are thrown away."""
    host = b"Host: 127.0.0.1\r\n"
    searches = b"POST /v1/search/feature HTTP/1.1\r\n" + host
    searches += b"Cookie: " + b";" * 14_000 + b"\r\nContent-Type: application/json\r\n"
    asked = [
        (searches + b"Content-Length: 2\r\n\r\n{}") * 10,
        b"GET /openapi.json HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /metrics HTTP/1.1\r\n" + host + b"\r\n",
    ]

    def send(number: int) -> None:
        with socket.create_connection(("127.0.0.1", http_port), 5) as connection:
            threading.Thread(target=throw_away, args=(connection,), daemon=True).start()
            while True:
                connection.sendall(asked[number % 3])

    at_once(96, send)


def pipelined_requests(grpc_port: int, http_port: int) -> None:
    """Requests one after another, whether their answers are read or not."""
    threading.Thread(target=requests_ahead, args=(grpc_port, http_port), daemon=True).start()
    unread_answers(grpc_port, http_port)


def stream_of(port: int, requests: Iterator[bytes]) -> None:
    """Sends messages on a stream and throws the answers away."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
        for _ in channel.stream_stream(QUERY)(requests, timeout=60):
            pass


def long_names(grpc_port: int, http_port: int) -> None:
    def requests(number: int) -> Iterator[bytes]:
        for sequence in range(2_000):
            name = f"{sequence}" + "x" * 250_000
            for fields in ({"track_id": name}, {"truth": name}):
                request = block(1, f"evil-{number}", **fields)
                request.id.sequence = sequence
                yield request.SerializeToString()

    at_once(4, lambda number: stream_of(grpc_port, requests(number)))


def dear_blocks(grpc_port: int, http_port: int) -> None:
    def requests(number: int) -> Iterator[bytes]:
        request = block(1, f"dear-{number}", top_k=1000, top_entries=100_000)
        request.top_k = 1000
        for sequence in range(100_000):
            request.id.sequence = sequence
            yield request.SerializeToString()

    at_once(20, lambda number: stream_of(grpc_port, requests(number)))


def odd_reports(grpc_port: int, http_port: int) -> None:
    def requests() -> Iterator[bytes]:
        report = uplink_pb2.ChannelReport(model="x", snr_db=1e308)
        request = block(1, "odd", channel=report)
        for sequence in range(100_000):
            request.id.sequence = sequence
            yield request.SerializeToString()
            time.sleep(0.002)

    stream_of(grpc_port, requests())


def large_messages(grpc_port: int, http_port: int) -> None:
    huge, full = bytes(62 << 20), bytes((8 << 20) - 64)
    calls = [
        ("/grpc.health.v1.Health/Check", huge, None),
        ("/grpc.health.v1.Health/Check", full, None),
        ("/airreid.v1.GalleryService/GetSubject", huge, None),
        ("/airreid.v1.GalleryService/GetSubject", full, None),
        ("/airreid.v1.GalleryService/GetSubject", huge, grpc.Compression.Gzip),
        ("/airreid.v1.GalleryService/Enroll", b"\x0a\x00" * (4 << 20), None),
    ]

    def send(number: int) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{grpc_port}", options=OPTIONS) as channel:
            if number >= len(calls):
                messages = iter([huge if number % 2 else full] * 3)
                for _ in channel.stream_stream(QUERY)(messages, timeout=60):
                    pass
                return
            path, data, compression = calls[number]
            channel.unary_unary(path)(data, timeout=60, compression=compression)

    at_once(len(calls) + 4, send)


def form_of(image: bytes) -> tuple[bytes, str]:
    head = b'--cut\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    return head + image + b"\r\n--cut--\r\n", "multipart/form-data; boundary=cut"


def pixel_bombs(grpc_port: int, http_port: int) -> None:
    buffer = io.BytesIO()
    Image.new("L", (7070, 7070)).save(buffer, "PNG")
    body, kind = form_of(buffer.getvalue())
    at_once(40, lambda number: post(http_port, "/v1/search", body, kind))


def scan_bombs(grpc_port: int, http_port: int) -> None:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (60, 60), np.uint8)
    image = Image.fromarray(pixels).resize((2000, 2000), Image.Resampling.NEAREST)
    image.convert("RGB").save(buffer, "JPEG", progressive=True, quality=10)
    data = buffer.getvalue()
    last = data[data.rfind(b"\xff\xda") : -2]
    bombs = [data[:-2] + last * times + data[-2:] for times in (300, 50)]

    def send(number: int) -> None:
        post(http_port, "/v1/search", *form_of(bombs[number % 2]))

    at_once(44, send)


def enrolments(grpc_port: int, http_port: int) -> None:
    buffer = io.BytesIO()
    rng = np.random.default_rng(os.getpid())
    Image.fromarray(rng.integers(0, 256, (256, 128, 3), np.uint8)).save(buffer, "JPEG")
    item = gallery_pb2.EnrollItem(subject="evil", camera="c", image=buffer.getvalue())
    data = gallery_pb2.EnrollRequest(items=[item] * 200).SerializeToString()

    def send(number: int) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{grpc_port}", options=OPTIONS) as channel:
            channel.unary_unary("/airreid.v1.GalleryService/Enroll")(data, timeout=120)

    at_once(8, send)


def crops(edge_port: int, _: int) -> None:
    """Crops for an edge, as long as it takes them, none of which is an image."""
    data = edge_pb2.IdentifyRequest(image=bytes(8 << 20)).SerializeToString()

    def send(number: int) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{edge_port}", options=OPTIONS) as channel:
            call = channel.stream_stream("/airreid.v1.EdgeService/Identify")
            for _ in call(itertools.repeat(data), timeout=60):
                pass

    at_once(64, send)


def half_messages(grpc_port: int, http_port: int) -> None:
    """Calls of all kinds whose message never comes."""
    paths = [
        "/grpc.health.v1.Health/Check",
        "/airreid.v1.GalleryService/GetSubject",
        "/airreid.v1.GalleryService/Enroll",
    ]
    never: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def send(number: int) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{grpc_port}", options=OPTIONS) as channel:
            calls = [
                channel.stream_unary(paths[number % 3]).future(iter(never.get, b""), timeout=20)
                for _ in range(100)
            ]
            for call in calls:
                call.exception()

    at_once(3, send)


def handshakes(grpc_port: int, http_port: int) -> None:
    """Connections to ports with TLS that say nothing, or break off in the middle."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    hello = outgoing.read()
    words = [b"", hello[: len(hello) // 2], hello, hello + bytes(64), b"GET / HTTP/1.1\r\n\r\n"]

    def open_many(number: int) -> None:
        sockets = []
        for _ in range(100):
            with contextlib.suppress(OSError):
                opened = (
                    from_elsewhere(grpc_port)
                    if number % 2
                    else socket.create_connection(("127.0.0.1", http_port), 5)
                )
                sockets.append(opened)
                opened.sendall(words[number % len(words)])
        time.sleep(2)
        for opened in sockets:
            opened.close()

    at_once(10, open_many)
