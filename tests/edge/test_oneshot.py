"""``edge send``: files through the pipeline and one stream, against a server that misbehaves."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from PIL import Image

from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.images import load
from airreid.uplink_client import Uplink
from edge.encoder import Encoder
from edge.oneshot import OneShot, Sent, expand, truth_of

from ..wrong_files import KINDS, LEFTOVER, NO_FAULTS, beside
from .support import AccessPoint, Quick, interruptible, served, until


class Breaking(AccessPoint):
    """Refuses the block with a number, and with it the stream."""

    def __init__(self, refused: int) -> None:
        super().__init__()
        self.refused = refused

    def Query(self, request_iterator, context):  # type: ignore[no-untyped-def]
        for response in super().Query(request_iterator, context):
            if response.id.sequence == self.refused:
                time.sleep(0.2)  # what was answered before is on its way
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full up")
            yield response


class Positions(list[int]):
    """Positions of the files that are done with."""

    def note(self, position: int, outcome: Sent) -> None:
        self.append(position)


def send(
    files: list[Path],
    bundle: Bundle,
    to: str,
    done: Callable[[int, Sent], object] = lambda position, outcome: None,
    truth: bool = False,
    encoder: Encoder | None = None,
) -> list[Sent]:
    encoder = encoder or Encoder(bundle, 1)
    settings = encoder.send_settings("jscc-ae-64", None, 1)
    with Uplink(to) as uplink, OneShot(encoder, uplink, settings, "cam") as one_shot:
        return one_shot.send(files, done, truth)


def test_a_broken_stream_keeps_the_answers_so_far_and_names_the_rest(
    bundle: Bundle, people: Path
) -> None:
    files = sorted(people.rglob("*.png"))[:5]
    with served(Breaking(2)) as to:
        outcomes = send(files, bundle, to)
    assert [outcome.path for outcome in outcomes] == files
    assert [outcome.response is not None for outcome in outcomes] == [True, True] + [False] * 3
    for path, outcome in zip(files[2:], outcomes[2:], strict=True):
        assert outcome.error == f"{path}: not answered: {to}: the stream broke: full up"


def test_sending_waits_for_an_access_point_that_is_not_ready_and_says_the_truth(
    bundle: Bundle, people: Path
) -> None:
    far = AccessPoint()
    far.not_ready = 6
    files = sorted(people.rglob("*.png"))[:4]
    ticks = Positions()
    with served(far) as to:
        outcomes = send(files, bundle, to, ticks.note, truth=True)
    assert [outcome.error for outcome in outcomes] == [""] * 4
    assert len(ticks) == 4
    assert len(far.seen) == 10
    assert set(far.truths) == {path.parts[-3] for path in files}


def test_truth_needs_folders() -> None:
    with pytest.raises(InputError, match=r"/a\.png: --truth reads <identity>/<camera>/<image>"):
        truth_of(Path("/a.png"))
    assert truth_of(Path("/x/bob/cam-2/a.png")) == "bob"


def test_blocks_are_numbered_from_zero_and_each_is_sent_by_itself(
    bundle: Bundle, people: Path
) -> None:
    far, encoder = AccessPoint(), Quick(bundle)
    files = sorted(people.rglob("*.png"))[:12]
    with served(far) as to:
        outcomes = send(files, bundle, to, encoder=encoder)
    assert [number for _, number in far.seen] == list(range(12))
    assert len({spool_id for spool_id, _ in far.seen}) == 1
    assert [outcome.response and outcome.response.id.sequence for outcome in outcomes] == list(
        range(12)
    )
    assert encoder.batches == [1] * 12
    assert all(outcome.cost and outcome.cost.uses == 64 for outcome in outcomes)
    assert all(outcome.encode_ms > 0 for outcome in outcomes)


def test_bad_files_and_a_network_that_breaks_stop_nobody_else(
    bundle: Bundle, people: Path, tmp_path: Path
) -> None:
    far, encoder, ticks = AccessPoint(), Quick(bundle), Positions()
    good = sorted(people.rglob("*.png"))[:3]
    (tmp_path / "torn.png").write_bytes(b"no image")
    long = tmp_path / f"{'t' * 129}__0.png"
    long.write_bytes(good[0].read_bytes())
    broken = load(good[1]).tobytes()

    def fail(image: Image.Image) -> None:
        if image.tobytes() == broken:
            raise RuntimeError("out of memory")

    encoder.fail = fail
    files = [tmp_path / "torn.png", good[0], good[1], long, good[2]]
    with served(far) as to:
        outcomes = send(files, bundle, to, ticks.note, encoder=encoder)
    answered = [outcome.path for outcome in outcomes if outcome.response is not None]
    assert answered == [good[0], good[2]]
    assert "torn.png" in outcomes[0].error
    assert "out of memory" in outcomes[2].error
    assert "track id of 129 characters" in outcomes[3].error
    assert len(ticks) == 5
    assert [number for _, number in far.seen] == [0, 1]


def test_an_access_point_that_stays_unready_is_given_up(
    bundle: Bundle, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.oneshot._NOT_READY_SECONDS", 0.5)
    far, ticks = AccessPoint(), Positions()
    far.not_ready = 10**6
    files = sorted(people.rglob("*.png"))[:3]
    with served(far) as to:
        outcomes = send(files, bundle, to, ticks.note, encoder=Quick(bundle))
    assert [outcome.error for outcome in outcomes] == ["the gallery is being loaded"] * 3
    assert all(outcome.response is not None for outcome in outcomes)
    assert not ticks
    assert len(far.seen) > 3


def test_a_stream_that_ends_is_not_opened_again(bundle: Bundle, people: Path) -> None:
    far = AccessPoint()
    far.break_after = 2
    files = sorted(people.rglob("*.png"))[:40]
    encoder = Quick(bundle)
    encoder.slow = 0.02
    with served(far) as to:
        outcomes = send(files, bundle, to, encoder=encoder)
    answered = [outcome.response is not None for outcome in outcomes]
    assert answered == sorted(answered, reverse=True)
    assert 1 <= sum(answered) <= 2
    assert "gone for a while" in outcomes[-1].error
    assert len(encoder.batches) < 40  # what cannot be sent any more is not encoded


def test_an_interrupt_ends_it_at_once_while_an_answer_is_waited_for(
    people: Path, bundle: Bundle
) -> None:
    far = AccessPoint()
    far.gate.clear()
    files = sorted(people.rglob("*.png"))[:3]
    with served(far) as to:
        command = interruptible("edge", "send", *files, "--to", to)
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        until(lambda: far.seen, 60)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)  # nothing else ends the wait
        assert not far.gate.is_set()
    assert time.monotonic() - started < 30
    assert process.returncode == 130
    assert "Traceback" not in stderr


class Stopping(AccessPoint):
    """Answers two blocks and no more."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = threading.Event()

    def Query(self, request_iterator, context):  # type: ignore[no-untyped-def]
        for count, response in enumerate(super().Query(request_iterator, context)):
            if count == 2:
                self.stopped.set()
                self.gate.clear()
                while not self.gate.wait(0.05) and context.is_active():
                    pass
            yield response


