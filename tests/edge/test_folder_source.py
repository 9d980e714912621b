"""A watched folder: every file becomes one frame or is rejected with a reason."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from PIL import Image

from airreid.bundle import Bundle
from airreid.errors import InputError
from edge.crash_counter import CrashCounter
from edge.folder_source import FolderSource, PauseReason, file_key, is_ours
from edge.metrics import Metrics
from edge.settings import WatchSettings
from edge.spool import Spool

from ..wrong_files import KINDS, LEFTOVER
from .support import Quick, answer, drop_in, entry, picture, pipeline_on, until


@pytest.fixture(scope="module")
def encoder(bundle: Bundle) -> Quick:
    return Quick(bundle)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.mkdir()
    return path


@contextmanager
def watching(
    encoder: Quick, spool: Spool, folder: Path, **settings: object
) -> Iterator[FolderSource]:
    chosen = WatchSettings.model_validate(
        {"folder": folder, "poll_seconds": 0.02, "settle_seconds": 0.2, **settings}
    )
    with pipeline_on(encoder, spool) as pipeline:
        source = FolderSource(chosen, pipeline, spool, Metrics())
        source.start()
        try:
            yield source
        finally:
            source.stop()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def names(spool: Spool) -> list[str]:
    return [row[0] for row in spool._db.execute("SELECT name FROM frames ORDER BY sequence")]


def test_files_become_frames_and_move(encoder: Quick, folder: Path) -> None:
    spool = Spool(None, "cam")
    with watching(encoder, spool, folder):
        for i in range(20):
            drop_in(folder, f"track-{i % 2}__{i}.png", picture(i))
        until(lambda: not left(folder))
    assert sorted(names(spool)) == sorted(f"track-{i % 2}__{i}.png" for i in range(20))
    assert {block.track_id for block in spool.blocks(0, 99)} == {"track-0", "track-1"}
    assert len(left(folder / "done")) == 20
    assert spool.handing_over() == {}
    spool.close()


def test_every_file_of_the_folder_is_taken_or_rejected_but_for_partial_ones(
    encoder: Quick, folder: Path
) -> None:
    spool = Spool(None, "cam")
    partial = [".a.png", "b.png.part", "c.png.tmp", "d.jpg~", "._h.jpg", "Thumbs.db", "i.FILEPART"]
    for name in partial:
        assert not is_ours(name)
        (folder / name).write_bytes(picture())
    (folder / "folder.png").mkdir()
    with watching(encoder, spool, folder):
        drop_in(folder, "g.PNG", picture(1))
        drop_in(folder, "f", picture(2))
        drop_in(folder, "j.tif", picture(3))
        drop_in(folder, "e.txt", b"people of today")
        drop_in(folder, "k.pdf", b"%PDF-1.7")
        (folder / "link.png").symlink_to(folder / ".a.png")
        until(lambda: left(folder) == sorted([*partial, "link.png"]))
    assert sorted(names(spool)) == ["f", "g.PNG", "j.tif"]
    assert "a PDF document" in (folder / "rejected" / "k.pdf.reason").read_text()
    assert sorted(left(folder / "rejected")) == [
        "e.txt",
        "e.txt.reason",
        "k.pdf",
        "k.pdf.reason",
    ]
    spool.close()


def _logged(caplog: pytest.LogCaptureFixture, name: str) -> int:
    """How often the log has named a file."""
    return sum(getattr(record, "fields", {}).get("file") == name for record in caplog.records)


@pytest.mark.parametrize("kind", KINDS)
def test_one_wrong_file_is_named_and_the_others_are_taken_in_their_order(
    encoder: Quick, folder: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(None, "cam")
    for number in range(12):
        (folder / f"{number:02d}.png").write_bytes(picture(number))
        os.utime(folder / f"{number:02d}.png", (number + 1, number + 1))
    name, put = KINDS[kind]
    put(folder / name)
    with watching(encoder, spool, folder):
        until(lambda: len(names(spool)) == 12)
        if kind == LEFTOVER:
            until(lambda: left(folder) == [name])
        else:
            until(lambda: (folder / "rejected" / name).exists() or _logged(caplog, name))
    assert names(spool) == [f"{number:02d}.png" for number in range(12)]
    spool.close()


def test_a_link_or_a_folder_is_named_once(
    encoder: Quick, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(None, "cam")
    (folder / "album").mkdir()
    (folder / "link.png").symlink_to(folder / "nowhere")
    (folder / ".hidden").mkdir()
    with watching(encoder, spool, folder):
        for number in range(3):  # each is seen by two scans more
            drop_in(folder, f"{number}.png", picture(number))
            until(lambda: len(names(spool)) == number + 1)  # noqa: B023
    assert [_logged(caplog, name) for name in ("album", "link.png", ".hidden")] == [1, 1, 0]
    spool.close()


def test_a_file_that_grows_is_taken_when_it_is_whole(encoder: Quick, folder: Path) -> None:
    spool, data = Spool(None, "cam"), picture(3)
    with watching(encoder, spool, folder, settle_seconds=30) as source:
        with (folder / "slow.png").open("wb", buffering=0) as file:
            for start in range(0, len(data), 100):
                file.write(data[start : start + 100])
                until(lambda: "slow.png" in source._seen and source._seen["slow.png"].settled)
        assert not (folder / "rejected" / "slow.png").exists()
        until(lambda: spool.waiting == 1)
    assert left(folder / "rejected") == []
    spool.close()


def test_what_cannot_be_used_is_rejected_with_its_reason(encoder: Quick, folder: Path) -> None:
    spool = Spool(None, "cam")
    with watching(encoder, spool, folder):
        drop_in(folder, "text.jpg", b"not an image")
        drop_in(folder, "torn.png", picture()[:200])
        drop_in(folder, "empty.jpg", b"")
        drop_in(folder, f"{'x' * 129}__a.png", picture())
        drop_in(folder, "good.png", picture(1))
        until(lambda: not left(folder))
        drop_in(folder, "text.jpg", b"again")
        until(lambda: not left(folder))
    assert names(spool) == ["good.png"]
    rejected = folder / "rejected"
    assert len(left(rejected)) == 10
    assert "not an image" in (rejected / "text.jpg.reason").read_text()
    assert "not an image" in (rejected / "text~1.jpg.reason").read_text()
    assert (rejected / "text.jpg").read_bytes() == b"not an image"
    assert (rejected / "text~1.jpg").read_bytes() == b"again"
    assert "truncated" in (rejected / "torn.png.reason").read_text()
    assert "track id of 129" in (rejected / f"{'x' * 129}__a.png.reason").read_text()
    spool.close()


def test_a_network_that_breaks_rejects_that_file_alone(bundle: Bundle, folder: Path) -> None:
    spool, encoder = Spool(None, "cam"), Quick(bundle)
    encoder.slow = 0.1

    def fail(image: object) -> None:
        if image.size == (9, 9):  # type: ignore[attr-defined]
            raise MemoryError("no more")

    encoder.fail = fail
    Image.new("RGB", (9, 9)).save(folder / "bad.png")
    for i in range(6):
        drop_in(folder, f"{i}.png", picture(i))
    with watching(encoder, spool, folder):
        until(lambda: not left(folder))
    assert len(names(spool)) == 6
    assert "MemoryError: no more" in (folder / "rejected" / "bad.png.reason").read_text()
    spool.close()


def test_the_same_name_twice_is_two_frames(encoder: Quick, folder: Path) -> None:
    spool = Spool(None, "cam")
    with watching(encoder, spool, folder):
        for count in range(1, 4):
            drop_in(folder, "a.png", picture(7))
            until(lambda: not left(folder) and not spool.handing_over())
            assert spool.waiting == count
    assert len(left(folder / "done")) == 3
    spool.close()


def test_files_can_be_deleted_instead(encoder: Quick, folder: Path) -> None:
    spool = Spool(None, "cam")
    with watching(encoder, spool, folder, after="delete"):
        drop_in(folder, "a.png", picture(7))
        until(lambda: not left(folder))
    assert names(spool) == ["a.png"]
    assert left(folder / "done") == []
    spool.close()


def test_a_crash_between_accepting_and_moving_doubles_nothing(
    encoder: Quick, folder: Path, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool", "cam")
    for name in ("there.png", "gone.png"):
        spool.accept([entry(name, file_key=file_key(name, picture(1)))])
    spool.close()
    drop_in(folder, "there.png", picture(1))
    drop_in(folder, "other.png", picture(1))
    spool = Spool(tmp_path / "spool", "cam")
    with watching(encoder, spool, folder):
        assert "there.png" in left(folder / "done")  # before anything is taken
        assert spool.handing_over().get("gone.png") is None
        until(lambda: not left(folder))
        drop_in(folder, "gone.png", picture(1))
        until(lambda: not left(folder))
    assert names(spool) == ["there.png", "gone.png", "other.png", "gone.png"]
    spool.close()


def test_a_file_that_cannot_be_read_holds_up_no_start(
    encoder: Quick, folder: Path, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool", "cam")
    for name in ("there.png", "gone.png"):
        spool.accept([entry(name, file_key=file_key(name, picture(1)))])
    drop_in(folder, "there.png", picture(1))
    with (folder / "huge.png").open("wb") as file:
        file.truncate(1 << 40)
    with watching(encoder, spool, folder):
        until(lambda: not left(folder))
        assert left(folder / "done") == ["there.png"]
        assert left(folder / "rejected") == ["huge.png", "huge.png.reason"]
    assert names(spool) == ["there.png", "gone.png"]
    spool.close()


def test_a_move_that_fails_is_tried_again_without_a_second_frame(
    encoder: Quick, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(None, "cam")
    monkeypatch.setattr("edge.folder_source._RETRY_SECONDS", 0.01)
    with watching(encoder, spool, folder) as source:
        real, broken = source._folder.move, [True]

        def move(name: str, inside: str, mark: str) -> Path:
            if broken[0]:
                raise PermissionError(13, "read-only now")
            return real(name, inside, mark)

        monkeypatch.setattr(source._folder, "move", move)
        drop_in(folder, "a.png", picture(1))
        until(lambda: spool.waiting == 1)
        drop_in(folder, "b.png", picture(2))
        until(lambda: spool.waiting == 2)
        assert left(folder) == ["a.png", "b.png"]
        broken[0] = False
        until(lambda: not left(folder))
    assert names(spool) == ["a.png", "b.png"]
    assert spool.handing_over() == {}
    spool.close()


def test_a_full_spool_leaves_files_until_there_is_room(encoder: Quick, folder: Path) -> None:
    spool = Spool(None, "cam", capacity=5)
    for i in range(12):
        drop_in(folder, f"{i:02}.png", picture(i))
    with watching(encoder, spool, folder):
        until(lambda: spool.waiting == 5)
        while len(names(spool)) < 12:
            until(lambda: spool.room == 0 or len(names(spool)) == 12)
            assert len(left(folder)) + len(names(spool)) >= 12
            spool.settle([answer(spool, b.id.sequence) for b in spool.blocks(0, 3)])
        until(lambda: not left(folder))
    assert sorted(names(spool)) == [f"{i:02}.png" for i in range(12)]
    assert left(folder / "rejected") == []
    spool.close()


def test_a_disk_that_is_full_for_a_while(encoder: Quick, folder: Path, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", "cam")
    pages = spool._db.execute("PRAGMA page_count").fetchone()[0]
    spool._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    for i in range(40):
        drop_in(folder, f"{i:02}.png", picture(i))
    with watching(encoder, spool, folder) as source:
        until(lambda: source._paused_by is PauseReason.SPOOL_FULL)
        assert left(folder)
        spool._db.execute("PRAGMA max_page_count = 100000")
        until(lambda: not left(folder))
        until(lambda: source._paused_by is None)
    assert sorted(names(spool)) == [f"{i:02}.png" for i in range(40)]
    spool.close()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ZeroDivisionError("a fault of the program"), PauseReason.ERROR),
        (sqlite3.OperationalError("disk I/O error"), PauseReason.SPOOL),
        (OSError(5, "input/output error"), PauseReason.FOLDER),
    ],
)
def test_whatever_breaks_in_a_scan_the_files_after_it_are_taken(
    encoder: Quick,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    reason: PauseReason,
) -> None:
    scan, broken = FolderSource._scan, [True, True]

    def breaking(source: FolderSource) -> object:
        if broken and broken.pop():
            raise error
        return scan(source)

    monkeypatch.setattr(FolderSource, "_scan", breaking)
    monkeypatch.setattr("edge.folder_source._RETRY_SECONDS", 0.05)
    spool = Spool(None, "cam")
    with watching(encoder, spool, folder):
        drop_in(folder, "a.png", picture(1))
        until(lambda: not left(folder))
    assert names(spool) == ["a.png"]
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warnings == [f"watch_stopped_by_{reason.value}"]  # once for both
    spool.close()


def test_only_a_failure_makes_it_look_more_seldom(
    encoder: Quick, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.folder_source._RETRY_SECONDS", 1000.0)
    spool = Spool(None, "cam")
    with watching(encoder, spool, folder):
        for number in range(2):
            drop_in(folder, f"{number}.png", picture(number))
            until(lambda: not left(folder))
    assert names(spool) == ["0.png", "1.png"]
    spool.close()


def test_a_file_that_was_put_off_waits(
    encoder: Quick, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times the pause after a failure; the other files do not."""
    monkeypatch.setattr("edge.folder_source._RETRY_SECONDS", 3.0)
    settings = WatchSettings(folder=folder)
    with closing(Spool(None, "cam")) as spool, pipeline_on(encoder, spool) as pipeline:
        source = FolderSource(settings, pipeline, spool, Metrics())
        for name in ("a.png", "b.png"):
            drop_in(folder, name, picture())
        assert source._scan() == []  # they may be growing
        assert source._scan() == ["a.png", "b.png"]
        before = time.monotonic()
        source._put_off("a.png")
        source._put_off("gone.png")
        assert before + 30 <= source._seen["a.png"].not_before <= time.monotonic() + 30
        assert source._scan() == ["b.png"]
        source._seen["a.png"].not_before = time.monotonic()
        assert source._scan() == ["a.png", "b.png"]
        source.stop()


