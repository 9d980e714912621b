"""The spool: what is accepted is there once, whatever happens to the process or the disk."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from airreid.errors import InputError
from edge import clock, results
from edge.frames import SpoolDiskError, SpoolFullError
from edge.spool import Spool

from .support import answer, entry


def names(spool: Spool) -> list[str]:
    rows = spool._db.execute("SELECT name FROM frames ORDER BY sequence").fetchall()
    return [row[0] for row in rows]


def test_numbers_only_grow_over_restarts(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "cam")
    first_id = spool.spool_id
    assert spool.accept([entry("a"), entry("b")]) == [1, 2]
    spool.settle([answer(spool, 1), answer(spool, 2)])
    assert spool.prune(keep=0) == 2
    spool.close()
    spool = Spool(tmp_path, "cam")
    assert spool.spool_id == first_id
    assert spool.accept([entry("c")]) == [3]
    [block] = spool.blocks(0, 10)
    assert (block.id.edge_id, block.id.spool_id, block.id.sequence) == ("cam", first_id, 3)
    assert block.analog.symbols == entry("c").block.analog.symbols
    assert spool.accepted == 3
    spool.close()


def test_the_first_answer_wins(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "cam")
    spool.accept([entry("a"), entry("b")])
    assert len(spool.settle([answer(spool, 1, "alice"), answer(spool, 1, "bob")])) == 1
    assert spool.settle([answer(spool, 1, "carol"), answer(spool, 77)]) == []
    assert spool.waiting == 1
    assert [block.id.sequence for block in spool.blocks(0, 9)] == [2]
    spool.close()
    first, second = results.read(tmp_path)
    assert [match["subject"] for match in first["identities"]] == ["alice"]
    assert (first["state"], second["state"]) == ("answered", "waiting")
    assert first["encode_ms"] == 1.5
    assert first["code"] == "ok"
    assert [row["name"] for row in results.read(tmp_path, last=1)] == ["b"]
    assert [row["name"] for row in results.read(tmp_path, "answered")] == ["a"]


def test_pruning_leaves_what_waits_and_what_is_newest(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "cam")
    spool.accept([entry(str(i)) for i in range(10)])
    spool.settle([answer(spool, i) for i in (1, 3, 4, 9)])
    assert spool.prune(keep=5) == 3
    assert names(spool) == ["1", "4", "5", "6", "7", "8", "9"]
    spool.close()


def test_a_full_spool_takes_all_or_nothing() -> None:
    spool = Spool(None, "cam", capacity=3)
    spool.accept([entry("a"), entry("b")])
    with pytest.raises(SpoolFullError, match="2 blocks wait"):
        spool.accept([entry("c"), entry("d")])
    assert names(spool) == ["a", "b"]
    spool.settle([answer(spool, 1)])
    spool.accept([entry("c"), entry("d")])
    assert spool.room == 0
    spool.close()


def test_a_full_disk_takes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "cam")
    pages = spool._db.execute("PRAGMA page_count").fetchone()[0]
    spool._db.execute(f"PRAGMA max_page_count = {pages + 3}")
    accepted: list[int] = []
    with pytest.raises(SpoolDiskError, match=r"disk is full.*make room"):  # noqa: PT012
        for number in range(1000):
            accepted += spool.accept([entry(f"f{number}", 256)])
    assert accepted
    assert spool.waiting == len(accepted) == len(names(spool))
    spool._db.execute("PRAGMA max_page_count = 100000")
    assert spool.accept([entry("more")]) == [accepted[-1] + 1]
    spool.close()


def test_the_last_of_the_disk_is_kept_for_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, "cam")
    spool.accept([entry("a")])
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=5 << 20))
    with pytest.raises(SpoolDiskError, match=r"5120 KiB are free .* make room"):
        spool.accept([entry("b")])
    assert len(spool.settle([answer(spool, 1)])) == 1
    monkeypatch.undo()
    assert spool.accept([entry("b")]) == [2]
    spool.close()


def test_ages_do_not_follow_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = clock.Moment(wall=1000.0, boot_id="b", uptime=50.0)
    monkeypatch.setattr(clock, "now", lambda: moment)
    spool = Spool(None, "cam")
    spool.accept([entry("a")])
    moment = clock.Moment(wall=9e9, boot_id="b", uptime=55.0)
    assert spool.drop_stale(10.0) == []
    spool.accept([entry("b")])
    moment = clock.Moment(wall=-9e9, boot_id="b", uptime=61.0)
    assert spool.drop_stale(10.0) == [1]
    assert spool.waiting == 1
    spool.settle([answer(spool, 1)])
    row = spool._db.execute("SELECT state, total_ms, message, block FROM frames").fetchone()
    assert row == ("dropped", 11_000.0, "older than the deadline of 10 s", None)
    spool.close()


@pytest.mark.parametrize(("wall", "stale"), [(1020.0, [1]), (1005.0, []), (3.0, [])])
def test_over_a_reboot_the_wall_clock_counts_if_it_went_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wall: float, stale: list[int]
) -> None:
    moment = clock.Moment(wall=1000.0, boot_id="before", uptime=5000.0)
    monkeypatch.setattr(clock, "now", lambda: moment)
    spool = Spool(tmp_path, "cam")
    spool.accept([entry("a")])
    spool.close()
    moment = clock.Moment(wall=wall, boot_id="after", uptime=2.0)
    spool = Spool(tmp_path, "cam")
    assert spool.drop_stale(10.0) == stale
    spool.close()


def test_mistakes_get_one_line(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a", "cam")
    with pytest.raises(InputError, match="in use by another edge"):
        Spool(tmp_path / "a", "cam")
    spool.close()
    with pytest.raises(InputError, match="the spool of edge 'cam', not 'other'"):
        Spool(tmp_path / "a", "other")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "spool.sqlite").write_bytes(b"nonsense " * 1000)
    with pytest.raises(InputError, match="cannot be used as a spool"):
        Spool(tmp_path / "b", "cam")
    (tmp_path / "c").write_text("a file")
    with pytest.raises(InputError, match="cannot be used as a spool"):
        Spool(tmp_path / "c", "cam")
    with pytest.raises(InputError, match="no spool here"):
        list(results.read(tmp_path))
    with pytest.raises(InputError, match="cannot be read as a spool"):
        list(results.read(tmp_path / "b"))


def test_a_damaged_page_is_noticed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "cam")
    spool.accept([entry(str(i), 256) for i in range(60)])
    spool.close()
    path = tmp_path / "spool.sqlite"
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 6] = bytes(4096 * 3)
    path.write_bytes(data)
    with pytest.raises(InputError, match="cannot be used as a spool"):
        Spool(tmp_path, "cam")


def test_a_power_cut_leaves_a_whole_prefix(tmp_path: Path) -> None:
    """The write-ahead log cut at many places: what is left is the frames up to some moment."""
    source = tmp_path / "source"
    spool = Spool(source, "cam")
    spool.accept([entry("base")])
    spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    states = [names(spool)]
    for number in range(6):
        spool.accept([entry(f"n{number}"), entry(f"m{number}")])
        states.append(names(spool))
    spool.settle([answer(spool, 1)])
    wal = (source / "spool.sqlite-wal").read_bytes()
    main = (source / "spool.sqlite").read_bytes()
    spool.close()
    rng = random.Random(5)
    last = len(wal) - 4120  # the last page that was written, header included
    cuts = [0, 1, 31, 32, *rng.sample(range(len(wal)), 60), *range(last, len(wal) + 1, 97)]
    lengths = set()
    for cut in cuts:
        copy = tmp_path / f"copy-{cut}"
        copy.mkdir()
        (copy / "spool.sqlite").write_bytes(main)
        (copy / "spool.sqlite-wal").write_bytes(wal[:cut])
        spool = Spool(copy, "cam")
        left = names(spool)
        assert left in states
        lengths.add(len(left))
        blocks = {block.id.sequence: block for block in spool.blocks(0, 100)}
        assert len(blocks) == spool.waiting
        for sequence, block in blocks.items():
            assert block.analog == entry(left[sequence - 1]).block.analog
        spool.close()
        shutil.rmtree(copy)
    assert len(lengths) > 3


WRITER = """
    import sys
    from pathlib import Path
    from edge.spool import Spool
    sys.path.insert(0, {tests!r})
    from support import answer, entry
    spool = Spool(Path({folder!r}), "cam")
    number = spool.accepted
    for block in spool.blocks(0, 1000):
        spool.settle([answer(spool, block.id.sequence)])
    while True:
        print("trying", number + 1, flush=True)
        number = spool.accept([entry(f"n{{number + 1}}")])[0]
        print("accepted", number, flush=True)
        if number % 3 == 0:
            spool.settle([answer(spool, number)])
            print("answered", number, flush=True)
