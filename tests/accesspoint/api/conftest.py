"""A tiny bundle, so that images cost nothing, and the whole interface over it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import onnx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from accesspoint.api.grpc_calls import GalleryCalls
from accesspoint.api.grpc_gallery import GalleryMethods
from accesspoint.api.guard import Guard
from accesspoint.api.rest import build_app
from accesspoint.api.streams import stream_access
from accesspoint.assembly import Services, access_point
from accesspoint.receiver.blocks import Receiver
from accesspoint.receiver.metrics import ReceiverMetrics
from accesspoint.receiver.settings import ReceiverSettings
from accesspoint.receiver.stream import Uplink
from accesspoint.settings import ServeSettings
from airreid.bundle import BackboneInfo, Bundle, Manifest, write_manifest
from airreid.scheme_info import FileRef, JsccInfo
from airreid.serving import serve

DIM, BANDWIDTH = 32, 16


def _save(folder: Path, name: str, nodes: list[onnx.NodeProto], constants: dict, **ends) -> FileRef:
    (in_name, in_type, in_shape), (out_name, out_shape) = ends["source"], ends["sink"]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(in_name, in_type, in_shape)],
        [helper.make_tensor_value_info(out_name, TensorProto.FLOAT, out_shape)],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    path = folder / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    return FileRef(path=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def make_bundle(folder: Path, space: str = "tiny-space", seed: int = 5) -> Bundle:
    """Mean colours of 8 x 4 tiles, mixed to 32 values; a linear code of 16 symbols."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    backbone = _save(
        folder,
        "backbone",
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["float", "tiles"], ["tiled"]),
            helper.make_node("ReduceMean", ["tiled", "inside"], ["means"], keepdims=0),
            helper.make_node("Reshape", ["means", "flat"], ["row"]),
            helper.make_node("Sub", ["row", "grey"], ["centred"]),
            helper.make_node("MatMul", ["centred", "mix"], ["feature"]),
        ],
        {
            "tiles": np.array([-1, 8, 32, 4, 32, 3], np.int64),
            "inside": np.array([2, 4], np.int64),
            "flat": np.array([-1, 96], np.int64),
            "grey": np.array([100.5], np.float32),
            "mix": (rng.standard_normal((96, DIM)) / 500).astype(np.float32),
        },
        source=("image", TensorProto.UINT8, ["n", 256, 128, 3]),
        sink=("feature", ["n", DIM]),
    )
    encoder = _save(
        folder,
        "encoder",
        [
            helper.make_node("MatMul", ["feature", "mix"], ["u"]),
            helper.make_node("ReduceL2", ["u", "last"], ["norm"], keepdims=1),
            helper.make_node("Max", ["norm", "tiny"], ["safe"]),
            helper.make_node("Div", ["u", "safe"], ["unit"]),
            helper.make_node("Mul", ["unit", "root"], ["x"]),
        ],
        {
            "mix": rng.standard_normal((DIM, BANDWIDTH)).astype(np.float32),
            "last": np.array([1], np.int64),
            "tiny": np.array([1e-9], np.float32),
            "root": np.array([BANDWIDTH**0.5], np.float32),
        },
        source=("feature", TensorProto.FLOAT, ["n", DIM]),
        sink=("x", ["n", BANDWIDTH]),
    )
    manifest = Manifest(
        name="tiny",
        backbones=(
            BackboneInfo(
                id="tiny", file=backbone, precision="fp32", space_id=space, feature_dim=DIM
            ),
        ),
        schemes=(
            JsccInfo(
                id=f"jscc-fc-{BANDWIDTH}",
                kind="jscc-fc",
                space_id=space,
                bandwidth=BANDWIDTH,
                embedding_dim=BANDWIDTH,
                encoder=encoder,
                gallery="encoder",
                snr_db_train=(0.0, 0.0),
            ),
        ),
        provenance={"made": "by a test"},
    )
    return write_manifest(folder, manifest)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("tiny") / "bundle")


def png(seed: int = 0) -> bytes:
    """A picture of coloured stripes, another for each seed."""
    rng = np.random.default_rng(seed)
    tiles = rng.integers(0, 255, (8, 4, 3)).astype(np.uint8)
    noise = rng.integers(0, 40, (128, 64, 3)).astype(np.uint8)
    pixels = np.maximum(np.kron(tiles, np.ones((16, 16, 1), np.uint8)), noise)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@dataclass
class Rest:
    """The HTTP interface, guard included."""

    services: Services
    app: FastAPI
    guard: Guard
    client: TestClient


def rest_over(services: Services) -> Rest:
    app = build_app(services.rest)
    guard = Guard(app, services.http_access, services.rest.metrics)
    # the guard lets nothing through that the client would have to raise
    return Rest(services, app, guard, TestClient(guard, base_url="http://127.0.0.1:8080"))


@contextlib.contextmanager
def grpc_over(
    services: Services,
    bundle: Bundle,
    credentials: grpc.ServerCredentials | None = None,
    at_once: int = 256,
) -> Iterator[str]:
    """The gRPC interface in a thread with a loop of its own; yields HOST:PORT."""
    ready, stop, ports = threading.Event(), asyncio.Event(), []
    loop = asyncio.new_event_loop()

    async def run() -> None:
        rest = services.rest
        uplink = Uplink(
            Receiver(bundle, services.gallery),
            ReceiverSettings(),
            ReceiverMetrics(rest.metrics.registry),
            services.feed,
            stream_access(services.grpc_access),
        )

        def register(server: grpc.aio.Server) -> list[str]:
            calls = GalleryCalls(
                GalleryMethods(rest.service, rest.search_service, rest.jobs),
                services.grpc_access,
                rest.metrics,
                services.pools,
                at_once,
            )
            return [uplink.register(server), calls.register(server)]

        async with serve("127.0.0.1:0", register, credentials, rest.ready) as port:
            ports.append(port)
            ready.set()
            await stop.wait()
        uplink.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert ready.wait(30)
    try:
        yield f"127.0.0.1:{ports[0]}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture
def settings(tmp_path: Path) -> ServeSettings:
    return ServeSettings(data_dir=tmp_path / "data", keep_thumbnails=True)


@pytest.fixture
def services(tiny: Bundle, settings: ServeSettings) -> Iterator[Services]:
    with access_point(tiny, settings) as opened:
        assert opened.gallery.wait_ready(30)
        yield opened


@pytest.fixture
def rest(services: Services) -> Rest:
    return rest_over(services)


@pytest.fixture
def client(rest: Rest) -> TestClient:
    return rest.client
