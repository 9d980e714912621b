"""``airreid gallery`` and ``airreid ap token``, against a gallery that is served."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner, Result

from accesspoint.api.background import SCRUBBED
from accesspoint.assembly import Services, access_point
from accesspoint.cli import app as ap_app
from accesspoint.settings import ServeSettings
from airreid import gallery_jobs_cli
from airreid.bundle import Bundle
from airreid.client import ChannelClient, GalleryClient, ok
from airreid.credentials import NOBODY
from airreid.crop_folder import list_crops
from airreid.errors import AirReidError, InputError, LinkError, RefusedError, UnfinishedError
from airreid.folder_enrolment import FolderEnrolment
from airreid.gallery_cli import app
from airreid.v1 import gallery_pb2

from ...wrong_files import KINDS, LEFTOVER, NO_FAULTS, beside
from .conftest import DIM, grpc_over, png

SPACE = "tiny-space"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two people, two cameras."""
    for person in range(2):
        for camera in range(2):
            path = tmp_path / "people" / f"p{person}" / f"c{camera}" / "0.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(png(10 * person + camera))
    return tmp_path / "people"


class Commands:
    """Runs commands; an error of the program comes out as it is raised."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __call__(self, *words: str, code: int = 0) -> str:
        result: Result = CliRunner().invoke(app, [*words, "--to", self.target])
        if isinstance(result.exception, AirReidError):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output if code else result.stdout


@pytest.fixture
def gallery(services: Services, tiny: Bundle) -> Iterator[Commands]:
    with grpc_over(services, tiny) as target:
        yield Commands(target)


def test_enrol_list_search_verify_merge_delete(gallery: Commands, folder: Path) -> None:
    assert "enrolled 4 of 4 files" in gallery("enroll", str(folder))
    assert "4 entries" in gallery("enroll", str(folder), "--replace")
    people = json.loads(gallery("list", "--json"))
    assert [(row["id"], row["entries"]) for row in people] == [("p0", 2), ("p1", 2)]
    assert "p1" in gallery("list", "--prefix", "p1")
    assert "p1" in gallery("entries")
    assert "p0" not in gallery("list", "--prefix", "p1")
    entries = json.loads(gallery("entries", "--subject", "p1", "--json"))
    assert [row["camera"] for row in entries] == ["c0", "c1"]
    image = str(folder / "p1" / "c0" / "0.png")
    answer = json.loads(gallery("search", image, "--top-k", "2", "--json"))
    assert answer["subjects"][0]["subject"] == "p1"
    assert "nothing is calibrated" in gallery("search", image)
    assert "score 1.000" in gallery("verify", "p1", image)
    assert "p1 has 4 entries" in gallery("merge", "p0", "p1")
    number = str(entries[0]["id"])
    assert f"deleted entry {number}" in gallery("delete", "--entry", number)
    assert "no entry" in gallery("delete", "--entry", number, code=1)
    assert "deleted p1 and 3 entries" in gallery("delete", "p1")
    with pytest.raises(LinkError, match="not_found: no subject 'p1'"):
        gallery("delete", "p1")
    gallery("delete", code=2)


def test_another_service_and_a_missing_port_are_called_so(gallery: Commands) -> None:
    called = r"another service.* takes HOST:PORT of a channel"
    with ChannelClient(gallery.target) as client, pytest.raises(RefusedError, match=called):
        client.links()
    with pytest.raises(InputError, match=r"'localhost': write HOST:PORT"):
        CliRunner().invoke(app, ["list", "--to", "localhost"], catch_exceptions=False)
    with pytest.raises(InputError, match=r"'localhost': write HOST:PORT"):
        NOBODY.check("localhost")  # which every client asks


def entries_of(gallery: Commands, subject: str) -> list[str]:
    return [row["id"] for row in json.loads(gallery("entries", "--subject", subject, "--json"))]


def test_a_folder_enrolled_again_adds_nothing(gallery: Commands, folder: Path) -> None:
    gallery("enroll", str(folder))
    before = entries_of(gallery, "")
    again = gallery("enroll", str(folder))
    assert "enrolled 0 of 4 files, 4 enrolled before; the gallery holds 2 subjects, 4" in again
    assert entries_of(gallery, "") == before
    (folder / "p0" / "c0" / "1.png").write_bytes(png(44))
    (folder / "p0" / "c1" / "copy.png").write_bytes((folder / "p0" / "c1" / "0.png").read_bytes())
    assert "enrolled 1 of 6 files, 5 enrolled before" in gallery("enroll", str(folder))
    assert entries_of(gallery, "")[:4] == before
    assert len(entries_of(gallery, "")) == 5


def test_a_torn_file_costs_nobody_their_entries(gallery: Commands, folder: Path) -> None:
    gallery("enroll", str(folder))
    before = {person: entries_of(gallery, person) for person in ("p0", "p1")}
    for number, person in enumerate(before):
        (folder / person / "c0" / "0.png").write_bytes(png(50 + number))
    (folder / "p0" / "c1" / "0.png").write_bytes(png(1)[:300])
    output = gallery("enroll", str(folder), "--replace", code=1)
    assert "damaged or truncated" in output
    assert "p0: 1 images refused, left as it was" in output
    assert ", 1 refused; the gallery holds" in output or ", 1 refused, " in output
    assert entries_of(gallery, "p0") == before["p0"]
    assert len(entries_of(gallery, "p1")) == 2  # one stays, one is new in place of another
    assert entries_of(gallery, "p1")[0] == before["p1"][1]
    (folder / "p0" / "c1" / "0.png").write_bytes(png(2))
    assert "2 earlier entries deleted" in gallery("enroll", str(folder), "--replace")
    assert not set(entries_of(gallery, "p0")) & set(before["p0"])
    assert len(entries_of(gallery, "p0")) == 2


def test_all_or_nothing(gallery: Commands, folder: Path) -> None:
    whole = (folder / "p1" / "c1" / "0.png").read_bytes()
    (folder / "p1" / "c1" / "0.png").write_bytes(whole[:300])
    with pytest.raises(InputError, match=r"nobody enrolled, 1 images.*c1/0\.png: damaged"):
        gallery("enroll", str(folder), "--all-or-nothing")
    assert json.loads(gallery("list", "--json")) == []
    (folder / "p1" / "c1" / "0.png").write_bytes(whole)
    (folder / "p1" / "torn.png").write_text("x")
    with pytest.raises(InputError, match="nobody enrolled, 1 files left out"):
        gallery("enroll", str(folder), "--all-or-nothing")
    (folder / "p1" / "torn.png").unlink()
    (folder / "p1" / "notes.txt").write_text("x")
    gate = folder.parent / "gate.json"
    lenient = {"min_sharpness": 0, "min_contrast": 0, "min_brightness": 0, "max_brightness": 1}
    unique = {"near_duplicate": 1, "exact_duplicate": 1}
    gate.write_text(json.dumps({"mode": "refuse", "max_aspect": 2.05} | lenient | unique))
    gallery("policy", "--quality-gate", str(gate))
    slim = Image.open(io.BytesIO(whole)).resize((60, 128))
    slim.save(folder / "p1" / "c1" / "0.png")
    output = gallery("enroll", str(folder), "--all-or-nothing", code=1)
    assert "too slim for a person" in output
    assert "enrolled 0 of 5 files, 3 taken back" in output
    assert json.loads(gallery("list", "--json")) == []
    gate.write_text(json.dumps({"mode": "warn"}))
    gallery("policy", "--quality-gate", str(gate))
    assert "enrolled 4 of 5 files" in gallery("enroll", str(folder), "--all-or-nothing")


@pytest.mark.parametrize("all_or_nothing", [False, True])
def test_a_replacement_that_is_broken_off_leaves_everybody_there(
    gallery: Commands, folder: Path, all_or_nothing: bool
) -> None:
    gallery("enroll", str(folder))
    before = {person: entries_of(gallery, person) for person in ("p0", "p1")}
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        path.write_bytes(png(60 + number))
    sent = iter(range(3))

    def broken_off() -> None:
        if next(sent, None) is None:
            raise KeyboardInterrupt

    crops = list_crops(folder).crops
    with GalleryClient(gallery.target) as client:
        client.enrol = partial(one_by_one, client)  # type: ignore[method-assign]
        enrolment = FolderEnrolment(client, True, all_or_nothing, print, broken_off)
        with pytest.raises(KeyboardInterrupt):
            enrolment.enrol(crops)
    assert set(before["p1"]) <= set(entries_of(gallery, "p1"))
    assert len(entries_of(gallery, "p0")) >= 2
    if all_or_nothing:
        assert {person: entries_of(gallery, person) for person in before} == before
    gallery("enroll", str(folder), "--replace")
    assert [len(entries_of(gallery, person)) for person in before] == [2, 2]
    assert not set(entries_of(gallery, "")) & {*before["p0"], *before["p1"]}


def one_by_one(
    client: GalleryClient, items: Iterable[gallery_pb2.EnrollItem]
) -> Iterator[tuple[gallery_pb2.EnrollItem, gallery_pb2.EnrollResult]]:
    for item in items:
        yield from client._enrol([item])


def test_people_keep_the_names_of_their_folders(gallery: Commands, folder: Path) -> None:
    (folder / "p0").rename(folder / "José García")
    (folder / "José García" / "c0").rename(folder / "José García" / "Tür 1")
    gallery("enroll", str(folder))
    people = {row["id"]: row["display_name"] for row in json.loads(gallery("list", "--json"))}
    assert people == {"Jos+C3+A9+20Garc+C3+ADa+": "José García", "p1": ""}
    assert "José García" in gallery("list")
    both = "José García (Jos+C3+A9+20Garc+C3+ADa+)"
    assert both in gallery("entries")
    assert both in gallery("search", str(folder / "José García" / "Tür 1" / "0.png"))
    gallery("delete", "José García")
    assert f"1 new subject, {both}" in gallery("enroll", str(folder))
    assert len(entries_of(gallery, "José García")) == 2
    image = str(folder / "José García" / "Tür 1" / "0.png")
    assert "score 1.000" in gallery("verify", "José García", image)
    assert "4 enrolled before" in gallery("enroll", str(folder))
    assert "and 2 entries" in gallery("delete", "José García")


def test_all_names_are_checked_before_anybody_is_enrolled(gallery: Commands, folder: Path) -> None:
    for name in ("é" * 60, "山" * 50):
        (folder / name / "c0").mkdir(parents=True)
        (folder / name / "c0" / "0.png").write_bytes(png(3))
    with pytest.raises(InputError, match="2 names are too long for an id"):
        gallery("enroll", str(folder))
    assert json.loads(gallery("list", "--json")) == []


def test_every_file_of_a_folder_is_accounted_for(gallery: Commands, folder: Path) -> None:
    camera = folder / "p0" / "c0"
    (camera / "phone").write_bytes(png(70))
    (camera / "notes.txt").write_text("seen at ten")
    (camera / "tour.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(40))
    (camera / "torn.png").write_bytes(png(71)[:200])
    (folder / "p0" / "portrait.png").write_bytes(png(72))
    (camera / "._0.png").write_bytes(b"\x00\x05\x16\x07")
    (camera / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    output = gallery("enroll", str(folder), code=1)
    assert "enrolled 5 of 9 files, 2 hidden or leftover, 1 refused, 3 left out;" in output
    assert "note: left out: " in output
    assert "notes.txt: not an image" in output
    assert "tour.mp4: not an image but a video" in output
    assert "torn.png: image of p0: damaged or truncated" in output
    assert "portrait.png: expected" in output
    people = json.loads(gallery("list", "--json"))
    assert [(row["id"], row["entries"]) for row in people] == [("p0", 3), ("p1", 2)]


def test_notes_beside_the_images_are_named_and_no_fault(gallery: Commands, folder: Path) -> None:
    (folder / "p0" / "notes.txt").write_text("seen at ten")
    (folder / "p0" / "c0" / "table.csv").write_text("a,b")
    result = CliRunner().invoke(app, ["enroll", str(folder), "--to", gallery.target])
    assert result.exit_code == 0, result.output
    assert "enrolled 4 of 6 files, 2 left out;" in result.stdout
    assert "error" not in result.stderr
    assert result.stderr.count("note: left out: ") == 2
    (folder / "p1" / "more").symlink_to(folder / "p0")
    assert "a link to a folder" in gallery("enroll", str(folder), code=1)


def test_two_who_enrol_the_same_at_once_add_it_once(
    gallery: Commands, services: Services, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have seen that it is not there before either has stored it."""
    both = threading.Barrier(2)
    encoder = services.rest.service._enrolment._encoder
    features = encoder.features

    def together(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        both.wait(30)
        return features(crops)

    monkeypatch.setattr(encoder, "features", together)
    lines: list[str] = []
    threads = [
        threading.Thread(target=lambda: lines.append(gallery_line(gallery.target, folder)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(lines) == ["0 added, 4 before", "4 added, 0 before"]
    assert len(enrolled(gallery)) == 4


def gallery_line(target: str, folder: Path) -> str:
    with GalleryClient(target) as client:
        outcome = FolderEnrolment(client, False, False, print, int).enrol(list_crops(folder).crops)
    return f"{outcome.added} added, {outcome.before} before"


def test_an_interrupted_enrolment_says_how_far_it_is(
    gallery: Commands, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(
        client: GalleryClient, items: Iterable[gallery_pb2.EnrollItem]
    ) -> Iterator[tuple[gallery_pb2.EnrollItem, gallery_pb2.EnrollResult]]:
        for count, item in enumerate(items):
            if count == 3:
                raise KeyboardInterrupt
            yield from client._enrol([item])

    monkeypatch.setattr(GalleryClient, "enrol", broken_off)
    result = CliRunner().invoke(app, ["enroll", str(folder), "--to", gallery.target])
    assert "interrupted: 3 of 4 images or more are enrolled; the same command" in result.stderr
    assert len(enrolled(gallery)) == 3


def enrolled(gallery: Commands) -> list[tuple[object, ...]]:
    rows = json.loads(gallery("entries", "--json"))
    return [(row["subject"], row["camera"], row["key"], row["quality"]) for row in rows]


@pytest.mark.parametrize("kind", KINDS)
def test_one_wrong_file_is_named_and_the_others_are_enrolled(
    gallery: Commands, folder: Path, tmp_path: Path, kind: str
) -> None:
    clean, spoilt = beside(folder, kind, tmp_path / "both")
    gallery("enroll", str(clean))
    expected = enrolled(gallery)
    assert len(expected) == 4
    gallery("delete", "p0", "p1")
    leftover = kind == LEFTOVER
    if kind in NO_FAULTS:
        listed = CliRunner().invoke(app, ["enroll", str(spoilt), "--to", gallery.target])
        assert listed.exit_code == 0
        output = listed.output
    else:
        output = gallery("enroll", str(spoilt), code=1)
    assert enrolled(gallery) == expected
    assert "enrolled 4 of " in output
    assert ("1 hidden or leftover" if leftover else KINDS[kind][0]) in output


def test_new_subjects_are_named(gallery: Commands, folder: Path) -> None:
    assert "enrolled 4 of 4 files; 2 new subjects, p0, p1; the" in gallery("enroll", str(folder))
    for number in range(3, 9):
        camera = folder / f"p{number}" / "c0"
        camera.mkdir(parents=True)
        (camera / "0.png").write_bytes(png(100 + number))
    assert "6 new subjects, p3, p4, p5 and 3 more;" in gallery("enroll", str(folder))
    assert "new subject" not in gallery("enroll", str(folder))


def test_warnings_are_one_summary_and_all_in_json(
    gallery: Commands, folder: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate.json"
    gate.write_text(json.dumps({"mode": "warn", "near_duplicate": -1.0}))
    gallery("policy", "--quality-gate", str(gate))
    for number in range(2, 10):
        camera = folder / f"p{number}" / "c0"
        camera.mkdir(parents=True)
        (camera / "0.png").write_bytes(png(100 + number))
    out = tmp_path / "enrolled.json"
    result = CliRunner().invoke(
        app, ["enroll", str(folder), "--to", gallery.target, "--json-out", str(out)]
    )
    assert result.exit_code == 0, result.output
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning:")]
    everything = json.loads(out.read_text())["warnings"]
    assert len(everything) >= 8
    assert [line.removeprefix("warning: ") for line in warnings[:-1]] == everything[:3]
    assert f"and {len(everything) - 3} more of {len(everything)} images" in warnings[-1]
    assert f"{len(everything)} with a warning" in result.stdout


def test_people_one_folder_down_are_enrolled_and_that_is_told(
    gallery: Commands, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "archive").mkdir()
    inside = folder.rename(tmp_path / "archive" / "people")
    (tmp_path / "archive" / "__MACOSX").mkdir()
    result = CliRunner().invoke(app, ["enroll", str(tmp_path / "archive"), "--to", gallery.target])
    assert result.exit_code == 0, result.output
    assert f"people found at {inside}" in result.stderr
    assert "enrolled 4 of 4" in result.stdout
    assert {row[0] for row in enrolled(gallery)} == {"p0", "p1"}


def test_a_verdict_is_an_exit_code(gallery: Commands, folder: Path, tmp_path: Path) -> None:
    gallery("enroll", str(folder))
    points = [{"snr_db": 60, "threshold": 0.999, "lower": 0.99}]
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"schemes": {"features": {"points": points}}}))
    shown = json.loads(gallery("policy", "--match-policy", str(policy), "--json"))
    assert shown["match_policy"]["schemes"]["features"]["points"] == points
    assert json.loads(gallery("policy")) == shown
    by = ("--scheme", "features")
    gallery("verify", "p1", str(folder / "p1/c0/0.png"), *by)
    gallery("verify", "p0", str(folder / "p1/c0/0.png"), *by, code=1)
    with pytest.raises(InputError, match="cannot be read"):
        gallery("policy", "--quality-gate", str(tmp_path / "none.json"))


def enrol_features(gallery: Commands, people: int, spread: float, cameras: int = 2) -> None:
    """Enrols made-up people by features that scatter around each."""
    rng = np.random.default_rng(3)
    items = []
    for person in range(people):
        middle = rng.standard_normal(DIM)
        for camera in range(cameras):
            values = (middle + spread * rng.standard_normal(DIM)).astype("<f4").tobytes()
            feature = gallery_pb2.Feature(space_id=SPACE, values=values)
            items.append(
                gallery_pb2.EnrollItem(
                    subject=f"p{person:02d}", camera=f"c{camera}", feature=feature
                )
            )
    with GalleryClient(gallery.target) as client:
        assert all(ok(result.status) for _, result in client.enrol(items))


RATE = ("calibrate", "--false-match-rate", "0.2", "--scheme", "jscc-fc-16")


def in_force(gallery: Commands) -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(gallery("policy"))["match_policy"]
    return policy


def test_a_calibration_shows_what_rates_cost_and_can_be_taken_back(gallery: Commands) -> None:
    enrol_features(gallery, 40, 0.2)
    before = in_force(gallery)
    with pytest.raises(InputError, match="no match policy was in force"):
        gallery("policy", "--restore")
    output = gallery(*RATE, "--dry-run")
    assert "What a false-match rate costs" in output
    assert "needs 299 subjects" in output
    assert "0.2 *" in output
    assert "not put in force" in output
    assert in_force(gallery) == before
    assert "in force for all schemes of the bundle; 'airreid gallery policy --res" in gallery(*RATE)
    calibrated = in_force(gallery)
    assert calibrated["false_match_rate"] == 0.2
    assert gallery("policy", "--restore") == "in force: a match policy without thresholds\n"
    assert in_force(gallery) == before
    restored = gallery("policy", "--restore")
    assert restored == (
        "in force: a match policy of false-match rate 0.2 for features, jscc-fc-16, calibrated on "
        "40 subjects\n"
    )
    assert in_force(gallery) == calibrated
    assert json.loads(gallery("policy", "--restore", "--json"))["match_policy"] == before
    assert json.loads(gallery(*RATE, "--json"))["applied"] is True


def test_the_list_says_which_calibration_is_applied(gallery: Commands, tmp_path: Path) -> None:
    enrol_features(gallery, 40, 0.2)
    gallery(*RATE, "--dry-run")
    gallery(*RATE, "--seed", "1")
    gallery(*RATE, "--seed", "2", "--dry-run")
    assert applied(gallery) == [False, True, False]
    newest = json.loads(gallery("jobs", "--json"))[0]["result"]
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(json.loads(newest)["policy"]))
    gallery("policy", "--match-policy", str(policy))
    assert applied(gallery) == [True, True, False]
    policy.write_text("{}")
    gallery("policy", "--match-policy", str(policy))
    assert applied(gallery) == [True, True, False]


def applied(gallery: Commands) -> list[bool]:
    """Whether each calibration is applied, the newest first, as the list of jobs says."""
    return [json.loads(row["result"])["applied"] for row in json.loads(gallery("jobs", "--json"))]


def test_no_decision_says_which_schemes_are_calibrated(gallery: Commands, folder: Path) -> None:
    gallery("enroll", str(folder))
    points = [{"snr_db": 60, "threshold": 0.999, "lower": 0.99}]
    policy = folder.parent / "policy.json"
    policy.write_text(json.dumps({"schemes": {"features": {"points": points}}}))
    gallery("policy", "--match-policy", str(policy))
    image = str(folder / "p1" / "c0" / "0.png")
    reason = "none: calibrated for features, this was jscc-fc-16"
    by = ("--scheme", "jscc-fc-16")
    assert f"decision: {reason}" in gallery("search", image, *by)
    assert reason in gallery("verify", "p1", image, *by)


@pytest.mark.parametrize(
    ("schemes", "words"),
    [
        (["a", "b"], "in force for all schemes of the bundle"),
        (["a", "b", "c"], "in force for a, b; there is no decision by the bundle's other one"),
        (["a", "c", "d"], "in force for a; there is no decision by the bundle's 2 others"),
    ],
)
def test_what_is_in_force_is_said_by_schemes(schemes: list[str], words: str) -> None:
    assert gallery_jobs_cli._in_force({"a", "b", "features"}, schemes) == words


def test_a_figure_is_drawn_of_a_fitted_rule_only(gallery: Commands, tmp_path: Path) -> None:
    enrol_features(gallery, 40, 0.2)
    with pytest.raises(InputError, match="leave out --no-wait"):
        gallery(*RATE, "--no-wait", "--figure", str(tmp_path / "r.svg"))
    with pytest.raises(InputError, match="no such folder"):
        gallery(*RATE, "--figure", str(tmp_path / "none" / "r.svg"))
    (tmp_path / "folder.pdf").mkdir()
    with pytest.raises(InputError, match=r"folder\.pdf: is a folder"):
        gallery(*RATE, "--figure", str(tmp_path / "folder.svg"))
    with pytest.raises(InputError, match="is a folder; name a file"):
        gallery(*RATE, "--figure", ".")
    assert gallery("jobs").count("calibrate") == 0
    drawn = [*RATE, "--dry-run", "--figure", str(tmp_path / "r.svg"), "--to", gallery.target]
    output = CliRunner().invoke(app, drawn).output
    assert "not drawn; no stopping rule was fitted" in output
    assert not list(tmp_path.glob("r.*"))


def test_a_calibration_that_recognises_nobody_is_not_put_in_force(gallery: Commands) -> None:
    enrol_features(gallery, 40, 30.0)
    before = in_force(gallery)
    output = gallery(*RATE, code=1)
    assert "error: not put in force: nobody would be recognised" in output
    assert "left out: features, jscc-fc-16: below 5% true matches" in output
    assert in_force(gallery) == before
    gallery(*RATE, "--dry-run", code=1)
    with GalleryClient(gallery.target) as client:
        job = client.start_job("calibrate", {"false_match_rate": "0.2", "schemes": "jscc-fc-16"})
        while job.state not in ("done", "failed"):
            job = client.job(job.id)
    assert json.loads(job.result)["applied"] is False
    assert in_force(gallery) == before
    assert "in force" in gallery(*RATE, "--min-true-matches", "0")


def test_a_gallery_of_one_camera_is_explained(gallery: Commands) -> None:
    enrol_features(gallery, 40, 0.2, cameras=1)
    output = gallery(*RATE, "--dry-run")
    assert "true matches are not known (–): everybody was enrolled from one camera" in output


def test_an_interrupt_cancels_the_job(gallery: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    enrol_features(gallery, 40, 0.2)

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gallery_jobs_cli.time, "sleep", interrupted)
    result = CliRunner().invoke(app, ["calibrate", "--to", gallery.target])
    assert result.exit_code != 0
    monkeypatch.undo()
    with GalleryClient(gallery.target) as client:
        [job] = client.jobs()
        while job.state not in ("done", "failed", "cancelled"):
            job = client.job(job.id)
        assert job.state == "cancelled" or "can vouch for" in job.result
        assert json.loads(client.policy().match_policy)["schemes"] == {}


def test_jobs_from_the_command_line(gallery: Commands, folder: Path) -> None:
    gallery("enroll", str(folder))
    assert json.loads(gallery("export", "--name", "all"))["entries"] == 4
    gallery("delete", "p0")
    assert json.loads(gallery("import", "all"))["entries"] == 2
    assert json.loads(gallery("backup"))["file"].startswith("backups/")
    listed = gallery("jobs")
    assert "{" not in listed
    assert "backups" in listed
    with pytest.raises(UnfinishedError, match="calibrate failed: 2 subjects enrolled"):
        gallery("calibrate")
    with pytest.raises(UnfinishedError, match="confidence"):
        gallery("calibrate", "--confidence", "0.3")
    with pytest.raises(UnfinishedError, match="reindex failed: the gallery is of the space"):
        gallery("reindex")
    [number, *_] = [str(entry["id"]) for entry in json.loads(gallery("entries", "--json"))]
    assert json.loads(gallery("prove-deleted", number, "--delete"))["clean"]
    listed = gallery("jobs")
    for kind in ("export", "import", "backup", "calibrate", "reindex"):
        assert kind in listed
    with pytest.raises(LinkError, match="not_found: no job"):
        gallery("cancel", "job-x")


def test_tokens_from_the_command_line(tiny: Bundle, tmp_path: Path) -> None:
    data = tmp_path / "data"

    def token(*words: str) -> str:
        result = CliRunner().invoke(ap_app, ["token", *words, "--data-dir", str(data)])
        assert result.exit_code == 0, result.output
        return result.output.strip()

    reader = token("add", "--name", "desk", "--scope", "read")
    writer = token("add", "--name", "desk-2", "--scope", "enrol", "--days", "1")
    assert "desk-2" in token("list")
    settings = ServeSettings(data_dir=data, require_token=True)
    with access_point(tiny, settings) as services, grpc_over(services, tiny) as target:
        gallery = Commands(target)
        with pytest.raises(LinkError, match="unauthenticated: no token"):
            gallery("list")
        gallery("list", "--token", reader)
        path = tmp_path / "token"
        path.write_text(reader + "\n")
        gallery("list", "--token-file", str(path))
        with pytest.raises(LinkError, match="needs scope enrol"):
            gallery("delete", "x", "--token", reader)
        with pytest.raises(LinkError, match="no subject"):
            gallery("delete", "x", "--token", writer)
        assert "revoked desk " in token("revoke", "desk")
        with pytest.raises(LinkError, match="not known here"):
            gallery("list", "--token", reader)
    text = (data / "audit.jsonl").read_text()
    actions = [json.loads(line)["action"] for line in text.splitlines()]
    assert actions == ["add_token", "add_token", "revoke_token"]
    assert reader not in text


def test_scrub_says_what_it_finds_and_exits_accordingly(
    gallery: Commands, folder: Path, services: Services, settings: ServeSettings
) -> None:
    gallery("enroll", str(folder))
    whole = json.loads(gallery("scrub"))
    assert whole["clean"]
    assert (whole["entries"], whole["damaged"], whole["audit_lines"]) == (4, [], [])
    with services.gallery.store.database.writing() as db:
        db.execute("UPDATE features SET data = zeroblob(length(data)) WHERE entry = 2")
    audit = settings.data_dir / "audit.jsonl"
    lines = audit.read_bytes().splitlines(keepends=True)
    audit.write_bytes(b"".join([lines[0], lines[1][:20] + b"\n", *lines[1:]]))
    result = CliRunner().invoke(app, ["scrub", "--to", gallery.target])
    assert result.exit_code == 1
    damaged = json.loads(result.stdout)
    assert (damaged["damaged"], damaged["audit_lines"], damaged["clean"]) == ([2], [2], False)
    assert "started" in gallery("scrub", "--no-wait")


@pytest.mark.parametrize("last", ["", "no time", "nan", "9e12"])
def test_the_background_scrubs_by_itself(
    tiny: Bundle, settings: ServeSettings, caplog: pytest.LogCaptureFixture, last: str
) -> None:
    with access_point(tiny, settings) as services:
        services.gallery.set_setting(SCRUBBED, last)
    often = settings.model_copy(update={"scrub_hours": 1e-5})
    with access_point(tiny, often) as services:
        caplog.set_level("INFO")
        until = time.monotonic() + 60
        while "scrubbed" not in [record.message for record in caplog.records]:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert services.gallery.ready
