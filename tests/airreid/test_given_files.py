"""Files that settings and options name: read by one bounded reader, whatever they are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from accesspoint.gallery.milvus.client import read_token
from airreid.bundle import load_bundle
from airreid.channels.traces import read_trace
from airreid.config_file import read_config
from airreid.credentials import ClientCredentials, read_pem
from airreid.digital.coding_tables import load_coding_tables
from airreid.disk import read_given_text
from airreid.errors import AirReidError
from airreid.evaluation.point_files import read_json
from airreid.evaluation.study.page import fill_page
from airreid.gallery_jobs_cli import _read as read_policy
from airreid.inference import Network
from airreid.quantisation.onnx_file import read_graph
from edge.settings import ServeSettings

ROOT = Path(__file__).resolve().parents[2]
READERS: dict[str, Callable[[Path], object]] = {
    "token": lambda path: ClientCredentials(token_file=path),
    "pem": read_pem,
    "policy": read_policy,
    "trace": read_trace,
    "config": lambda path: read_config(path, ServeSettings),
    "milvus": read_token,
    "points": read_json,
    "page": lambda path: fill_page(path, "study", {}),
    "tables": load_coding_tables,
    "graph": lambda path: Network(path, 1),
    "weights": read_graph,
}
WHOLE = re.compile(r"\.read_(?:text|bytes)\(")
OWN = {
    # files of the kernel, and copies of files that have been looked at
    "airreid/bundle_cli.py",  # of a bundle that has been loaded
    "airreid/datasets/readable.py",  # the program's own cache
    "airreid/adopt/pipeline.py",  # the network, which load_network has read
    "edge/clock.py",
    "accesspoint/gallery/store/lease.py",
    "accesspoint/gallery/store/network_filesystem.py",
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge", "loop"])
def test_a_named_file_is_refused_in_a_sentence(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "given"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)  # takes no room, and would not fit into memory
    with pytest.raises(AirReidError) as refused:
        READERS[name](path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_bundle_whose_file_is_huge_is_refused_unread(tmp_path: Path) -> None:
    demo = load_bundle(ROOT / "models" / "demo")
    for file in demo.path.iterdir():
        (tmp_path / file.name).symlink_to(file)
    graph = tmp_path / demo.backbone.file.path
    graph.unlink()
    with graph.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(AirReidError, match="Over 2000000000 bytes"):
        load_bundle(tmp_path)


def test_a_text_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "given"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(AirReidError, match=rf"^{re.escape(str(path))}: not a text file"):
        read_given_text(path, 9)


@pytest.mark.parametrize("package", ["accesspoint", "airreid", "channel_sim", "edge"])
def test_no_file_is_read_without_a_bound(package: str) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        name = str(path.relative_to(ROOT))
        whole = WHOLE.findall(path.read_text(encoding="utf-8"))
        assert not whole or name in OWN, f"{name}: {whole}; use airreid.disk.read_given"