@pytest.mark.parametrize("as_json", [False, True])
def test_an_interrupt_leaves_the_answers_that_came(people: Path, as_json: bool) -> None:
    files, far, lines = sorted(people.rglob("*.png"))[:6], Stopping(), []
    with served(far) as to:
        command = interruptible("edge", "send", *files, "--to", to, *["--json"] * as_json)
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        if not as_json:
            lines = [process.stdout.readline() for _ in range(2)]  # as they come
        until(far.stopped.is_set, 60)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    reported = re.search(r"^interrupted: (\d) of 6 answered$", stderr, re.MULTILINE)
    assert reported is not None, stderr
    answered = [str(path) for path in files[: int(reported[1])]]
    if as_json:
        assert [row["image"] for row in json.loads(stdout)] == answered
    else:
        names = [line.split()[0] for line in lines]
        assert names == ["/".join(Path(path).parts[-3:]) for path in answered]
        assert stdout == ""


class Keeping(AccessPoint):
    """Keeps every block as it came, but for the stream's own name."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[tuple[int, bytes]] = []

    def Query(self, request_iterator, context):  # type: ignore[no-untyped-def]
        def kept():  # type: ignore[no-untyped-def]
            for request in request_iterator:
                if not request.settled_only:
                    self.blocks.append((request.id.sequence, request.analog.symbols))
                yield request

        yield from super().Query(kept(), context)


@pytest.mark.parametrize("kind", KINDS)
def test_one_wrong_file_gets_its_error_and_the_others_are_sent_as_ever(
    bundle: Bundle, people: Path, tmp_path: Path, kind: str
) -> None:
    folders = beside(people / "person-0003", kind, tmp_path)
    blocks, outcomes, leftovers, left_out = [], [], [], []
    for folder in folders:
        paths, beside_them, hidden = expand([folder])
        left_out.append(beside_them)
        far = Keeping()
        with served(far) as to:
            outcomes.append(send(paths, bundle, to, encoder=Quick(bundle)))
        blocks.append(far.blocks)
        leftovers.append(hidden)
    assert blocks[0] == blocks[1]  # numbers, too: the channel's noise depends on them
    assert len(blocks[0]) == 6
    wrong = [outcome for outcome in outcomes[1] if outcome.error]
    if kind in NO_FAULTS:
        assert leftovers == [0, 1 if kind == LEFTOVER else 0]
        assert not wrong
        assert len(left_out[1]) == (0 if kind == LEFTOVER else 1)
        assert not left_out[0]
    else:
        [only] = wrong
        assert only.path.name == KINDS[kind][0]
        assert str(only.path) in only.error
