"""The edge as a process, between a folder and a real access point, killed and started again."""

from __future__ import annotations

import json
import logging
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from PIL import Image

from airreid.v1 import edge_pb2, edge_pb2_grpc
from edge import results
from simulation.processes import Role

from .support import AccessPoint, drop_in, picture, served, until

ANY = "127.0.0.1:0"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def airreid(*arguments: object, stdin: str = "", code: int = 0) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "airreid.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=600,
        check=False,
    )
    assert result.returncode == code, result.stderr
    return result.stdout if code == 0 else result.stderr


class Place:
    """An access point, a channel before it and an edge before that, each at a fixed port."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.inbox, self.spool = folder / "in", folder / "spool"
        self.inbox.mkdir(exist_ok=True)
        self.ap_port, self.channel_port, self.edge_port = free_port(), free_port(), free_port()
        self.roles: dict[str, Role] = {}

    def start(self, name: str, *extra: str) -> Role:
        ap, channel = f"127.0.0.1:{self.ap_port}", f"127.0.0.1:{self.channel_port}"
        edge = f"127.0.0.1:{self.edge_port}"
        arguments = {
            "ap": f"ap serve --data-dir {self.folder / 'ap'} --http {ANY} --grpc {ap}",
            "channel": f"channel serve --listen {channel} --upstream {ap}",
            "edge": f"edge serve --watch {self.inbox} --spool {self.spool} --listen {edge} "
            f"--to {channel} --scheme jscc-ae-64 --backoff 0.5",
        }[name].split()
        self.roles[name] = self._stack.enter_context(Role(name, [*arguments, *extra]))
        return self.roles[name]

    def kill(self, name: str) -> None:
        process = self.roles[name].process
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL

    def log(self) -> list[dict[str, object]]:
        return list(results.read(self.spool))

    def files(self) -> list[Path]:
        return [path for path in self.inbox.iterdir() if path.is_file()]

    def settled(self) -> bool:
        return not self.files() and all(row["state"] == "answered" for row in self.log())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(tmp_path, stack)


class Load:
    """Files that keep appearing, and crops over gRPC that are left with the edge."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.dropped: set[str] = set()
        self.acknowledged: set[str] = set()
        self.offered: set[str] = set()
        self.stop = threading.Event()
        self._threads = [threading.Thread(target=feed) for feed in (self._files, self._crops)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def _files(self) -> None:
        number = 0
        while not self.stop.wait(0.1):
            if len(self.place.files()) < 6:
                name = f"t{number % 5}__{number:06}.png"
                drop_in(self.place.inbox, name, picture(number % 7))
                self.dropped.add(name)
                number += 1

    def _crops(self) -> None:
        while not self.stop.is_set():
            with grpc.insecure_channel(f"127.0.0.1:{self.place.edge_port}") as channel:
                stub = edge_pb2_grpc.EdgeServiceStub(channel)
                try:
                    for response in stub.Identify(self._requests(), timeout=30):
                        assert response.id.sequence
                        self.acknowledged.add(response.name)
                except grpc.RpcError:
                    self.stop.wait(0.1)

    def _requests(self) -> Iterator[edge_pb2.IdentifyRequest]:
        while not self.stop.wait(0.3):
            name = f"crop-{len(self.offered)}"
            self.offered.add(name)
            yield edge_pb2.IdentifyRequest(name=name, image=picture(3), accept_only=True)


def keep_killing(place: Place, rounds: int, victims: Callable[[int], str]) -> None:
    """Kills and restarts under load, then holds the log against what was handed over."""
    rng = random.Random(rounds)
    for name in ("ap", "channel", "edge"):
        place.start(name)
    load = Load(place)
    try:
        for number in range(rounds):
            time.sleep(rng.uniform(0.2, 2.0))
            victim = victims(number)
            place.kill(victim)
            place.start(victim)
    finally:
        load.end()
    until(place.settled, 120)
    rows = place.log()
    counts = Counter(row["name"] for row in rows)
    assert max(counts.values()) == 1, [name for name, count in counts.items() if count > 1]
    assert load.dropped | load.acknowledged <= set(counts)
    assert set(counts) <= load.dropped | load.offered
    assert {path.name for path in (place.inbox / "done").iterdir()} == load.dropped
    assert list((place.inbox / "rejected").iterdir()) == []
    assert {row["code"] for row in rows} == {"ok"}
    assert [row["sequence"] for row in rows] == sorted({row["sequence"] for row in rows})
    for row in rows:
        assert row["track_id"] == (
            str(row["name"]).partition("__")[0] if row["source"] == "watch" else ""
        )
    sent_again = sum(1 for row in rows if row["sends"] != 1)
    counted = f"{rounds} kills, {len(rows)} frames, {len(load.acknowledged)} acknowledged by gRPC"
    logging.getLogger(__name__).info("%s, %d sent again", counted, sent_again)


def test_killing_the_edge_loses_and_doubles_nothing(place: Place) -> None:
    keep_killing(place, 3, lambda number: "edge")


@pytest.mark.slow
def test_killing_the_edge_fifty_times(place: Place) -> None:
    keep_killing(place, 50, lambda number: "edge")


@pytest.mark.slow
def test_killing_every_role_in_turn(place: Place) -> None:
    keep_killing(place, 50, lambda number: ("edge", "channel", "ap", "edge")[number % 4])


def test_what_waits_over_an_end_is_answered_after_the_next_start(place: Place) -> None:
    for number in range(6):
        drop_in(place.inbox, f"{number}.png", picture(number))
    edge = place.start("edge", "--drain", "0.5")
    until(lambda: not place.files(), 60)
    edge.process.terminate()
    assert edge.process.wait(20) == 0
    assert [row["state"] for row in place.log()] == ["waiting"] * 6
    place.start("ap")
    place.start("channel")
    assert place.start("edge").ready["waiting"] == 6
    until(place.settled, 60)
    assert len(place.log()) == 6


def test_a_killed_edge_keeps_what_an_access_point_of_another_bundle_refuses(place: Place) -> None:
    far, to = AccessPoint(), f"127.0.0.1:{place.ap_port}"
    far.bundle_id = "another"
    for number in range(3):
        drop_in(place.inbox, f"{number}.png", picture(number))
    with served(far, place.ap_port):
        place.start("edge", "--to", to)
        until(lambda: len(far.seen) > 6, 60)
        status = airreid("edge", "status", "--to", f"127.0.0.1:{place.edge_port}")
        assert "3 waiting; refused: wrong_bundle: bundle" in status
        place.kill("edge")
        assert [row["state"] for row in place.log()] == ["waiting"] * 3
        assert place.start("edge", "--to", to).ready["waiting"] == 3
        far.bundle_id = ""
        until(place.settled, 60)
    assert [row["code"] for row in place.log()] == ["ok"] * 3


def test_stale_frames_are_dropped_and_in_the_log(place: Place) -> None:
    drop_in(place.inbox, "old.png", picture(1))
    place.start("edge", "--deadline", "0.1")
    until(lambda: place.spool.exists() and [r["state"] for r in place.log()] == ["dropped"], 60)
    [row] = place.log()
    assert row["message"] == "older than the deadline of 0.1 s"
    assert "dropped" in airreid("edge", "log", "--spool", place.spool)


def test_paths_from_standard_input(place: Place) -> None:
    place.start("ap")
    paths = []
    for number in range(5):
        path = place.folder / f"t__{number}.png"
        path.write_bytes(picture(number))
        paths.append(path)
    lines = "\n".join(
        [*map(str, paths[:3]), "", str(place.folder / "none.png"), *map(str, paths[3:])]
    )
    airreid(
        *("edge", "serve", "--stdin", "--spool", place.spool, "--listen", ANY),
        *("--to", f"127.0.0.1:{place.ap_port}", "--scheme", "jscc-ae-64"),
        stdin=lines,
    )
    rows = [
        json.loads(line)
        for line in airreid("edge", "log", "--spool", place.spool, "--json").splitlines()
    ]
    assert [row["name"] for row in rows] == [path.name for path in paths]
    assert {(row["state"], row["source"], row["track_id"]) for row in rows} == {
        ("answered", "stdin", "t")
    }
    assert all(path.exists() for path in paths)


def test_a_running_edge_is_steered_and_watched(place: Place) -> None:
    place.start("ap")
    place.start("channel", "--snr", "12")
    edge = place.start("edge", "--metrics", ANY, "--symbol-rate", "64e3", "--tx-power-mw", "2")
    address = ("--to", f"127.0.0.1:{place.edge_port}")
    drop_in(place.inbox, "a.png", picture(1))
    drop_in(place.inbox, "bad.png", b"no picture")
    until(lambda: len(place.log()) == 1 and place.settled(), 60)
    assert "jscc-fc-256 analog" in airreid("edge", "set", "--scheme", "jscc-fc-256", *address)
    assert "has no coded link" in airreid("edge", "set", "--link", "coded", *address, code=2)
    assert "nothing to set" in airreid("edge", "set", *address, code=2)
    drop_in(place.inbox, "b.png", picture(2))
    until(lambda: len(place.log()) == 2 and place.settled(), 60)
    first, second = place.log()
    assert (first["scheme_id"], second["scheme_id"]) == ("jscc-ae-64", "jscc-fc-256")
    assert (first["uses"], first["air_ms"], first["energy_uj"]) == (64, 1.0, 2.0)
    assert (second["uses"], second["air_ms"]) == (256, 4.0)
    assert first["snr_db"] == 12.0
    state = json.loads(airreid("edge", "status", "--json", *address))
    assert state["accepted"] == 2
    assert (state["waiting"], state["connected"], state["link"]) == (0, True, "analog")
    until((place.inbox / "rejected" / "bad.png").exists, 30)
    page = f"http://127.0.0.1:{edge.ready['metrics_port']}/metrics"
    with urllib.request.urlopen(page, timeout=10) as answer:
        text = answer.read().decode()
    for line in (
        'airreid_edge_frames_accepted_total{source="watch"} 2.0',
        'airreid_edge_frames_answered_total{code="ok"} 2.0',
        'airreid_edge_frames_rejected_total{source="watch"} 1.0',
        "airreid_edge_spool_depth 0.0",
        "airreid_edge_encode_seconds_count 2.0",
    ):
        assert line in text


def test_what_cannot_be_started_says_so_in_one_line(place: Place, tmp_path: Path) -> None:
    serve = ("edge", "serve", "--listen", ANY)
    watch = (*serve, "--watch", tmp_path / "none", "--spool", place.spool)
    assert "no such folder" in airreid(*watch, code=2)
    assert "--watch and --stdin need --spool" in airreid(*serve, "--stdin", code=2)
    place.start("edge", "--metrics", ANY)
    assert "in use by another edge" in airreid(*serve, "--spool", place.spool, code=2)
    other = ("--watch", place.inbox, "--spool", tmp_path / "other")
    assert "watched by another edge" in airreid(*serve, *other, code=2)
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        assert f"cannot listen on {address}" in airreid(*serve, "--metrics", address, code=2)


def test_send_draws_a_contact_sheet(place: Place) -> None:
    place.start("ap")
    (place.folder / "a.png").write_bytes(picture(1))
    (place.folder / "b.png").write_text("nothing")
    out = place.folder / "sheets" / "run.png"
    send = ("edge", "send", "--to", f"127.0.0.1:{place.ap_port}", "--symbol-rate", "1e6", "--json")
    answers = json.loads(airreid(*send, place.folder / "a.png", "--image-out", out))
    assert answers[0]["air_ms"] == 0.256
    assert answers[0]["energy_uj"] is None
    assert answers[0]["encode_ms"] > 0
    airreid(*send, place.folder / "a.png", place.folder / "b.png", "--image-out", out, code=1)
    with Image.open(out) as sheet:
        assert sheet.size == (2 * 336, 208)
    wrong = airreid(*send, place.folder / "a.png", "--image-out", "run.txt", code=2)
    assert "pictures end in .png" in wrong
