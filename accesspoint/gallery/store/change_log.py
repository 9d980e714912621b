"""Settings, and the log of changes by which another copy is brought up to date."""

from __future__ import annotations

from accesspoint.gallery.records import Change
from accesspoint.gallery.store.database import Database
from airreid.errors import InputError


class LoggedDatabase(Database):
    """A gallery's file with its settings and its log; triggers write the log, so that
    nothing can change without a line in it."""

    def setting(self, key: str) -> str | None:
        row = self.row("SELECT value FROM settings WHERE key = ?", (key,))
        return row[0] if row else None

    def set_setting(self, key: str, text: str) -> None:
        with self.writing() as db:
            db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, text))

    @property
    def log_position(self) -> int:
        """Number of the last change; it grows for ever, whatever is cut off the log."""
        row = self.row("SELECT seq FROM sqlite_sequence WHERE name = 'changes'")
        return row[0] if row else 0

    def changes(self, after: int, limit: int) -> list[Change]:
        """Up to ``limit`` changes after a position, in order.

        Raises :class:`InputError` if the log was cut beyond it: begin with all entries.
        """
        position = self.log_position
        rows = self.rows(
            "SELECT seq, kind, entry FROM changes WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        )
        if rows[0][0] != after + 1 if rows else position != after:
            raise InputError(f"the log of changes no longer reaches back to {after}")
        return [Change(*row) for row in rows]

    def consumed(self, name: str, position: int) -> None:
        """Notes how far a reader of the log has come, and cuts what all readers have."""
        with self.writing() as db:
            db.execute("INSERT OR REPLACE INTO consumers VALUES (?, ?)", (name, position))
            db.execute("DELETE FROM changes WHERE seq <= (SELECT min(position) FROM consumers)")

    def shorten_log(self, rows: int) -> None:
        """Cuts the log to its last ``rows`` changes, whoever has yet to read it."""
        with self.writing() as db:
            db.execute(
                "DELETE FROM changes WHERE seq <= (SELECT max(seq) FROM changes) - ?", (rows,)
            )

    def consumer(self, name: str) -> int | None:
        """How far a reader of the log had come, or None for one that was never seen."""
        row = self.row("SELECT position FROM consumers WHERE name = ?", (name,))
        return row[0] if row else None

    def drop_consumer(self, name: str) -> None:
        """Forgets a reader of the log, which then no longer holds it back."""
        with self.writing() as db:
            db.execute("DELETE FROM consumers WHERE name = ?", (name,))
