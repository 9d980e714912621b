"""Readers of what comes from outside, each as a function of bytes, and inputs to begin with.

A target returns, or raises the one kind of error that its callers handle; anything else is a find.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from PIL import Image

from accesspoint.api import messages
from accesspoint.api.patient_json import parse_json
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.maintenance.archive_format import ArchiveManifest
from accesspoint.gallery.maintenance.archive_reader import read_archive
from accesspoint.gallery.store.store import Store
from accesspoint.receiver import requests
from airreid import images
from airreid.bundle import Bundle, default_bundle_path, load_bundle
from airreid.channels import messages as channel_messages
from airreid.channels.traces import read_trace
from airreid.errors import AirReidError
from airreid.payload import get
from airreid.scheme_kinds import open_scheme
from airreid.v1 import channel_pb2, gallery_pb2, uplink_pb2
from edge.waiting_blocks import block_digest, read_block

from .attacks import block

DIM = 16
_PARTED = b"\xff\xfe"
"""Bytes between the members of an archive that is made of a case."""
Run = Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """A reader under test."""

    open: Callable[[Path], Run]
    """Makes the function of a folder that it may use."""
    seeds: Callable[[], Sequence[bytes]]
    cases: int
    """Cases of a whole run, in the slow suite: a million in all targets."""
    max_bytes: int = 4096


# Images


def _images(folder: Path) -> Run:
    def run(data: bytes) -> None:
        with contextlib.suppress(AirReidError):
            image = images.decode(data, "case")
            assert images.to_crop(image).shape == (256, 128, 3)

    return run


def _image_seeds() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 3), np.uint8)
    seeds = []
    for mode in ("RGB", "L", "P", "1", "RGBA"):
        image = Image.fromarray(pixels).convert(mode)
        for kind, options in (
            ("PNG", {}),
            ("BMP", {}),
            ("WEBP", {"lossless": True}),
            ("GIF", {}),
            ("TIFF", {"compression": "tiff_deflate"}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("TIFF", {}),
            ("AVIF", {"quality": 30}),
            ("JPEG", {"progressive": True}),
            ("JPEG", {"quality": 50, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
        ):
            out = io.BytesIO()
            with contextlib.suppress(OSError, KeyError):  # no such mode, or not in this Pillow
                image.save(out, kind, **options)  # type: ignore[arg-type]
                seeds.append(out.getvalue())
    return seeds


# Archives


def archive(parts: Sequence[bytes]) -> bytes:
    """Makes an archive of subjects, entries, features and thumbnails, with the right digests."""
    names = ("subjects-00000.jsonl", "entries-00000.jsonl", "features-00000.f32")
    members = dict(zip((*names, "thumbnails-00000.bin"), parts, strict=False))
    listed = [
        {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in members.items()
    ]
    manifest = {"space_id": "s", "feature_dim": DIM, "subjects": 1, "entries": 1}
    checked = ArchiveManifest.model_validate({**manifest, "members": listed})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        file.writestr("manifest.json", checked.model_dump_json())
        for name, data in members.items():
            file.writestr(name, data)
    return out.getvalue()


def _archives(folder: Path) -> Run:
    bundle = load_bundle(default_bundle_path())
    backbone = bundle.backbone.model_copy(update={"space_id": "s", "feature_dim": DIM})
    manifest = bundle.manifest.model_copy(update={"backbones": (backbone,), "schemes": ()})
    gallery = Gallery(Store(folder / "gallery.sqlite"), Bundle(bundle.path, manifest, "t"), 1)
    gallery.wait_ready()
    gallery._background.close()  # nobody closes what is fuzzed
    path = folder / "case.zip"

    def run(data: bytes) -> None:
        whole = data[1:] if data[:1] < b"\x80" else archive(data[1:].split(_PARTED, 3))
        path.write_bytes(whole)
        with contextlib.suppress(AirReidError):
            read_archive(path, gallery, "replace", lambda done, total: None)

    return run


def _archive_seeds() -> list[bytes]:
    rng = np.random.default_rng(1)
    feature = rng.standard_normal(DIM).astype("<f4").tobytes()
    parts = [
        b'{"id":"a","display_name":"A","note":"n","expires_at":null}\n',
        b'{"subject":"a","camera":"c","captured_at":1.5,"quality":0.5,"key":"k","thumbnail":3}\n',
        feature,
        b"\xff\xd8\xff",
    ]
    return [b"\x00" + archive(parts), b"\x80" + _PARTED.join(parts), b"\x80" + _PARTED * 3]


# Spool records and protobufs


def _spool(folder: Path) -> Run:
    def run(data: bytes) -> None:
        request = read_block((1, data, None))
        assert read_block((1, data, block_digest(data) ^ 1)) is None
        if request is not None:
            request.id.sequence = 1
            assert read_block((1, request.SerializeToString(), None)) is not None

    return run


def _request_seeds() -> list[bytes]:
    plain = block(1, "edge")
    rich = block(2, "edge", track_id="t", truth="p", settled_below=3)
    rich.channel.model, rich.channel.snr_db = "rayleigh", 3.0
    rich.captured_at.seconds = 1_700_000_000
    ideal = uplink_pb2.QueryRequest(scheme_id="digital-64")
    ideal.ideal.bits, ideal.ideal.bit_count, ideal.ideal.uses = b"\xaa" * 8, 60, 64
    coded = uplink_pb2.QueryRequest(scheme_id="digital-64")
    coded.coded.symbols, coded.coded.size_index = bytes(256), 1
    pieces = uplink_pb2.QueryRequest(scheme_id="jscc-nested-64")
    pieces.analog.symbols, pieces.analog.piece_uses = bytes(128), 32
    coded_pieces = uplink_pb2.QueryRequest(scheme_id="digital-64", more_available=True)
    coded_pieces.coded.symbols, coded_pieces.coded.piece_uses = bytes(128), 32
    seeds = (plain, rich, ideal, coded, pieces, coded_pieces)
    return [request.SerializeToString() for request in seeds]


def _requests(folder: Path) -> Run:
    def run(data: bytes) -> None:
        with contextlib.suppress(AirReidError):
            request = requests.parse(data)
            assert requests.cost(request) >= 1
            requests.fingerprint(request)
            if requests.wrong_id(request) or requests.wrong_field(request):
                return
            requests.age_ms_of(request)
            get(request, 64)

    return run


def _gallery_messages(folder: Path) -> Run:
    def run(data: bytes) -> None:
        with contextlib.suppress(AirReidError):
            enrol = wire_message(gallery_pb2.EnrollRequest, data)
            for item in enrol.items[:4]:
                messages.candidate(item)
            link = wire_message(channel_pb2.LinkSettings, data)
            channel_messages.changes(link)

    return run


def wire_message(kind: Any, data: bytes) -> Any:
    """Parses a message as gRPC does before a method sees it; an empty one if it is none."""
    try:
        return kind.FromString(data)
    except DecodeError:
        return kind()


def _gallery_seeds() -> list[bytes]:
    item = gallery_pb2.EnrollItem(subject="a", camera="c", key="k", image=b"\xff\xd8")
    item.captured_at.seconds = 1_700_000_000
    enrol = gallery_pb2.EnrollRequest(items=[item, item])
    link = channel_pb2.LinkSettings(model="rician", snr_db=3.0)
    return [enrol.SerializeToString(), link.SerializeToString()]


# Bundles, traces, JSON


@functools.cache
def _bundle_parts() -> tuple[bytes, dict[str, bytes]]:
    """Returns the manifest of a bundle of one digital scheme, and its files."""
    bundle = load_bundle(default_bundle_path())
    info = bundle.scheme("digital-64")
    manifest = json.loads(bundle.manifest.model_dump_json())
    manifest["schemes"] = [json.loads(info.model_dump_json())]
    tiny = b"no network"
    for backbone in manifest["backbones"]:
        backbone["file"] = {"path": "b.bin", "sha256": hashlib.sha256(tiny).hexdigest()}
    files = {ref.path: bundle.read(ref) for ref in info.files} | {"b.bin": tiny}
    return json.dumps(manifest).encode(), files


def _bundles(folder: Path) -> Run:
    whole, files = _bundle_parts()
    for name, data in files.items():
        (folder / name).write_bytes(data)

    def run(data: bytes) -> None:
        (folder / "manifest.json").write_bytes(data)
        with contextlib.suppress(AirReidError):
            bundle = load_bundle(folder)
            for scheme_id in bundle.scheme_ids:
                if data != whole:
                    open_scheme(bundle, bundle.scheme(scheme_id), 1)

    return run


def _traces(folder: Path) -> Run:
    path = folder / "trace.csv"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(AirReidError):
            trace = read_trace(path)
            assert np.isfinite(trace.at(np.array([0, 1, 2**63 - 1], np.uint64))).all()

    return run


def _json(folder: Path) -> Run:
    def parsed(parse: Callable[[bytes], object], data: bytes) -> str:
        try:
            return repr(parse(data))
        except (json.JSONDecodeError, UnicodeDecodeError):
            return "refused"
        except ValueError:
            return "a number of too many digits"

    def run(data: bytes) -> None:
        if data.count(b"[") + data.count(b"{") < 60:
            assert parsed(parse_json, data) == parsed(lambda data: json.loads(data.decode()), data)

    return run


TARGETS = {
    "images": Target(_images, _image_seeds, 100_000),
    "archives": Target(_archives, _archive_seeds, 20_000),
    "spool": Target(_spool, _request_seeds, 250_000, 1024),
    "requests": Target(_requests, _request_seeds, 250_000, 1024),
    "gallery_messages": Target(_gallery_messages, _gallery_seeds, 200_000, 1024),
    "bundles": Target(_bundles, lambda: [_bundle_parts()[0]], 10_000, 16_384),
    "traces": Target(
        _traces,
        lambda: [b"block,snr_db\n0,1\n5,-3.5\n", b"# c\nsnr_db\n1\n2e0\n", b"\xef\xbb\xbf1\n\n-2"],
        100_000,
        256,
    ),
    "json": Target(
        _json,
        lambda: [b'{"a": [1, 2.5, -1e3, null, true, "\\u00e9\\ud83d\\ude00\\n"], "b": {}}'],
        120_000,
        512,
    ),
}


def prepared(name: str) -> tuple[Target, Run, tempfile.TemporaryDirectory[str]]:
    """Opens a target in a folder of its own, in memory where there is such a place."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() else None
    folder = tempfile.TemporaryDirectory(prefix="airreid-fuzz-", dir=parent)
    target = TARGETS[name]
    return target, target.open(Path(folder.name)), folder
