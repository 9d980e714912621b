"""The result log: what became of every accepted frame."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airreid import decisions
from airreid.errors import InputError
from airreid.v1 import common_pb2, uplink_pb2
from edge.spool_file import FILE, shown_text

_COLUMNS = (
    *("sequence", "state", "source", "name", "track_id", "accepted_at", "scheme_id", "link"),
    *("uses", "payload_bits", "crc_bits", "side_bits", "air_ms", "energy_uj", "encode_ms"),
    *("settled_at", "total_ms", "link_ms", "sends", "code", "message", "outage", "snr_db"),
    "identities",
)
_LATER_COLUMNS = ("decision",)
"""Columns that a spool of an earlier version lacks until an edge opens it."""
WRONG_BUNDLE = "wrong_bundle"
"""Code of an access point that serves another bundle than a block was made with."""
ALTERED = "altered"
"""Code of a row that somebody, or the disk, has altered."""
NO_REFUSALS = ("ok", "outage", "dropped")
"""Codes of answers that refuse nothing."""


@dataclass(frozen=True)
class Outcome:
    """An answer as it goes into the log."""

    sequence: int
    response: uplink_pb2.QueryResponse
    link_ms: float
    """Time from handing the block to the stream until its answer was read."""
    sends: int = 1
    """Times that the block was handed to a stream since this edge was started."""

    @property
    def code(self) -> str:
        """The status code's name without its prefix: ok, outage, wrong_bundle."""
        number = self.response.status.code
        try:
            name = common_pb2.Code.Name(number)
        except ValueError:  # a newer access point's
            return str(int(number))
        return name.removeprefix("CODE_").lower()

    @property
    def is_refusal(self) -> bool:
        """Whether the access point did not take the block: it answers nothing about it."""
        return self.code not in NO_REFUSALS

    @property
    def uses(self) -> int | None:
        """Channel uses that were heard of a block that came in pieces; None of another."""
        return self.response.uses_heard or None

    @property
    def message(self) -> str:
        return self.response.status.message[:1000]

    @property
    def outage(self) -> bool:
        return self.response.outage

    @property
    def snr_db(self) -> float | None:
        return self.response.channel.snr_db if self.response.HasField("channel") else None


def identities(response: uplink_pb2.QueryResponse) -> list[dict[str, Any]]:
    """Returns the ranked subjects as plain values for JSON.

    ``identity`` is the subject again, for programs that read the log of an earlier version.
    """
    return [
        {
            "subject": match.subject,
            "identity": match.subject,
            "score": round(match.score, 6),
            "entry": match.entry_id,
            "camera": match.camera,
        }
        for match in response.identities
    ]


def identities_json(response: uplink_pb2.QueryResponse) -> str:
    """Returns the ranked subjects as the spool stores them, where a subject is an ``identity``."""
    rows = identities(response)
    for row in rows:
        del row["subject"]
    return json.dumps(rows, separators=(",", ":"))


def decision_json(response: uplink_pb2.QueryResponse) -> str:
    """Returns the decision as the spool stores it."""
    return json.dumps(decisions.plain(response.decision), separators=(",", ":"))


def read(folder: Path, state: str = "", last: int = 0) -> Iterator[dict[str, Any]]:
    """Yields the rows of the log in ``folder``, the oldest first, while an edge may be writing it.

    ``state`` picks waiting, answered or dropped rows, ``last`` so many of the newest; empty
    and 0 mean all. Raises :class:`InputError` if there is no spool that can be read.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{folder}: no spool here; give the --spool of 'airreid edge serve'")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as db:
            db.text_factory = shown_text  # one damaged row hides no others
            present = {column[1] for column in db.execute("PRAGMA table_info(frames)")}
            columns = (*_COLUMNS, *(name for name in _LATER_COLUMNS if name in present))
            for values in db.execute(_query(columns, last), (state, last)):
                yield _plain(dict(zip(columns, values, strict=True)))
    except sqlite3.Error as error:
        raise InputError(f"{path}: cannot be read as a spool ({error})") from None


def _query(columns: Sequence[str], last: int) -> str:
    query = f"SELECT {', '.join(columns)} FROM frames WHERE (?1 = '' OR state = ?1)"
    if last:
        return f"SELECT * FROM ({query} ORDER BY sequence DESC LIMIT ?2) ORDER BY sequence"
    return f"{query} AND ?2 = 0 ORDER BY sequence"


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Times as seconds since 1970, flags as flags, the decision and the subjects as values.

    What was altered in the file is None, and the row's code and message say so.
    """
    is_altered = False
    for key, value in row.items():
        if isinstance(value, float) and not math.isfinite(value):
            row[key], is_altered = None, True
    for key in ("accepted_at", "settled_at", "encode_ms", "total_ms", "link_ms"):
        if row[key] is not None:
            row[key] = round(row[key], 3)
    row["outage"] = None if row["outage"] is None else bool(row["outage"])
    decision, stored = row.pop("decision", None), row.pop("identities")
    row["decision"] = ranked = None
    try:
        if decision is not None:
            row["decision"] = json.loads(decision)
            decisions.words(row["decision"])
        if stored is not None:
            ranked = [_ranked(match) for match in json.loads(stored)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        row["decision"], is_altered = None, True
    is_altered |= row["state"] == "answered" and (ranked is None or row["code"] is None)
    if is_altered:
        row |= {"code": ALTERED, "message": "the row was altered in the spool's file"}
    return row | ranked_fields(ranked)


def _ranked(match: dict[str, Any]) -> dict[str, Any]:
    """Returns a ranked subject that the spool stores; raises for what is none."""
    if not isinstance(match["identity"], str) or not math.isfinite(match["score"]):
        raise ValueError("no ranked subject")
    return {"subject": match["identity"], **match}


def ranked_fields(ranked: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Returns ranked subjects as fields of an answer; None: nobody has answered.

    ``identities``, and ``identity`` in it, are what ``subjects`` and ``subject`` were called
    before; programs that read the old names find them until the next version of the schema.
    """
    if ranked is None:
        return {"subjects": None, "identities": None}
    subjects = [{name: row[name] for name in row if name != "identity"} for row in ranked]
    return {"subjects": subjects, "identities": ranked}
