"""Answers, rows and states as people read them."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from airreid import decisions
from airreid.disk import open_private
from airreid.errors import InputError
from airreid.images import load
from airreid.local_time import local_time
from airreid.subject_ids import name_and_id
from airreid.v1 import edge_pb2
from edge import results
from edge.airtime import Radio
from edge.contact_sheet import Query, contact_sheet
from edge.oneshot import Sent


class Line(NamedTuple):
    """A line of a listing: what counts, and what is shown in grey behind it."""

    text: str
    faint: str = ""


def file_name(path: Path) -> str:
    """Returns the end of a long path, ``<identity>/<camera>/<image>``, and a short one whole."""
    end = Path(*path.parts[-3:])
    return str(path if path == Path(path.root) / end else end)


def sent_line(outcome: Sent, width: int) -> Line:
    """Returns the line of an image, whose name fills ``width`` characters.

    The decision comes first; the nearest subjects, of whom one is always the nearest, are faint.
    """
    name, response = file_name(outcome.path), outcome.response
    if outcome.error or response is None:
        return Line(f"{name:<{width}}  {'error':>8}  (see below)")
    snr = f"{response.channel.snr_db:+g} dB" if response.HasField("channel") else "direct"
    uses = f"{outcome.cost.uses:>4} uses  " if outcome.cost else ""
    head = f"{name:<{width}}  {response.link:<6}  {snr:>8}  {uses}{outcome.latency_ms:6.1f} ms"
    if response.outage:
        return Line(f"{head}  outage: {response.status.message}")
    decided = decisions.plain(response.decision)
    nearest = [(match.subject, match.score) for match in response.identities]
    return _decided_line(head, decided, nearest)


def air_line(outcomes: Sequence[Sent], radio: Radio) -> str:
    """Returns the channel uses of the blocks that were answered, one at least, beside those of
    whole blocks.
    """
    answered = [outcome for outcome in outcomes if outcome.cost and not outcome.error]
    uses = sum(outcome.cost.uses for outcome in answered if outcome.cost)
    whole = sum(outcome.whole_uses for outcome in answered)
    mean = f"{uses / len(answered):.0f} a block"
    if radio.symbol_rate is not None:
        mean += f" ({uses / len(answered) / radio.symbol_rate * 1e3:.1f} ms of air)"
    return (
        f"{len(answered)} answered with {uses} channel uses, {mean}; "
        f"whole blocks take {whole}: {uses / whole:.0%}"
    )


def error_lines(outcomes: Sequence[Sent]) -> list[str]:
    """Returns the errors, each once, with the number of images that it holds for."""
    counts = Counter(outcome.error for outcome in outcomes if outcome.error)
    return [error if count == 1 else f"{count} images: {error}" for error, count in counts.items()]


def _decided_line(
    head: str,
    decision: decisions.PlainDecision | None,
    nearest: Sequence[tuple[str, float]],
    undecided: str = "",
) -> Line:
    """Returns a line that ends in a decision; ``undecided`` says why there is none."""
    verdict = decisions.UNDECIDED if decision is None else decisions.words(decision)
    if undecided:
        verdict = f"{verdict} ({undecided})"
    if not nearest:
        verdict = "unknown (the gallery is empty)"
    ranking = "  ".join(f"{name_and_id(subject)} {score:.3f}" for subject, score in nearest)
    return Line(f"{head}  {verdict}", ranking)


def undecided(outcomes: Sequence[Sent]) -> list[str]:
    """Returns why answers that name subjects have no decision, each reason once."""
    responses = (outcome.response for outcome in outcomes)
    reasons = dict.fromkeys(
        response.status.message
        for response in responses
        if response is not None
        and response.identities
        and decisions.from_wire(response.decision.kind) == "unspecified"
    )
    return [
        f"no decision: the access point is {reason or 'not calibrated'}, so the nearest may be a "
        "stranger; 'airreid gallery calibrate' there finds from which score on it is a match"
        + ("; or send by a calibrated scheme (--scheme)" if reason else "")
        for reason in reasons
    ]


def row_line(row: dict[str, Any]) -> Line:
    """Returns a row of the result log as a line; the decision first, the nearest faint."""
    refused = row["state"] == "answered" and row["code"] not in results.NO_REFUSALS
    state = "refused" if refused else row["state"]
    accepted_at = row["accepted_at"]
    accepted = "?" if accepted_at is None else local_time(accepted_at, "T", "milliseconds")
    head = f"{row['sequence']:>8}  {accepted}  {state:<8}  {row['name']}"
    if row["track_id"]:
        head += f"  track {row['track_id']}"
    head += f"  {row['scheme_id']} {row['link']}"
    if row["snr_db"] is not None:
        head += f" {row['snr_db']:+.3g} dB"
    if row["state"] != "answered":
        return Line(head + (f"  {row['message']}" if row["message"] else ""))
    head += f"  {row['uses']} uses"
    if row["total_ms"] is not None:
        head += f"  {row['total_ms']:.0f} ms"
    if row["code"] != "ok":
        return Line(f"{head}  {row['code']}: {row['message']}")
    nearest = [(match["subject"], match["score"]) for match in row["identities"][:3]]
    return _decided_line(head, row["decision"], nearest, row["message"])


def state_line(state: edge_pb2.EdgeState) -> str:
    link = "up" if state.connected else "down"
    return (
        f"{state.edge_id}: {state.scheme_id} {state.link}; link {link}; "
        f"{state.accepted} frames accepted, {state.waiting} waiting"
    ) + (f"; refused: {state.refusal}" if state.refusal else "")


def check_picture(path: Path) -> None:
    """Refuses a file that a picture cannot be written to: :class:`InputError`."""
    if path.suffix.lower() not in Image.registered_extensions():
        raise InputError(f"{path}: pictures end in .png, .jpg or .webp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        open_private(path, "ab").close()  # it shows people
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def save_picture(path: Path, outcomes: Sequence[Sent]) -> None:
    """Draws crops and answers. Raises :class:`InputError` if it cannot be written."""
    try:
        contact_sheet([_query(outcome) for outcome in outcomes]).save(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be written ({error})") from None


def _query(outcome: Sent) -> Query:
    title = file_name(outcome.path)
    try:
        image = load(outcome.path)
    except InputError:
        image = None
    response = outcome.response
    if outcome.error or response is None:
        reason = outcome.error.removeprefix(f"{outcome.path}: ")
        return Query(image, title, _wrapped(f"error: {reason}"), good=False)
    if response.outage:
        return Query(image, title, _wrapped(f"outage: {response.status.message}"), good=False)
    nearest = [f"{match.score:.3f}  {name_and_id(match.subject)}" for match in response.identities]
    if not nearest:
        return Query(image, title, ["unknown", "(the gallery is empty)"])
    return Query(image, title, [decisions.words(decisions.plain(response.decision))], nearest)


def _wrapped(text: str, width: int = 32) -> list[str]:
    return textwrap.wrap(text, width)