def test_a_folder_that_vanishes_and_comes_back(encoder: Quick, folder: Path) -> None:
    spool = Spool(None, "cam")
    with watching(encoder, spool, folder) as source:
        drop_in(folder, "a.png", picture(1))
        until(lambda: not left(folder))
        shutil.rmtree(folder)
        until(lambda: source._paused_by is PauseReason.FOLDER)
        folder.mkdir()
        drop_in(folder, "b.png", picture(2))
        until(lambda: spool.waiting == 2)
        until(lambda: not left(folder))
        assert left(folder / "done") == ["b.png"]
    spool.close()


def test_names_of_any_bytes(encoder: Quick, folder: Path) -> None:
    spool = Spool(None, "cam")
    odd = os.fsdecode(b"caf\xe9__\xff.png")
    long = "l" * 251 + ".png"
    with watching(encoder, spool, folder):
        for name in (odd, long, "na ïve\n.png"):
            (folder / ".part").write_bytes(picture(1))
            (folder / ".part").rename(folder / name)
        for name in (odd, long):
            until(lambda: not left(folder))
            (folder / ".part").write_bytes(b"broken")
            (folder / ".part").rename(folder / name)
        until(lambda: not left(folder))
    assert spool.waiting == 3
    assert len(left(folder / "rejected")) == 4
    spool.close()


