"""A block that was altered in the spool's file is rejected with a row; all others go."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from airreid.link_report import ReportedLink
from airreid.uplink_client import Uplink
from edge import results
from edge.results import Outcome
from edge.spool import Spool
from edge.uplink_stream import UplinkStream
from edge.waiting_blocks import DAMAGED

from .support import AccessPoint, entry, served, until


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
