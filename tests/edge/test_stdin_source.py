"""Paths on standard input: each file a frame, or a reason, before the end is told."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from airreid.bundle import Bundle
from edge.metrics import Metrics
from edge.spool import Spool
from edge.stdin_source import StdinSource

from .support import Quick, answer, picture, pipeline_on, until


@dataclass
class Fed:
    """A source with the pipe that feeds it."""

    source: StdinSource
    spool: Spool
    metrics: Metrics
    ended: threading.Event
    pipe: int

    @property
    def names(self) -> list[str]:
        rows = self.spool._db.execute("SELECT name FROM frames ORDER BY sequence")
        return [row[0] for row in rows]

    @property
    def rejected(self) -> float:
        labels = {"source": "stdin"}
        value = self.metrics.registry.get_sample_value("airreid_edge_frames_rejected_total", labels)
        return value or 0.0


@contextmanager
def fed(encoder: Quick, capacity: int = 100) -> Iterator[Fed]:
    metrics, ended, (out, into) = Metrics(), threading.Event(), os.pipe()
    with closing(Spool(None, "cam", capacity)) as spool, pipeline_on(encoder, spool) as pipeline:
        source = StdinSource(out, pipeline, metrics, ended.set)
        source.start()
        try:
            yield Fed(source, spool, metrics, ended, into)
        finally:
            source.stop()
            os.close(out)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"t{i % 2}__{i}.png" for i in range(20)]
    for number, path in enumerate(paths):
        path.write_bytes(picture(number))
    return paths


def test_a_line_without_an_end_is_not_kept(bundle: Bundle, files: list[Path]) -> None:
    """Neither the bytes of /dev/zero as lines nor its path as a file are read into memory."""
    with fed(Quick(bundle)) as here:
        for _ in range(64):
            os.write(here.pipe, bytes(60_000))
        text = f"\n/dev/zero\n{files[0]}\n"
        os.write(here.pipe, text.encode() + b"x" * 9_000 + b"\n" + b"y" * 9_000)
        os.close(here.pipe)
        assert here.ended.wait(20)
        assert here.names == [files[0].name]
        assert here.rejected == 4


def test_lines_of_any_form_are_paths(bundle: Bundle, files: list[Path]) -> None:
    with fed(Quick(bundle)) as here:
        text = f"{files[0]}\n\n  \n{files[1]}\r\n{files[2]}"  # the last one without an end
        os.write(here.pipe, text[:30].encode())
        os.write(here.pipe, text[30:].encode())
        os.close(here.pipe)
        assert here.ended.wait(20)
        assert here.names == [path.name for path in files[:3]]
        assert [block.track_id for block in here.spool.blocks(0, 9)] == ["t0", "t1", "t0"]
        assert here.rejected == 0


def test_everything_has_its_verdict_before_the_end_is_told(
    bundle: Bundle, files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    encoder = Quick(bundle)
    encoder.slow = 0.05
    files[-1].write_bytes(b"no image")
    with fed(encoder) as here:
        lines = [*map(str, files), "/no/such/file.png", "\0"]
        os.write(here.pipe, "\n".join(lines).encode())
        os.close(here.pipe)
        assert here.ended.wait(30)
        assert here.names == [path.name for path in files[:-1]]
        assert here.rejected == 3
    rejected = [r.fields for r in caplog.records if r.getMessage() == "frame_rejected"]  # type: ignore[attr-defined]
    assert sorted(fields["file"] for fields in rejected) == ["\0", "file.png", files[-1].name]


def test_a_full_spool_leaves_the_rest_in_the_pipe_until_there_is_room(
    bundle: Bundle, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.stdin_source._RETRY_SECONDS", 0.02)
    with fed(Quick(bundle), capacity=2) as here:
        os.write(here.pipe, "\n".join(map(str, files[:6])).encode())
        os.close(here.pipe)
        until(lambda: here.spool.waiting == 2)
        assert not here.ended.wait(0.3)
        settled = 0
        while settled < 6:
            waiting = [block.id.sequence for block in here.spool.blocks(0, 9)]
            settled += len(here.spool.settle([answer(here.spool, number) for number in waiting]))
        assert here.ended.wait(20)
        assert sorted(here.names) == sorted(path.name for path in files[:6])


def test_stopping_ends_it_without_an_end_of_the_input(
    bundle: Bundle, files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    with fed(Quick(bundle), capacity=1) as here:
        os.write(here.pipe, "\n".join(map(str, [*files[:2], ""])).encode())
        until(lambda: here.spool.waiting == 1)
        here.source.stop()
        assert not here.ended.is_set()
        assert here.names == [files[0].name]
        os.close(here.pipe)
    events = [record.getMessage() for record in caplog.records]
    assert events.count("frame_not_accepted") <= 1
    assert "input_ended" not in events
