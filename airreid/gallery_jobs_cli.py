"""``airreid gallery``: policy and long work of an access point."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from airreid import calibration_text
from airreid.calibration_figure import NO_RULE, check_figure, draw_reliability
from airreid.client import GalleryClient
from airreid.console import print_table, progress_bars, say
from airreid.credential_options import with_credentials
from airreid.credentials import NOBODY, ClientCredentials
from airreid.disk import read_given_text
from airreid.errors import InputError, LinkError, UnfinishedError
from airreid.json_output import Json, JsonOut, check_json, show_json
from airreid.local_time import local_time
from airreid.plain_messages import plain
from airreid.v1 import gallery_pb2

DEFAULT = "127.0.0.1:50052"
To = Annotated[str, typer.Option(help="HOST:PORT of the access point's gRPC.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until it is done.")]
_OVER = ("done", "failed", "cancelled")
_ASK_SECONDS = 0.25
_SUMMARY = 60
_DOCUMENT_BYTES_MAX = 1024 * 1024
"""Characters of a result that the list of jobs shows."""


def add_commands(app: typer.Typer) -> None:
    """Adds the commands of this module to ``airreid gallery``."""
    for command in (policy, jobs, cancel, calibrate, backup, export, reindex, scrub):
        app.command(command.__name__)(with_credentials(command))
    app.command("import")(with_credentials(import_))
    app.command("prove-deleted")(with_credentials(prove_deleted))


def run(
    client: GalleryClient, kind: str, parameters: dict[str, str], wait: bool
) -> dict[str, object] | None:
    """Starts a job and follows it; its result, or None where nobody waits.

    Raises :class:`UnfinishedError` if it fails. An interrupt cancels the job.
    """
    job = client.start_job(kind, {k: v for k, v in parameters.items() if v != ""})
    if not wait:
        say(f"{job.id} started; 'airreid gallery jobs' shows how far it is")
        return None
    try:
        with progress_bars() as bars:
            task = bars.add_task(kind.replace("_", " "), total=None)
            while job.state not in _OVER:
                time.sleep(_ASK_SECONDS)
                job = client.job(job.id)
                bars.update(task, completed=job.done, total=job.total or None)
    except (KeyboardInterrupt, SystemExit):
        with contextlib.suppress(LinkError):
            say(f"{job.id}: {client.cancel_job(job.id).state}", err=True)
        raise
    if job.state != "done":
        raise UnfinishedError(f"{kind} {job.state}: {job.result or 'no reason given'}")
    result: dict[str, object] = json.loads(job.result)
    return result


def policy(
    to: To = DEFAULT,
    match_policy: Annotated[
        Path | None, typer.Option(help="JSON file to put in force.", show_default=False)
    ] = None,
    quality_gate: Annotated[
        Path | None, typer.Option(help="JSON file to put in force.", show_default=False)
    ] = None,
    restore: Annotated[
        bool, typer.Option("--restore", help="Put the match policy before this one in force again.")
    ] = False,
    always_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, also of what was set.")
    ] = False,
    json_out: JsonOut = None,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Print when a match is a match and which images are good enough, or set it."""
    if restore and match_policy is not None:
        raise InputError("--restore: leave --match-policy out")
    texts = [_read(path) for path in (match_policy, quality_gate)]
    with GalleryClient(to, credentials=credentials) as client:
        if restore:
            texts[0] = client.policy().previous_match_policy
            if not texts[0]:
                raise InputError("--restore: no match policy was in force before this one")
        if any(texts):
            now = client.set_policy(
                gallery_pb2.Policy(match_policy=texts[0], quality_gate=texts[1])
            )
        else:
            now = client.policy()
    documents = {
        "match_policy": json.loads(now.match_policy),
        "quality_gate": json.loads(now.quality_gate),
    }
    as_json = always_json or not any(texts)
    if not show_json("airreid gallery policy 1", documents, as_json, json_out):
        for line in _now(documents, *map(bool, texts)):
            say(line)


def _now(documents: Mapping[str, Any], match_policy: bool, quality_gate: bool) -> list[str]:
    """Says in a line each what is in force of the documents that were set."""
    lines, policy = [], documents["match_policy"]
    if match_policy and not policy["schemes"]:
        lines.append("in force: a match policy without thresholds")
    elif match_policy:
        people = f", calibrated on {policy['subjects']} subjects" if policy["subjects"] else ""
        lines.append(
            f"in force: a match policy of false-match rate {policy['false_match_rate']:g} for "
            f"{', '.join(policy['schemes'])}{people}"
        )
    if quality_gate:
        lines.append(f"in force: a quality gate of mode {documents['quality_gate']['mode']}")
    return lines


