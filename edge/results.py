"""The result log: what became of every accepted frame."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airreid.errors import InputError
from airreid.v1 import common_pb2, uplink_pb2
from edge.spool_file import FILE

_COLUMNS = (
    *("sequence", "state", "source", "name", "track_id", "accepted_at", "scheme_id", "link"),
    *("uses", "payload_bits", "crc_bits", "side_bits", "air_ms", "energy_uj", "encode_ms"),
    *("settled_at", "total_ms", "link_ms", "sends", "code", "message", "outage", "snr_db"),
    "identities",
)


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
    def message(self) -> str:
        return self.response.status.message[:1000]

    @property
    def outage(self) -> bool:
        return self.response.outage

    @property
    def snr_db(self) -> float | None:
        return self.response.channel.snr_db if self.response.HasField("channel") else None


def identities(response: uplink_pb2.QueryResponse) -> list[dict[str, Any]]:
    """The ranked identities as plain values for JSON."""
    return [
        {
            "identity": match.subject,
            "score": round(match.score, 6),
            "entry": match.entry_id,
            "camera": match.camera,
        }
        for match in response.identities
    ]


def identities_json(response: uplink_pb2.QueryResponse) -> str:
    return json.dumps(identities(response), separators=(",", ":"))


def read(folder: Path, state: str = "", last: int = 0) -> Iterator[dict[str, Any]]:
    """Yields the rows of the log in ``folder``, the oldest first, while an edge may be writing it.

    ``state`` picks waiting, answered or dropped rows, ``last`` so many of the newest; empty
    and 0 mean all. Raises :class:`InputError` if there is no spool that can be read.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{folder}: no spool here; give the --spool of 'airreid edge serve'")
    query = f"SELECT {', '.join(_COLUMNS)} FROM frames WHERE (?1 = '' OR state = ?1)"
    if last:
        query = f"SELECT * FROM ({query} ORDER BY sequence DESC LIMIT ?2) ORDER BY sequence"
    else:
        query += " AND ?2 = 0 ORDER BY sequence"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as db:
            for row in db.execute(query, (state, last)):
                yield _plain(dict(zip(_COLUMNS, row, strict=True)))
    except sqlite3.Error as error:
        raise InputError(f"{path}: cannot be read as a spool ({error})") from None


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Times as text, flags as flags, identities as a list."""
    for key in ("accepted_at", "settled_at"):
        if row[key] is not None:
            row[key] = datetime.fromtimestamp(row[key], UTC).isoformat(timespec="milliseconds")
    for key in ("encode_ms", "total_ms", "link_ms"):
        if row[key] is not None:
            row[key] = round(row[key], 3)
    row["outage"] = None if row["outage"] is None else bool(row["outage"])
    row["identities"] = None if row["identities"] is None else json.loads(row["identities"])
    return row
