"""Answers, rows and states as people read them."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from PIL import Image

from airreid.disk import open_private
from airreid.errors import InputError
from airreid.images import load
from airreid.v1 import edge_pb2
from edge.contact_sheet import Query, contact_sheet
from edge.oneshot import Sent


def sent_lines(outcomes: Sequence[Sent]) -> list[str]:
    """One line an image, aligned; long paths keep their end."""
    names = ["/".join(outcome.path.parts[-3:]) for outcome in outcomes]
    width = max(map(len, names), default=0)
    lines = []
    for name, outcome in zip(names, outcomes, strict=True):
        response = outcome.response
        if outcome.error or response is None:
            lines.append(f"{name:<{width}}  {'error':>8}  (see below)")
            continue
        snr = f"{response.channel.snr_db:+g} dB" if response.HasField("channel") else "direct"
        ranked = "  ".join(f"{m.subject} {m.score:.3f}" for m in response.identities)
        if response.outage:
            ranked = f"outage: {response.status.message}"
        ranked = ranked or "(the gallery is empty)"
        head = f"{name:<{width}}  {response.link:<6}  {snr:>8}  {outcome.latency_ms:6.1f} ms"
        lines.append(f"{head}  {ranked}")
    return lines


def row_line(row: dict[str, Any]) -> str:
    """One row of the result log, as a line."""
    head = f"{row['sequence']:>8}  {row['accepted_at'][:23]}  {row['state']:<8}  {row['name']}"
    if row["track_id"]:
        head += f"  track {row['track_id']}"
    head += f"  {row['scheme_id']} {row['link']}"
    if row["snr_db"] is not None:
        head += f" {row['snr_db']:+.3g} dB"
    if row["state"] != "answered":
        return head + (f"  {row['message']}" if row["message"] else "")
    head += f"  {row['total_ms']:.0f} ms"
    if row["code"] != "ok":
        return f"{head}  {row['code']}: {row['message']}"
    ranked = "  ".join(
        f"{match['identity']} {match['score']:.3f}" for match in row["identities"][:3]
    )
    return f"{head}  {ranked or '(the gallery is empty)'}"


def state_json(state: edge_pb2.EdgeState) -> str:
    fields = MessageToDict(
        state, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    fields |= {"accepted": state.accepted, "waiting": state.waiting}  # 64 bits would be text
    return json.dumps(fields, indent=2)


def state_line(state: edge_pb2.EdgeState) -> str:
    link = "up" if state.connected else "down"
    return (
        f"{state.edge_id}: {state.scheme_id} {state.link}; link {link}; "
        f"{state.accepted} frames accepted, {state.waiting} waiting"
    )


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
    title = "/".join(outcome.path.parts[-3:])
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
    lines = [f"{match.score:.3f}  {match.subject}" for match in response.identities]
    return Query(image, title, lines or ["(the gallery is empty)"])


def _wrapped(text: str, width: int = 32) -> list[str]:
    return textwrap.wrap(text, width)
