"""``airreid gallery``: the people an access point knows, over gRPC."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from airreid import decisions, gallery_jobs_cli
from airreid.client import GalleryClient, ok
from airreid.console import print_table, progress_bars, say
from airreid.credential_options import with_credentials
from airreid.credentials import NOBODY, ClientCredentials
from airreid.crop_folder import list_crops
from airreid.errors import InputError
from airreid.folder_enrolment import FolderEnrolment, Outcome
from airreid.gallery_jobs_cli import DEFAULT, To
from airreid.images import read
from airreid.json_output import Json, JsonOut, check_json, show_json
from airreid.local_time import local_time
from airreid.plain_messages import plain
from airreid.subject_ids import as_id, name_and_id
from airreid.v1 import common_pb2, gallery_pb2

app = typer.Typer(no_args_is_help=True, help="The people an access point knows.")
gallery_jobs_cli.add_commands(app)

_NAMED = 3
"""Most images with a warning, and most new subjects, that one line each names."""
Image = Annotated[Path, typer.Argument(help="Image file of one person crop.")]
ComparedBy = Annotated[
    str,
    typer.Option(
        "--scheme",
        help="Whose embeddings are compared, without noise: a scheme, or features.",
        show_default="the JSCC scheme of the largest bandwidth",
    ),
]


@app.command()
@with_credentials
def enroll(
    folder: Annotated[Path, typer.Argument(help="Folder of <identity>/<camera>/<image>.")],
    to: To = DEFAULT,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Delete these subjects' earlier entries once their images are all enrolled.",
        ),
    ] = False,
    all_or_nothing: Annotated[
        bool,
        typer.Option("--all-or-nothing", help="Enrol nobody if any file of the folder is refused."),
    ] = False,
    as_json: Json = False,
    json_out: JsonOut = None,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Enrol every image of a folder; what is enrolled already is not enrolled again.

    Folders may have any name: ids are made of it, and the name is kept as display name. Exits
    with 1 if an image was refused or left out; what is plainly no picture is left out and named.
    """
    check_json(json_out)
    listed = list_crops(folder)
    if listed.root != folder:
        say(f"note: people found at {listed.root}", err=True)
    beside = listed.beside
    faults = [file for file in listed.left_out if file not in beside]
    for file in listed.left_out:
        say(f"{'note: left out' if file in beside else 'error'}: {file.reason}", err=True)
    if all_or_nothing and faults:
        raise InputError(f"{folder}: nobody enrolled, {len(faults)} files left out")
    with GalleryClient(to, credentials=credentials) as client:
        with progress_bars() as bars:
            task = bars.add_task("enrolling", total=len(listed.crops))
            enrolment = FolderEnrolment(
                client,
                replace,
                all_or_nothing,
                lambda line: say(line, err=True),
                lambda: bars.advance(task),
            )
            try:
                outcome = enrolment.enrol(listed.crops)
            except (KeyboardInterrupt, SystemExit):
                say(_interrupted(enrolment.outcome, len(listed.crops)), err=True)
                raise
        state = client.describe()
    for line in _doubtful(outcome.doubtful):
        say(line, err=True)
    counts = (
        (outcome.before, "enrolled before"),
        (len(outcome.doubtful), "with a warning"),
        (outcome.taken_back, "taken back"),
        (listed.leftovers, "hidden or leftover"),
    )
    failed = ((outcome.refused, "refused"), (len(listed.left_out), "left out"))
    also = "".join(f", {count} {what}" for count, what in (*counts, *failed) if count)
    replaced = f", {outcome.deleted} earlier entries deleted" if outcome.deleted else ""
    document = {
        "files": len(listed.crops) + len(listed.left_out),
        "enrolled": outcome.added,
        **{what.replace(" ", "_"): count for count, what in counts},
        "refused": outcome.refused,
        "left_out": len(listed.left_out),
        "deleted": outcome.deleted,
        "new_subjects": outcome.new_subjects,
        "warnings": outcome.doubtful,
        "subjects": state.subjects,
        "entries": state.entries,
    }
    if not show_json("airreid gallery enroll 1", document, as_json, json_out):
        say(
            f"enrolled {outcome.added} of {len(listed.crops) + len(listed.left_out)} files"
            f"{also}{replaced}{_new(outcome.new_subjects)}; "
            f"the gallery holds {state.subjects} subjects, {state.entries} entries"
        )
    if outcome.refused or faults:
        raise typer.Exit(1)