"""


def test_a_kill_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    code = textwrap.dedent(WRITER).format(
        tests=str(Path(__file__).parent), folder=str(tmp_path / "spool")
    )
    rng, reported = random.Random(9), {"accepted": set(), "answered": set(), "trying": set()}
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for count, line in enumerate(process.stdout):
            if count > 20 and rng.random() < 0.05:
                process.send_signal(signal.SIGKILL)
            what, number = line.split()
            reported[what].add(int(number))
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
    spool = Spool(tmp_path / "spool", "cam")
    rows = spool._db.execute("SELECT sequence, name, state FROM frames").fetchall()
    spool.close()
    assert len({name for _, name, _ in rows}) == len(rows)
    assert all(name == f"n{sequence}" for sequence, name, _ in rows)
    numbers = {sequence for sequence, _, _ in rows}
    assert reported["accepted"] <= numbers <= reported["trying"]
    assert reported["answered"] <= {sequence for sequence, _, state in rows if state == "answered"}


def test_a_log_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "cam")
    spool.accept([entry("a")])
    assert len(list(results.read(tmp_path))) == 1
    spool.accept([entry("b")])
    assert len(list(results.read(tmp_path))) == 2
    spool.close()
    assert len(list(results.read(tmp_path))) == 2


def test_a_file_key_is_in_one_row_at_a_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "cam")
    spool.accept([entry("a", file_key="k")])
    assert spool.handing_over() == {"k": 1}
    with pytest.raises(SpoolDiskError):
        spool.accept([entry("a", file_key="k")])
    spool.handed_over([1])
    assert spool.handing_over() == {}
    spool.accept([entry("a", file_key="k")])
    spool.close()
    with pytest.raises(sqlite3.ProgrammingError):
        spool.blocks(0, 1)


def test_a_spool_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        spool = Spool(tmp_path / "new" / "spool", "cam-1")
        spool.accept([entry()])
        files = list((tmp_path / "new").rglob("*"))
        assert {path.name for path in files} >= {"spool", "spool.sqlite-wal", "spool.lock"}
        assert {path.stat().st_mode & 0o077 for path in files} == {0}
        spool.close()
    finally:
        os.umask(before)
