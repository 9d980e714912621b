"""The log of changes, by which another copy of the entries is brought up to date."""

from __future__ import annotations

from accesspoint.gallery.records import Change
from accesspoint.gallery.store.database import Database
from airreid.errors import InputError


class ChangeLog:
    """A numbered line for each addition, deletion and move of an entry.

    Triggers of the database write it, so that nothing can change without a line in it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def position(self) -> int:
        """Number of the last change; it grows for ever, whatever is cut off the log."""
        row = self._database.row("SELECT seq FROM sqlite_sequence WHERE name = 'changes'")
        return row[0] if row else 0

    def changes(self, after: int, limit: int) -> list[Change]:
        """Returns up to ``limit`` changes after a position, in order.

        Raises :class:`InputError` if the log was cut beyond it: begin with all entries.
        """
        position = self.position
        rows = self._database.rows(
            "SELECT seq, kind, entry FROM changes WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        )
        if rows[0][0] != after + 1 if rows else position != after:
            raise InputError(f"the log of changes no longer reaches back to {after}")
        return [Change(*row) for row in rows]

    def set_consumed(self, consumer: str, position: int) -> None:
        """Notes how far a consumer of the log has come, and cuts what all of them have."""
        with self._database.writing() as db:
            db.execute("INSERT OR REPLACE INTO consumers VALUES (?, ?)", (consumer, position))
            db.execute("DELETE FROM changes WHERE seq <= (SELECT min(position) FROM consumers)")

    def consumed(self, consumer: str) -> int | None:
        """Returns how far a consumer had come, or None for one that was never seen."""
        row = self._database.row("SELECT position FROM consumers WHERE name = ?", (consumer,))
        return row[0] if row else None

    def drop_consumer(self, consumer: str) -> None:
        """Forgets a consumer, which then no longer holds the log back."""
        with self._database.writing() as db:
            db.execute("DELETE FROM consumers WHERE name = ?", (consumer,))

    def shorten(self, rows: int) -> None:
        """Cuts the log to its last ``rows`` changes, whoever has yet to read it."""
        with self._database.writing() as db:
            db.execute(
                "DELETE FROM changes WHERE seq <= (SELECT max(seq) FROM changes) - ?", (rows,)
            )
