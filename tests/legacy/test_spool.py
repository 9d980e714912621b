"""A spool written before is read, and what waits in it is sent and answered."""

from __future__ import annotations

import json
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from airreid.v1 import uplink_pb2
from edge.spool import Spool
from simulation.processes import Role

from .support import ANY_PORT, FILES, airreid, assert_as_recorded


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FILES / "spool", tmp_path / "spool"))


def log_rows(folder: Path, *options: str) -> list[dict[str, Any]]:
    """The result log as ``airreid edge log`` prints it."""
    lines = airreid("edge", "log", "--spool", folder, "--json", *options).splitlines()
    return [json.loads(line) for line in lines]


def assert_log(rows: list[dict[str, Any]], recorded: list[dict[str, Any]]) -> None:
    """Asserts that rows are as recorded; times were in ISO 8601 then, cut to milliseconds."""
    assert len(rows) == len(recorded)
    for row, old in zip(rows, recorded, strict=True):
        for key in {"accepted_at", "settled_at"} & old.keys():
            if old[key] is None:
                assert row[key] is None
            else:
                written = datetime.fromisoformat(old[key]).timestamp()
                assert row[key] == pytest.approx(written, abs=0.0011)
        assert_as_recorded(
            row, {key: old[key] for key in old.keys() - {"accepted_at", "settled_at"}}
        )


def test_its_log_is_as_it_was(folder: Path, expected: dict[str, Any]) -> None:
    recorded = expected["spool"]["log"]
    assert [row["state"] for row in recorded] == [*["answered"] * 2, "dropped", *["waiting"] * 4]
    assert_log(log_rows(folder), recorded)
    assert_log(log_rows(folder, "--state", "dropped"), recorded[2:3])
    assert_log(log_rows(folder, "--last", "2"), recorded[-2:])


def test_what_waits_in_it_is_as_it_was(folder: Path, expected: dict[str, Any]) -> None:
    recorded = expected["spool"]
    spool = Spool(folder, "cam-legacy")
    blocks = spool.blocks(0, 100)
    assert [block.id.sequence for block in blocks] == recorded["waiting"]
    before = [uplink_pb2.QueryRequest.FromString(bytes.fromhex(h)) for h in recorded["blocks"]]
    assert blocks == before
    assert {block.WhichOneof("payload") for block in blocks} == {"analog", "coded", "ideal"}
    assert (spool.spool_id, spool.accepted) == (recorded["spool_id"], recorded["accepted"])
    assert (spool.waiting, spool.settled_below()) == (4, recorded["settled_below"])
    assert spool.handing_over() == recorded["handing_over"]
    spool.close()


def test_what_waits_in_it_is_sent_and_answered_as_it_was(
    folder: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    """By today's edge, from that spool, with that token, to that gallery."""
    data = shutil.copytree(FILES / "data", tmp_path / "data")
    token = tmp_path / "token"
    token.write_text(expected["tokens"]["camera"])
    bundle = ["--bundle", str(FILES / "bundle")]
    ap = ["ap", "serve", "--data-dir", str(data), "--grpc", ANY_PORT, "--http", ANY_PORT]
    edge = ["edge", "serve", "--listen", ANY_PORT, "--spool", str(folder), "--token-file"]
    edge += [str(token), "--edge-id", "cam-legacy", "--scheme", "jscc-ae-24", *bundle]
    with Role("access point", [*ap, *bundle, "--require-token"]) as access_point:
        to = f"127.0.0.1:{access_point.ready['grpc_port']}"
        with Role("edge", [*edge, "--to", to]) as role:
            assert role.ready["waiting"] + len(log_rows(folder, "--state", "answered")) >= 4
            until = time.monotonic() + 60
            while log_rows(folder, "--state", "waiting"):
                assert time.monotonic() < until, "not answered"
                time.sleep(0.05)
    rows = log_rows(folder)
    measured = {"settled_at", "total_ms", "link_ms"}
    recorded = [
        {key: value for key, value in row.items() if row["sequence"] < 4 or key not in measured}
        for row in expected["answers"]
    ]
    for row in recorded:
        if row["sequence"] >= 4 and row["scheme_id"] != "jscc-ae-24":
            assert row["message"] == ""  # an access point says today why it does not decide
            row["message"] = f"calibrated for jscc-ae-24, this was {row['scheme_id']}"
    assert_log(rows, recorded)
