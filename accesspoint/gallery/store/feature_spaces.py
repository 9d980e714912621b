"""Entries of two feature spaces side by side in a store, while a gallery changes its model."""

from __future__ import annotations

from collections.abc import Sequence

from accesspoint.gallery.store.database import Database
from accesspoint.gallery.store.store import Store

ACTIVE_SPACE = "active_space"
"""Setting that names the feature space whose entries are served."""
_AWAITING = (
    "FROM entries o WHERE o.space_id = ?1 AND o.id > ?3 "
    "AND EXISTS (SELECT 1 FROM thumbnails t WHERE t.entry = o.id) "
    "AND NOT EXISTS (SELECT 1 FROM entries n WHERE n.origin = o.id AND n.space_id = ?2) "
    "AND NOT EXISTS (SELECT 1 FROM entries k WHERE o.key != '' AND k.subject = o.subject "
    "AND k.key = o.key AND k.key != '' AND k.space_id = ?2)"
)
_UNSERVED = (
    "FROM subjects s WHERE EXISTS (SELECT 1 FROM entries e WHERE e.subject = s.id "
    "AND e.space_id != ?1) AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.subject = s.id "
    "AND +e.space_id = ?1)"
)
# The plus sign keeps SQLite off the index by space, of which it would read every entry.


def awaiting(db: Database, old: str, new: str, after: int, limit: int) -> list[int]:
    """Returns entries above a number with a thumbnail and no successor in the new space:
    neither made from them, nor enrolled under their client key."""
    rows = db.rows(f"SELECT o.id {_AWAITING} ORDER BY o.id LIMIT ?4", (old, new, after, limit))
    return [row[0] for row in rows]


def awaiting_count(db: Database, old: str, new: str) -> int:
    """Returns how many entries :func:`awaiting` gives in all."""
    count: int = db.row(f"SELECT count(*) {_AWAITING}", (old, new, 0))[0]
    return count


def made_from(db: Database, ids: Sequence[int]) -> list[int]:
    """Returns entries that a reindex under way made from these."""
    successors: list[int] = []
    for number in ids:
        rows = db.rows("SELECT id FROM entries WHERE origin = ?", (number,))
        successors += [row[0] for row in rows]
    return successors


def unserved(db: Database, space_id: str, after: str, limit: int) -> list[str]:
    """Returns subjects, by id, with entries of other spaces only: they must be enrolled anew."""
    rows = db.rows(
        f"SELECT s.id {_UNSERVED} AND s.id > ?2 ORDER BY s.id LIMIT ?3", (space_id, after, limit)
    )
    return [row[0] for row in rows]


def unserved_count(db: Database, space_id: str) -> int:
    """Returns how many subjects :func:`unserved` gives in all."""
    count: int = db.row(f"SELECT count(*) {_UNSERVED}", (space_id,))[0]
    return count


def switch(store: Store, space_id: str) -> None:
    """Serves a space from now on, in one transaction.

    New entries take over the thumbnails of those that they were made from. Entries of
    other spaces go, except those of subjects who have no others.
    """
    with store.database.writing() as writer:
        writer.execute(
            "UPDATE thumbnails SET entry = (SELECT n.id FROM entries n "
            "WHERE n.origin = thumbnails.entry AND n.space_id = ?1) "
            "WHERE entry IN (SELECT origin FROM entries WHERE space_id = ?1 "
            "AND origin IS NOT NULL)",
            (space_id,),
        )
        writer.execute(
            "DELETE FROM entries WHERE space_id != ?1 AND subject IN "
            "(SELECT subject FROM entries WHERE space_id = ?1)",
            (space_id,),
        )
        writer.execute("UPDATE entries SET origin = NULL WHERE origin IS NOT NULL")
        writer.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (ACTIVE_SPACE, space_id))
    store.settings.read_again(ACTIVE_SPACE)
    store.database.empty_log()