def _read(path: Path | None) -> str:
    return "" if path is None else read_given_text(path, _DOCUMENT_BYTES_MAX)


def jobs(
    to: To = DEFAULT,
    as_json: Json = False,
    json_out: JsonOut = None,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """List long work, the newest first."""
    with GalleryClient(to, credentials=credentials) as client:
        listed = client.jobs()
    document = [plain(job) for job in listed]
    if show_json("airreid gallery job 1", document, as_json, json_out):
        return
    rows = []
    for job in listed:
        done = f"{job.done} of {job.total}" if job.total else ""
        started = local_time(job.created_at.ToMicroseconds() / 1e6)
        rows.append((job.id, job.kind, job.state, done, started, _summary(job.result)))
    print_table(("job", "kind", "state", "done", "started", "result"), rows, cut=("result",))


def _summary(result: str) -> str:
    """Says in few words what a job gave: the plain values of its document, or what went wrong."""
    try:
        document = json.loads(result)
    except ValueError:
        return result[:_SUMMARY]
    values = document.items() if isinstance(document, dict) else ()
    plain_values = (
        f"{name} {json.dumps(value) if isinstance(value, bool) else value}"
        for name, value in values
        if value != "" and not isinstance(value, (list, dict))
    )
    return ", ".join(plain_values)[:_SUMMARY]


def cancel(
    job: Annotated[str, typer.Argument(help="As 'jobs' shows it.")],
    to: To = DEFAULT,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Tell a job to stop."""
    with GalleryClient(to, credentials=credentials) as client:
        say(f"{job}: {client.cancel_job(job).state}")


def calibrate(
    to: To = DEFAULT,
    false_match_rate: Annotated[
        float, typer.Option(help="Share of impostors' queries that may match somebody.")
    ] = 0.01,
    confidence: Annotated[
        float, typer.Option(help="How sure it must be that the share is kept, below 1.")
    ] = 0.95,
    scheme: Annotated[
        list[str] | None,
        typer.Option(help="Scheme id; may be repeated. All of the bundle if left out."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    new_cameras: Annotated[
        bool,
        typer.Option(
            "--new-cameras", help="Queries come from cameras that nobody is enrolled from."
        ),
    ] = False,
    min_true_matches: Annotated[
        float,
        typer.Option(help="Share of known people that a scheme must match at its best SNR."),
    ] = 0.05,
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Put the thresholds in force.")
    ] = True,
    figure: Annotated[
        Path | None,
        typer.Option(
            help="Draw how far a fitted stopping rule's probabilities came true: FILE.svg, .png "
            "and .pdf.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report.")] = False,
    json_out: JsonOut = None,
    wait: Wait = True,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Find the thresholds that keep a false-match rate, from the enrolled entries.

    Shows what other rates would cost, too, before anything is put in force. Exits with 1 if
    nobody would be recognised; the policy then stays as it is.
    """
    parameters = {
        "false_match_rate": str(false_match_rate),
        "confidence": str(confidence),
        "schemes": ",".join(scheme or ()),
        "seed": str(seed),
        "new_cameras": str(new_cameras).lower(),
        "min_true_match_rate": str(min_true_matches),
        "apply": str(apply and not wait).lower(),  # here it is applied once it has been shown
    }
    check_json(json_out)
    if figure is not None:
        check_figure(figure, wait)
    with GalleryClient(to, credentials=credentials) as client:
        result: Any = run(client, "calibrate", parameters, wait)
        if result is None:
            return
        report, in_force = result["report"], ""
        if not as_json:
            calibration_text.show(report)
        if apply and not result["refused"]:
            client.set_policy(gallery_pb2.Policy(match_policy=json.dumps(result["policy"])))
            result["applied"] = True
            in_force = _in_force(result["policy"]["schemes"], client.describe().scheme_ids)
    if figure is not None and not draw_reliability(report, figure):  # may fail, so after the rest
        say(f"{figure}: not drawn; {NO_RULE}", err=True)
    if show_json("airreid gallery calibrate 1", result, as_json, json_out):
        pass
    elif result["applied"]:
        say(f"{in_force}; 'airreid gallery policy --restore' brings the one before back")
    elif not result["refused"]:
        say("not put in force")
    if result["refused"]:
        say(f"error: not put in force: {result['refused']}", err=True)
        raise typer.Exit(1)


def _in_force(calibrated: Collection[str], schemes: Collection[str]) -> str:
    """Says for which of a bundle's schemes thresholds are in force, and for how many not."""
    names = [name for name in schemes if name in calibrated]
    without = len(schemes) - len(names)
    if not without:
        return "in force for all schemes of the bundle"
    others = "the bundle's other one" if without == 1 else f"the bundle's {without} others"
    return f"in force for {', '.join(names)}; there is no decision by {others}"


Name = Annotated[str, typer.Option(help="Name of the file in the access point's data folder.")]
AlwaysJson = Annotated[bool, typer.Option("--json", help="Print JSON, as without it.")]


def backup(
    to: To = DEFAULT,
    name: Name = "",
    wait: Wait = True,
    always_json: AlwaysJson = False,
    json_out: JsonOut = None,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Copy the gallery's database into the data folder's backups, while it is served."""
    with GalleryClient(to, credentials=credentials) as client:
        result = run(client, "backup", {"name": name}, wait)
    _print("backup", result, json_out)


def export(
    to: To = DEFAULT,
    name: Name = "",
    wait: Wait = True,
    always_json: AlwaysJson = False,
    json_out: JsonOut = None,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Write everybody into an archive in the data folder's archives."""
    with GalleryClient(to, credentials=credentials) as client:
        result = run(client, "export", {"name": name}, wait)
    _print("export", result, json_out)


def import_(
    name: Annotated[str, typer.Argument(help="An archive in the data folder's archives.")],
    to: To = DEFAULT,
    on_conflict: Annotated[
        str, typer.Option(help="skip, replace or fail, where a subject is there already.")
    ] = "skip",
    wait: Wait = True,
    always_json: AlwaysJson = False,
    json_out: JsonOut = None,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Read people from an archive."""
    with GalleryClient(to, credentials=credentials) as client:
        result = run(client, "import", {"name": name, "on_conflict": on_conflict}, wait)
    _print("import", result, json_out)


def reindex(
    to: To = DEFAULT,
    allow_unserved: Annotated[
        bool,
        typer.Option(
            "--allow-unserved", help="Go on although some subjects have no picture to encode."
        ),
    ] = False,
    wait: Wait = True,
    as_json: Json = False,
    json_out: JsonOut = None,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Encode all entries anew after a change of the model, from their thumbnails."""
    with GalleryClient(to, credentials=credentials) as client:
        parameters = {"allow_unserved": str(allow_unserved).lower()}
        result = run(client, "reindex", parameters, wait)
    if result is None or show_json("airreid gallery reindex 1", result, as_json, json_out):
        return
    say(reindexed(result))


def reindexed(result: Mapping[str, Any]) -> str:
    """Says in words what a reindex has done."""
    parts = [f"encoded {result['encoded']} entries anew"]
    if result["failed"]:
        number, reason = result["failed"][0]
        parts.append(f"{len(result['failed'])} could not be (entry {number}: {reason})")
    if result["unserved_count"]:
        named = ", ".join(result["unserved"][:20])
        parts.append(f"{result['unserved_count']} subjects have no picture to encode: {named}")
    switched = result["switched"]
    parts.append("the bundle's feature space is served" if switched else "nothing was switched")
    return "; ".join(parts)


def scrub(
    to: To = DEFAULT,
    wait: Wait = True,
    always_json: AlwaysJson = False,
    json_out: JsonOut = None,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Read and compare all that the access point keeps: file, features, indexes, audit log.

    Says what it found, and mends what it can: damaged entries are served no more until they are
    enrolled anew, indexes are made anew. Exits with 1 if it found anything.
    """
    with GalleryClient(to, credentials=credentials) as client:
        result = run(client, "scrub", {}, wait)
    _print("scrub", result, json_out)
    if result is not None and not result["clean"]:
        raise typer.Exit(1)


def prove_deleted(
    entry: Annotated[list[int], typer.Argument(help="Numbers of entries.")],
    to: To = DEFAULT,
    delete: Annotated[
        bool,
        typer.Option("--delete", help="Delete them first, and search for their bytes as well."),
    ] = False,
    wait: Wait = True,
    always_json: AlwaysJson = False,
    json_out: JsonOut = None,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Search every file for entries that have been deleted."""
    with GalleryClient(to, credentials=credentials) as client:
        numbers = ",".join(str(number) for number in entry)
        parameters = {"entries": numbers, "delete": str(delete).lower()}
        result = run(client, "prove_deleted", parameters, wait)
    _print("prove-deleted", result, json_out)


def _print(command: str, result: dict[str, object] | None, file: Path | None) -> None:
    if result is not None:
        show_json(f"airreid gallery {command} 1", result, True, file)
