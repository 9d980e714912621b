"""A block that was altered in the spool's file is rejected with a row; all others go."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from airreid.errors import InputError
from airreid.link_report import ReportedLink
from airreid.uplink_client import Uplink
from edge import results
from edge.printing import row_line
from edge.results import Outcome
from edge.spool import Spool
from edge.uplink_stream import UplinkStream
from edge.waiting_blocks import DAMAGED

from .support import AccessPoint, answer, entry, served, until


def flip(folder: Path, sequence: int, place: int, mask: int) -> None:
    """Alters one byte of a waiting block in the file."""
    with closing(sqlite3.connect(folder / "spool.sqlite")) as db, db:
        query = "SELECT block FROM frames WHERE sequence = ?"
        data = bytearray(db.execute(query, (sequence,)).fetchone()[0])
        data[place % len(data)] ^= mask
        db.execute("UPDATE frames SET block = ? WHERE sequence = ?", (bytes(data), sequence))


def test_whichever_byte_is_altered_the_frame_is_rejected_and_the_others_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(3)
    rejected: list[int] = []
    with closing(Spool(tmp_path, "cam")) as spool:
        spool.on_reject(rejected.extend)
        spool.accept([entry(f"{number}.png") for number in range(60)])
        damaged = sorted(rng.sample(range(1, 61), 30))
        for sequence in damaged:
            flip(tmp_path, sequence, rng.randrange(1000), 1 << rng.randrange(8))
        sent = list[int]()
        after = 0
        while blocks := spool.blocks(after, 7):
            after = blocks[-1].id.sequence
            sent += [block.id.sequence for block in blocks]
        assert sent == [number for number in range(1, 61) if number not in damaged]
        assert sorted(rejected) == damaged
        assert spool.waiting == 30
        assert spool.blocks(0, 100)[0].id.sequence == sent[0]
    rows = [row for row in results.read(tmp_path) if row["sequence"] in damaged]
    assert {(row["state"], row["message"]) for row in rows} == {("dropped", DAMAGED)}
    events = [record for record in caplog.records if record.message == "frames_damaged"]
    assert sum(record.fields["count"] for record in events) == 30  # type: ignore[attr-defined]


def test_damage_alone_in_the_spool_holds_nothing_up(tmp_path: Path) -> None:
    far, answered = AccessPoint(), list[Outcome]()
    with closing(Spool(tmp_path, "cam")) as spool, served(far) as to, Uplink(to) as uplink:
        spool.accept([entry(f"{number}.png") for number in range(100)])
        for sequence in range(1, 100):  # all but the last, more than are read at a time
            flip(tmp_path, sequence, 9, 0x10)
        stream = UplinkStream(
            spool,
            Counter(),
            answered.append,
            lambda outcome, news: None,
            0.1,
            random.Random(1),
            ReportedLink(),
        )

        thread = threading.Thread(target=stream.run, args=(uplink, 4, None))
        thread.start()
        until(lambda: len(answered) == 1)
        stream.end()
        thread.join(20)
    assert [outcome.sequence for outcome in answered] == [100]
    assert far.seen


def test_a_broken_page_costs_the_frames_that_are_on_it(tmp_path: Path) -> None:
    """A block of several pages, whose chain is broken while the edge runs."""
    with closing(Spool(tmp_path, "cam")) as spool:
        spool.accept([entry("small.png"), entry("large.png", 8000), entry("last.png")])
        spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        path = tmp_path / "spool.sqlite"
        data = bytearray(path.read_bytes())
        [(block,)] = spool._db.execute("SELECT block FROM frames WHERE sequence = 2").fetchall()
        place = data.index(block[9000:9100]) // 4096 * 4096
        data[place : place + 4] = (2**31 - 9).to_bytes(4, "big")  # the next page is nowhere
        path.write_bytes(data)
        spool._db.execute("PRAGMA shrink_memory")
        spool._db.execute("PRAGMA cache_size = 0")
        blocks = [block.id.sequence for block in spool.blocks(0, 10)]
        assert blocks == [1, 3]


def test_a_spool_of_earlier_code_has_no_digests_and_is_sent(tmp_path: Path) -> None:
    with closing(Spool(tmp_path, "cam")) as spool:
        spool.accept([entry("old.png")])
        spool._db.execute("ALTER TABLE frames DROP COLUMN digest")
    with closing(Spool(tmp_path, "cam")) as spool:
        spool.accept([entry("new.png")])
        assert [block.id.sequence for block in spool.blocks(0, 10)] == [1, 2]
        query = "SELECT digest IS NULL FROM frames ORDER BY sequence"
        assert spool._db.execute(query).fetchall() == [(1,), (0,)]


DAMAGES = [
    "UPDATE frames SET sequence = -5 WHERE sequence = 3",
    "UPDATE frames SET sequence = 0 WHERE sequence = 3",
    "UPDATE frames SET uptime = 9e999, accepted_at = -9e999",
    "UPDATE frames SET accepted_at = 1e300",
    "UPDATE frames SET file_key = CAST(x'ff80' AS TEXT) WHERE sequence = 3",
    "UPDATE frames SET name = CAST(x'ff80' AS TEXT), boot_id = CAST(x'ff80' AS TEXT)",
    "UPDATE frames SET identities = '{}' WHERE sequence = 1",
    "UPDATE frames SET identities = '[{}]' WHERE sequence = 1",
    "UPDATE frames SET identities = '[[' WHERE sequence = 1",
    "UPDATE frames SET identities = NULL WHERE sequence = 1",
    "UPDATE frames SET decision = '[]' WHERE sequence = 1",
    "UPDATE frames SET decision = CAST(x'ff80' AS TEXT) WHERE sequence = 1",
    "UPDATE frames SET code = NULL, total_ms = NULL WHERE sequence = 1",
    "UPDATE frames SET snr_db = 9e999, total_ms = -9e999 WHERE sequence = 1",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_in_any_column_leaves_the_other_frames_and_their_rows(
    tmp_path: Path, damage: str
) -> None:
    with closing(Spool(tmp_path, "cam")) as spool:
        spool.accept([entry(f"{number}.png", file_key=f"key-{number}") for number in range(1, 5)])
        spool.settle([answer(spool, 1)])
    with closing(sqlite3.connect(tmp_path / "spool.sqlite")) as db, db:
        db.execute(damage)
    with closing(Spool(tmp_path, "cam")) as spool:
        assert {2, 4} <= {block.id.sequence for block in spool.blocks(0, 9)}
        assert len(spool.handing_over()) == 4
        assert spool.settled_below() == 2
        assert spool.block_id(spool.settled_below()).sequence == 2
        assert spool.drop_stale(1e12) == []
        assert spool.accept([entry("5.png")]) == [5]
        waiting = [block.id.sequence for block in spool.blocks(0, 9)]
        assert spool.waiting == len(waiting)
        spool.settle([answer(spool, sequence) for sequence in waiting])
        assert spool.waiting == 0
    rows = list(results.read(tmp_path))
    assert len(rows) == 5
    for row in rows:
        json.dumps(row, allow_nan=False)
        row_line(row)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM spool",
        "INSERT INTO spool VALUES ('another', 'cam')",
        "UPDATE spool SET spool_id = printf('%.*c', 300000, 'x')",
        "UPDATE sqlite_sequence SET seq = 'abc'",
        "UPDATE sqlite_sequence SET seq = NULL",
        "UPDATE sqlite_sequence SET seq = 9223372036854775807",
        "UPDATE sqlite_sequence SET seq = 1",
        "UPDATE frames SET sequence = 9223372036854775807 WHERE sequence = 2",
        "CREATE TRIGGER t BEFORE UPDATE ON frames BEGIN SELECT RAISE(ABORT, 'no'); END;"
        "UPDATE sqlite_sequence SET seq = seq",
    ],
)
def test_a_spool_that_cannot_number_frames_is_named(tmp_path: Path, damage: str) -> None:
    with closing(Spool(tmp_path, "cam")) as spool:
        spool.accept([entry("1.png"), entry("2.png")])
    with closing(sqlite3.connect(tmp_path / "spool.sqlite")) as db:
        if "TRIGGER" in damage:
            db.execute("UPDATE frames SET boot_id = 'another'")
            db.commit()
        db.executescript(damage)
    with pytest.raises(InputError, match="or move the file away"):
        Spool(tmp_path, "cam")