DIES = """
    import os, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from airreid.bundle import default_bundle_path, load_bundle
    from edge import folder_source
    from edge.settings import WatchSettings
    from edge.spool import Spool
    from edge.metrics import Metrics
    from support import Quick, pipeline_on, until
    folder_source.CRASH_LIMIT = 3
    folder = Path({folder!r})
    encoder, spool = Quick(load_bundle(default_bundle_path())), Spool(folder / "spool", "cam")
    encoder.fail = lambda image: os._exit(9) if image.size == (9, 9) else None
    settings = WatchSettings(folder=folder / "in", poll_seconds=0.02, marks=folder / "marks.json")
    with pipeline_on(encoder, spool) as pipeline:
        source = folder_source.FolderSource(settings, pipeline, spool, Metrics())
        source.start()
        until(lambda: not [path for path in (folder / "in").iterdir() if path.is_file()])
        source.stop()
"""


def test_a_file_that_kills_the_process_does_not_keep_the_others_waiting(
    folder: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (9, 9)).save(folder / "0-deadly.png")
    os.utime(folder / "0-deadly.png", (1, 1))  # the oldest, so the first
    for i in range(12):
        drop_in(folder, f"{i}.png", picture(i))
    code = textwrap.dedent(DIES).format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    ends = [subprocess.run([sys.executable, "-c", code], check=False).returncode for _ in range(4)]
    assert ends == [9, 9, 9, 0]
    spool = Spool(tmp_path / "spool", "cam")
    assert sorted(names(spool)) == sorted(f"{i}.png" for i in range(12))
    spool.close()
    assert "ended 3 times" in (folder / "rejected" / "0-deadly.png.reason").read_text()


def test_marks_that_were_torn_are_no_marks(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    for text in ("", "{", "[]", '{"under_way": 3, "deaths": {}}', '{"under_way": [], "deaths": 1}'):
        path.write_text(text)
        assert CrashCounter(path).crashes("a") == 0
    marks = CrashCounter(path)
    marks.begin("a")
    marks.begin("\udcff.png")
    marks.end("b")
    again = CrashCounter(path)
    assert (again.crashes("a"), again.crashes("\udcff.png"), again.crashes("b")) == (1, 1, 0)


def test_two_edges_do_not_watch_one_folder(encoder: Quick, folder: Path) -> None:
    spool = Spool(None, "cam")
    with watching(encoder, spool, folder):
        with (
            pytest.raises(InputError, match="watched by another edge"),
            watching(encoder, spool, folder),
        ):
            pass
        with (
            pytest.raises(InputError, match="no such folder"),
            watching(encoder, spool, folder / "x"),
        ):
            pass
    spool.close()
