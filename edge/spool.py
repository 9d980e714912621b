"""The edge's promises: accepted frames on disk, each with one row for ever.

A row is a frame's block while it waits and its result afterwards. Rows are numbered when
they are accepted, and the number is the block's sequence: it only grows, over restarts too.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from airreid import log
from airreid.errors import InputError
from airreid.v1 import common_pb2, uplink_pb2
from edge import clock
from edge.frames import SpoolDiskError, SpoolFullError
from edge.results import Outcome, decision_json, identities_json
from edge.spool_entry import Entry, row_of
from edge.spool_file import hold, open_database
from edge.waiting_blocks import DAMAGED, read_block, waiting_rows

RESERVE_BYTES = 8 * 1024 * 1024
"""Disk that frames do not get: twice what the write-ahead log takes in normal use."""


class Spool:
    """Rows in one SQLite file, or in memory; every method is safe in any thread.

    What a method has written when it returns survives a kill and a power cut (write-ahead
    log, ``synchronous=FULL``). One process at a time: the file beside, ``*.lock``, is held.
    """

    def __init__(
        self,
        folder: Path | None,
        edge_id: str,
        capacity: int = 10_000,
        first_sequence: int = 1,
    ) -> None:
        """``folder`` None keeps everything in memory. ``capacity``: rows that may wait.

        ``first_sequence`` is the number of the first row of a spool in memory; on disk it is 1.

        Raises :class:`InputError` for a spool that is in use, damaged, or another edge's.
        """
        self.edge_id = edge_id
        self._folder = folder
        self.capacity = capacity
        self._lock = threading.RLock()
        self._held = None if folder is None else hold(folder)
        try:
            self._db, self.spool_id = open_database(folder, edge_id)
        except InputError:
            if self._held is not None:
                self._held.close()
            raise
        self._first_sequence = first_sequence if folder is None else 1
        self._on_accept: list[Callable[[], None]] = []
        self._on_reject: list[Callable[[list[int]], None]] = []
        self._damaged: set[int] = set()
        try:
            self._waiting = self._begin(clock.now())
        except sqlite3.Error as error:
            self.close()
            raise InputError(
                f"{folder}: its spool cannot be written ({error}); make room or mend the disk, "
                "or move the file away: what waits in it will then not be sent"
            ) from None

    def _begin(self, now: clock.Moment) -> int:
        """Takes over what an earlier run has left; returns how many frames wait."""
        self._rebase(now)
        self._drop("sequence < ?4", 1, DAMAGED, now)  # frames are numbered from 1 on
        count = self._db.execute("SELECT count(*) FROM frames WHERE state = 'waiting'")
        return int(count.fetchone()[0])

    def _rebase(self, now: clock.Moment) -> None:
        """Gives what waits from an earlier boot a time of this one, by the wall clock."""
        self._db.execute(
            "UPDATE frames SET boot_id = ?1, uptime = ?2 - max(0, ?3 - accepted_at) "
            "WHERE state = 'waiting' AND boot_id != ?1",
            (now.boot_id, now.uptime, now.wall),
        )

    def close(self) -> None:
        with self._lock:
            self._db.close()
            if self._held is not None:
                self._held.close()

    @property
    def waiting(self) -> int:
        """Rows that wait for their answer."""
        return self._waiting

    @property
    def room(self) -> int:
        """Rows that can still be accepted."""
        return max(0, self.capacity - self._waiting)

    @property
    def accepted(self) -> int:
        """Rows accepted ever, those cleared away included."""
        return self._last_sequence() - self._first_sequence + 1

    def _last_sequence(self) -> int:
        with self._lock:
            row = self._db.execute(
                "SELECT seq FROM sqlite_sequence WHERE name = 'frames'"
            ).fetchone()
        return row[0] if row else self._first_sequence - 1

    def on_accept(self, listener: Callable[[], None]) -> None:
        """Calls ``listener`` after rows were accepted, in the thread that offered them."""
        self._on_accept.append(listener)

    def on_reject(self, listener: Callable[[list[int]], None]) -> None:
        """Calls ``listener`` with the numbers of frames that are found damaged in the file and
        given up, in the thread that read them."""
        self._on_reject.append(listener)

    def accept(self, entries: Sequence[Entry]) -> list[int]:
        """Stores entries in one transaction and returns their sequence numbers.

        Raises :class:`SpoolFullError` if they do not all fit, and :class:`SpoolDiskError`
        if the disk does not take them; then none is accepted.
        """
        now = clock.now()
        with self._lock:
            if len(entries) > self.room:
                raise SpoolFullError(
                    f"the spool is full: {self._waiting} blocks wait for the link; "
                    "offer the frame again later"
                )
            self._check_disk()
            try:
                with self._transaction():
                    sequences = [self._insert(entry, now) for entry in entries]
            except sqlite3.Error as error:
                raise SpoolDiskError(
                    f"the spool's disk does not take the frame ({error}); make room on it"
                ) from None
            self._waiting += len(entries)
        for listener in self._on_accept:
            listener()
        return sequences

    def _check_disk(self) -> None:
        """Leaves room for answers: they, too, are written, and only they make room again."""
        if self._folder is None:
            return
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            raise SpoolDiskError(f"{self._folder}: {error.strerror}; mend the disk") from None
        if free < RESERVE_BYTES:
            raise SpoolDiskError(
                f"{self._folder}: {free >> 10} KiB are free on the spool's disk and the last "
                f"{RESERVE_BYTES >> 10} are kept for answers; make room on it"
            )

    def _insert(self, entry: Entry, now: clock.Moment) -> int:
        row = row_of(entry, now)
        if self._first_sequence != 1 and not self.accepted:
            row["sequence"] = self._first_sequence  # SQLite itself begins with 1
        cursor = self._db.execute(
            f"INSERT INTO frames ({', '.join(row)}) VALUES ({', '.join(':' + key for key in row)})",
            row,
        )
        return cursor.lastrowid or 0

    def block_id(self, sequence: int) -> common_pb2.BlockId:
        return common_pb2.BlockId(edge_id=self.edge_id, spool_id=self.spool_id, sequence=sequence)

    def blocks(self, after: int, limit: int) -> list[uplink_pb2.QueryRequest]:
        """Reads up to ``limit`` waiting blocks with numbers above ``after``, the oldest first.

        Those that were altered in the file are rejected, each with its row, and passed over.
        """
        while True:
            with self._lock:
                rows = waiting_rows(self._db, after, limit)
            blocks, damaged = [], []
            for row in rows:
                if (block := read_block(row)) is None:
                    damaged.append(row[0])
                else:
                    block.id.CopyFrom(self.block_id(row[0]))
                    blocks.append(block)
            self._reject(damaged)
            if blocks or not rows:
                return blocks
            after = rows[-1][0]

    def _reject(self, damaged: Sequence[int]) -> None:
        """Gives up frames whose blocks were altered in the file, once each."""
        new = [sequence for sequence in damaged if sequence not in self._damaged]
        if not new:
            return
        self._damaged.update(new)
        log.warning("frames_damaged", count=len(new), sequences=new[:20])
        for sequence in new:
            try:
                with self._lock:
                    self._waiting -= self._drop("sequence = ?4", sequence, DAMAGED, clock.now())
            except sqlite3.Error as error:  # its page is broken: it waits for ever, unsent
                log.warning("frame_not_rejected", sequence=sequence, error=str(error))
        for listener in self._on_reject:
            listener(new)

    def _drop(self, where: str, value: float, message: str, now: clock.Moment) -> int:
        """Ends waiting rows without an answer; how many."""
        return self._db.execute(
            "UPDATE frames SET state = 'dropped', block = NULL, settled_at = ?1, "
            f"total_ms = 1000 * (?2 - uptime), message = ?3 WHERE state = 'waiting' AND {where}",
            (now.wall, now.uptime, message, value),
        ).rowcount

    def settled_below(self) -> int:
        """Returns the number below which every row has its result, or was cleared away."""
        with self._lock:
            [oldest] = self._db.execute(
                "SELECT min(sequence) FROM frames WHERE state = 'waiting'"
            ).fetchone()
        return self._last_sequence() + 1 if oldest is None else int(oldest)

    def settle(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Records answers in one transaction; returns those that were the first for their row.

        Raises :class:`sqlite3.Error` if the disk does not take them; then none is recorded.
        """
        now, first = clock.now(), []
        with self._lock:
            with self._transaction():
                for outcome in outcomes:
                    cursor = self._db.execute(
                        "UPDATE frames SET state = 'answered', block = NULL, settled_at = ?, "
                        "total_ms = 1000 * (? - uptime), link_ms = ?, sends = ?, code = ?, "
                        "message = ?, outage = ?, snr_db = ?, decision = ?, identities = ?, "
                        "air_ms = air_ms * coalesce(?, uses) / uses, "
                        "energy_uj = energy_uj * coalesce(?, uses) / uses, "
                        "uses = coalesce(?, uses) WHERE sequence = ? AND state = 'waiting'",
                        (
                            *(now.wall, now.uptime, outcome.link_ms, outcome.sends, outcome.code),
                            *(outcome.message, int(outcome.outage), outcome.snr_db),
                            *(decision_json(outcome.response), identities_json(outcome.response)),
                            *(outcome.uses,) * 3,
                            outcome.sequence,
                        ),
                    )
                    if cursor.rowcount:
                        first.append(outcome)
            self._waiting -= len(first)
        return first

    def drop_stale(self, deadline: float) -> list[int]:
        """Gives up what has waited longer than ``deadline`` seconds; its sequence numbers.

        Raises :class:`sqlite3.Error` if the disk does not take it.
        """
        now = clock.now()
        with self._lock:
            rows = self._db.execute(
                "UPDATE frames SET state = 'dropped', block = NULL, settled_at = ?1, "
                "total_ms = 1000 * (?2 - uptime), message = ?3 "
                "WHERE state = 'waiting' AND uptime < ?2 - ?4 RETURNING sequence",
                (now.wall, now.uptime, f"older than the deadline of {deadline:g} s", deadline),
            ).fetchall()
            self._waiting -= len(rows)
        return sorted(row[0] for row in rows)

    def handing_over(self) -> dict[str, int]:
        """Lists accepted files that may not have been moved away yet: file key -> sequence."""
        with self._lock:
            rows = self._db.execute(
                "SELECT file_key, sequence FROM frames WHERE file_key IS NOT NULL"
            ).fetchall()
        return dict(rows)

    def handed_over(self, sequences: Sequence[int]) -> None:
        """Records that the files of these frames are away, on the disk too."""
        with self._lock, self._transaction():
            for sequence in sequences:
                self._db.execute(
                    "UPDATE frames SET file_key = NULL WHERE sequence = ?", (sequence,)
                )

    def prune(self, keep: int, at_most: int = 1000) -> int:
        """Clears away the oldest settled rows beyond ``keep``; how many, ``at_most`` a call."""
        with self._lock:
            return self._db.execute(
                "DELETE FROM frames WHERE sequence IN (SELECT sequence FROM frames "
                "WHERE state != 'waiting' AND file_key IS NULL AND sequence <= "
                "(SELECT seq FROM sqlite_sequence WHERE name = 'frames') - ? "
                "ORDER BY sequence LIMIT ?)",
                (keep, at_most),
            ).rowcount

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:  # the block failed, or the commit did: a full disk
                self._db.execute("ROLLBACK")
