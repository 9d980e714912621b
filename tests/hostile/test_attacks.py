"""Attacks on real services, with a well-behaved camera beside each: minutes, so slow."""

from __future__ import annotations

import io
import ipaddress
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer
from cryptography import x509
from PIL import Image

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.store.store import Store
from airreid.bundle import default_bundle_path, load_bundle
from airreid.client import GalleryClient, ok
from airreid.credentials import ClientCredentials
from airreid.v1 import gallery_pb2

from ..certificates import Authority
from .all_attacks import ATTACKS
from .support import MEMORY_MIB, SECONDS, Camera, Peak, Service, attacked, wait_for_room

pytestmark = pytest.mark.slow
ANY = "127.0.0.1:0"
ENTRIES = 20_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of random people, so that dear searches are dear."""
    folder = tmp_path_factory.mktemp("data")
    bundle = load_bundle(default_bundle_path())
    bundle = bundle.of_space(bundle.backbone.space_id)
    store = Store(folder / "gallery.sqlite")
    gallery = Gallery(store, bundle, threads=1)
    rng = np.random.default_rng(0)
    dim, space = bundle.backbone.feature_dim, gallery.space_id
    for start in range(0, ENTRIES, 1000):
        features = rng.standard_normal((1000, dim)).astype(np.float32)
        gallery.enrol(
            [NewEntry(f"p{start + i}", "c", space, row) for i, row in enumerate(features)]
        )
    gallery.close()
    store.close()
    return folder


@pytest.fixture(scope="module")
def ap(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("log") / "ap.jsonl"
    arguments = ["ap", "serve", "--data-dir", str(data), "--grpc", ANY, "--http", ANY]
    with Service(arguments, log) as service:
        warm_up(service.ready["grpc_port"])
        yield service


def warm_up(port: int) -> None:
    """Has everything loaded that an operator's day loads: networks and indexes."""
    out = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (256, 128, 3), np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    image = out.getvalue()
    with GalleryClient(f"127.0.0.1:{port}") as client:
        items = [gallery_pb2.EnrollItem(subject="a", camera="c", image=image, key="k")] * 16
        assert all(ok(result.status) for _, result in client.enrol(items))
        for scheme in ("", "features"):
            assert client.search(gallery_pb2.SearchRequest(image=image, scheme_id=scheme)).subjects


def attack_beside_a_camera(
    ap: Service, name: str, camera: Camera, capsys: pytest.CaptureFixture[str]
) -> None:
    """Attacks an access point; checks the camera's answers, and the memory and the log."""
    grpc_port, http_port = ap.ready["grpc_port"], ap.ready["http_port"]
    with camera:
        camera.watch(2.0)
        quiet_ms, _ = camera.watch(SECONDS)
        before, log = ap.rss_mib(), ap.log_bytes
        with Peak(ap) as peak, attacked(name, grpc_port, http_port):
            attacked_ms, answers = camera.watch(SECONDS)
        grown = ap.log_bytes - log
    with capsys.disabled():
        typer.echo(
            f"\n{name}: p99 {quiet_ms:.1f} ms, attacked {attacked_ms:.1f} ms ({answers} answers); "
            f"memory {before:.0f} MiB, at most {peak.mib:.0f} MiB; log {grown} bytes"
        )
    camera.check()
    assert attacked_ms <= 3 * quiet_ms + 50
    assert peak.mib - before <= MEMORY_MIB
    assert grown < 1 << 20


@pytest.mark.parametrize("name", ATTACKS)
def test_a_camera_is_served_beside_an_attack(
    ap: Service, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    grpc_port, http_port = ap.ready["grpc_port"], ap.ready["http_port"]
    wait_for_room(grpc_port)
    attack_beside_a_camera(ap, name, Camera(grpc_port), capsys)
    url = f"http://127.0.0.1:{http_port}/v2/health/ready"
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.status == 200


def test_a_camera_is_served_beside_half_handshakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path / "authority")
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    cert, key = authority.issue("server", [address])
    arguments = ["ap", "serve", "--data-dir", str(tmp_path / "data"), "--grpc", ANY, "--http", ANY]
    arguments += ["--tls-cert", str(cert), "--tls-key", str(key)]
    shown = ClientCredentials(tls_ca=authority.ca)
    with Service(arguments, tmp_path / "ap.jsonl") as ap:
        port = ap.ready["grpc_port"]
        attack_beside_a_camera(ap, "handshakes", Camera(port, shown), capsys)
        context = ssl.create_default_context(cafile=str(authority.ca))
        url = f"https://127.0.0.1:{ap.ready['http_port']}/v2/health/ready"
        with urllib.request.urlopen(url, timeout=60, context=context) as answer:
            assert answer.status == 200
        with Camera(port, shown) as another:  # a new connection finds its place
            assert another.watch(2.0)[1] > 0


def test_an_edge_reads_no_endless_input(tmp_path: Path) -> None:
    arguments = ["edge", "serve", "--listen", ANY, "--to", "127.0.0.1:1", "--stdin"]
    arguments += ["--edge-id", "cam", "--spool", str(tmp_path / "spool")]
    with (
        Path("/dev/zero").open("rb") as zeros,
        Service(arguments, tmp_path / "edge.jsonl", zeros) as edge,
    ):
        before = edge.rss_mib()
        with Peak(edge) as peak, pytest.raises(subprocess.TimeoutExpired):
            edge.process.wait(SECONDS)
        assert peak.mib - before < 64


def test_an_edge_takes_no_more_crops_than_it_has_room_for(tmp_path: Path) -> None:
    arguments = ["edge", "serve", "--listen", ANY, "--to", "127.0.0.1:1", "--edge-id", "cam"]
    arguments += ["--spool", str(tmp_path / "spool")]
    with Service(arguments, tmp_path / "edge.jsonl") as edge:
        before = edge.rss_mib()
        with Peak(edge) as peak, attacked("crops", edge.ready["grpc_port"], 1):
            time.sleep(SECONDS)
        assert before < peak.mib <= before + MEMORY_MIB


def test_a_camera_is_served_through_a_channel_that_is_attacked(
    ap: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream = f"127.0.0.1:{ap.ready['grpc_port']}"
    arguments = ["channel", "serve", "--listen", ANY, "--upstream", upstream, "--snr", "20"]
    with Service(arguments, tmp_path / "channel.jsonl") as channel:
        port = channel.ready["grpc_port"]
        wait_for_room(ap.ready["grpc_port"])
        with Camera(port) as camera:
            camera.watch(2.0)
            quiet_ms, _ = camera.watch(SECONDS)
            for attack in ("large_messages", "refused_streams"):
                before = channel.rss_mib()
                with Peak(channel) as peak, attacked(attack, port, 1):
                    attacked_ms, answers = camera.watch(SECONDS)
                with capsys.disabled():
                    typer.echo(f"\n{attack}: p99 {quiet_ms:.1f} ms, attacked {attacked_ms:.1f} ms")
                assert answers
                assert attacked_ms <= 3 * quiet_ms + 50
                assert peak.mib - before <= MEMORY_MIB
        camera.check()