def _interrupted(outcome: Outcome, crops: int) -> str:
    """Says how far a broken-off enrolment is; answers on their way are not counted."""
    if outcome.taken_back:
        return f"interrupted: {outcome.taken_back} of {crops} images taken back"
    return (
        f"interrupted: {outcome.added + outcome.before} of {crops} images or more are enrolled; "
        "the same command goes on there"
    )


def _doubtful(warnings: Sequence[str]) -> list[str]:
    """Returns lines on images with a warning: the first ones, how many, and where all are."""
    lines = [f"warning: {warning}" for warning in warnings[:_NAMED]]
    if len(warnings) > _NAMED:
        lines.append(
            f"warning: and {len(warnings) - _NAMED} more of {len(warnings)} images; --json-out "
            "FILE lists all, 'airreid gallery calibrate --dry-run' names subjects who look alike"
        )
    return lines


def _new(subjects: Sequence[str]) -> str:
    """Returns who is new in the gallery, the first ones by name; empty where nobody is."""
    if not subjects:
        return ""
    others = f" and {len(subjects) - _NAMED} more" if len(subjects) > _NAMED else ""
    what = "new subject" if len(subjects) == 1 else "new subjects"
    return f"; {len(subjects)} {what}, {', '.join(map(name_and_id, subjects[:_NAMED]))}{others}"


