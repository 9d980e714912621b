"""Blocks that wait in the spool's file, each compared with its digest when it is read."""

from __future__ import annotations

import hashlib
import sqlite3

from google.protobuf.message import DecodeError

from airreid.v1 import uplink_pb2

DAMAGED = "the frame's block was altered in the spool's file"
_WAITING = "FROM frames WHERE state = 'waiting' AND sequence > ? ORDER BY sequence LIMIT ?"
Row = tuple[int, bytes | None, int | None]
"""Sequence, block, digest; a row of earlier code has no digest."""


def block_digest(block: bytes) -> int:
    """Returns 64 bits of BLAKE2b over a block as the file holds it, signed as SQLite's are."""
    return int.from_bytes(hashlib.blake2b(block, digest_size=8).digest(), "little", signed=True)


def waiting_rows(db: sqlite3.Connection, after: int, limit: int) -> list[Row]:
    """Returns up to ``limit`` rows with numbers above ``after``, in order.

    A row that the file cannot give has neither block nor digest. Raises :class:`sqlite3.Error`
    for a disk that gives nothing.
    """
    try:
        return db.execute(f"SELECT sequence, block, digest {_WAITING}", (after, limit)).fetchall()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:  # one page of it is broken: the index still names the rows
        numbers = db.execute(f"SELECT sequence {_WAITING}", (after, limit)).fetchall()
        return [_row(db, sequence) for (sequence,) in numbers]


def _row(db: sqlite3.Connection, sequence: int) -> Row:
    query = "SELECT sequence, block, digest FROM frames WHERE sequence = ?"
    try:
        row: Row = db.execute(query, (sequence,)).fetchone()
    except sqlite3.DatabaseError:
        return sequence, None, None
    return row


def read_block(row: Row) -> uplink_pb2.QueryRequest | None:
    """Returns the block of a row, without its number, or None for one that was altered."""
    _, data, expected = row
    if data is None or expected not in (None, block_digest(data)):
        return None
    try:
        return uplink_pb2.QueryRequest.FromString(data)
    except DecodeError:
        return None