@app.command("list")
@with_credentials
def list_subjects(
    to: To = DEFAULT,
    prefix: Annotated[str, typer.Option(help="Only ids that begin with it.")] = "",
    as_json: Json = False,
    json_out: JsonOut = None,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """List the subjects and how many entries each has."""
    with GalleryClient(to, credentials=credentials) as client:
        subjects = list(client.subjects(prefix))
    document = [plain(subject) for subject in subjects]
    if show_json("airreid gallery subject 1", document, as_json, json_out):
        return
    print_table(
        ("subject", "entries", "name"),
        [(subject.id, subject.entries, subject.display_name) for subject in subjects],
    )


@app.command()
@with_credentials
def entries(
    to: To = DEFAULT,
    subject: Annotated[str, typer.Option(help="Only this subject's.")] = "",
    camera: Annotated[str, typer.Option(help="Only this camera's.")] = "",
    as_json: Json = False,
    json_out: JsonOut = None,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """List entries."""
    with GalleryClient(to, credentials=credentials) as client:
        listed = list(client.entries(as_id(subject) if subject else "", camera))
    document = [plain(entry) for entry in listed]
    if show_json("airreid gallery entry 1", document, as_json, json_out):
        return
    rows = []
    for entry in listed:
        enrolled = local_time(entry.created_at.ToMicroseconds() / 1e6)
        quality = f"{entry.quality:.2f}" if entry.quality else ""
        people = (name_and_id(entry.subject), name_and_id(entry.camera))
        rows.append((entry.id, *people, enrolled, quality, entry.key))
    print_table(("entry", "subject", "camera", "enrolled", "quality", "key"), rows, cut=("key",))


@app.command()
@with_credentials
def delete(
    subjects: Annotated[
        list[str] | None, typer.Argument(help="Subjects to delete with all entries.")
    ] = None,
    entry: Annotated[
        list[int] | None, typer.Option(help="An entry's number; repeatable.", show_default=False)
    ] = None,
    to: To = DEFAULT,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Delete subjects, or single entries."""
    if not subjects and not entry:
        raise typer.BadParameter("name subjects, or give --entry")
    missing = False
    with GalleryClient(to, credentials=credentials) as client:
        for subject in subjects or ():
            count = client.delete_subject(as_id(subject))
            say(f"deleted {subject} and {count} entries")
        for number, status in client.delete_entries(entry or []):
            if ok(status):
                say(f"deleted entry {number}")
            else:
                missing = True
                say(f"error: {status.message}", err=True)
    if missing:
        raise typer.Exit(1)


@app.command()
@with_credentials
def merge(
    source: Annotated[str, typer.Argument(help="Is gone afterwards.")],
    into: Annotated[str, typer.Argument(help="Gets all its entries.")],
    to: To = DEFAULT,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Say that two subjects are one person."""
    with GalleryClient(to, credentials=credentials) as client:
        merged = client.merge(as_id(source), as_id(into))
    say(f"{merged.id} has {merged.entries} entries")


@app.command()
@with_credentials
def search(
    image: Image,
    to: To = DEFAULT,
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="Subjects to print.")] = 5,
    scheme: ComparedBy = "",
    as_json: Json = False,
    json_out: JsonOut = None,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Search for the person of an image, without a radio in between."""
    request = gallery_pb2.SearchRequest(image=read(image), top_k=top_k, scheme_id=scheme)
    with GalleryClient(to, credentials=credentials) as client:
        answer = client.search(request)
        calibrated = _calibrated(client, answer.decision.kind)
    document = plain(answer) | {"decision": decisions.plain(answer.decision)}
    if show_json("airreid gallery search 1", document, as_json, json_out):
        return
    print_table(
        ("subject", "score", "entry", "camera"),
        [
            (
                name_and_id(hit.subject),
                f"{hit.score:.3f}",
                hit.entry_id,
                name_and_id(hit.camera),
            )
            for hit in answer.subjects
        ],
    )
    threshold = answer.decision.threshold
    kind = _kind(answer.decision.kind, answer.scheme_id, calibrated)
    say(f"decision: {kind}{_from(threshold)}")


@app.command()
@with_credentials
def verify(
    subject: Annotated[str, typer.Argument(help="Whom it should be.")],
    image: Image,
    to: To = DEFAULT,
    scheme: ComparedBy = "",
    as_json: Json = False,
    json_out: JsonOut = None,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Is this the subject? Exits with 1 if the policy says that it is not a match."""
    request = gallery_pb2.VerifyRequest(subject=as_id(subject), image=read(image), scheme_id=scheme)
    with GalleryClient(to, credentials=credentials) as client:
        answer = client.verify(request)
        calibrated = _calibrated(client, answer.kind)
    document = plain(answer) | {"kind": decisions.from_wire(answer.kind)}
    if not show_json("airreid gallery verify 1", document, as_json, json_out):
        say(
            f"{subject}: score {answer.score:.3f} by entry {answer.entry_id}, "
            f"{_kind(answer.kind, answer.scheme_id, calibrated)}{_from(answer.threshold)}"
        )
    if decisions.from_wire(answer.kind) in ("unknown", "ambiguous"):
        raise typer.Exit(1)


def _calibrated(client: GalleryClient, value: common_pb2.DecisionKind.ValueType) -> list[str]:
    """Returns what the access point has thresholds for, where it has not decided."""
    if decisions.from_wire(value) != "unspecified":
        return []
    calibrated = json.loads(client.policy().match_policy)["schemes"]
    return [name for name in (*client.describe().scheme_ids, "features") if name in calibrated]


def _kind(
    value: common_pb2.DecisionKind.ValueType, scheme_id: str, calibrated: Sequence[str]
) -> str:
    kind = decisions.from_wire(value)
    if kind != "unspecified":
        return kind
    if calibrated:
        return f"none: calibrated for {', '.join(calibrated)}, this was {scheme_id}"
    return "none: nothing is calibrated ('airreid gallery calibrate')"


def _from(threshold: float) -> str:
    return f" (a match from {threshold:.3f} on)" if threshold else ""
