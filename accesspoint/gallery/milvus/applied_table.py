"""Table of the collections on a Milvus server, and of the changes that each has applied."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from accesspoint.gallery.milvus.client import MilvusServer
from accesspoint.gallery.milvus.collection import STRONG
from airreid.errors import InputError

TEXT_MAX = 65_535
"""Longest text in Milvus, in bytes."""
_SETTING = "setting/"
"""Begins the names of rows that are no collection's."""


class Applied(BaseModel):
    """Contents of a collection, and its position in the log of changes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    store_id: str
    scheme_id: str
    space_id: str
    content: str
    """Hex SHA-256 over what turns a feature into this collection's embeddings."""
    dim: int
    position: int
    """The last change of the store's log that is in it; 0: none is known to be."""
    complete: bool = False
    """Readers may answer from it: it has been equal to the store since it was filled."""
    subjects: int = 0
    entries: int = 0
    """Entries, and subjects, of the gallery at that time."""
    writer: str
    """Drawn anew by each process that writes."""


class AppliedTable:
    """A collection with a row for each other one: its contents and its position.

    A row is written after the changes it speaks of were acknowledged, so it may lag
    behind and never leads; applying changes again does no harm.
    """

    def __init__(self, server: MilvusServer) -> None:
        self._server = server
        self._name = f"{server.settings.prefix}_applied"

    def open(self) -> None:
        """Makes the table if there is none."""
        if self._server.call("has_collection", self._name):
            return
        schema, types = self._server.schema(), self._server.types
        schema.add_field("name", types.VARCHAR, is_primary=True, max_length=255)
        schema.add_field("about", types.VARCHAR, max_length=TEXT_MAX)
        schema.add_field("unused", types.FLOAT_VECTOR, dim=2)  # Milvus wants a vector
        self._server.call(
            "create_collection",
            self._name,
            schema=schema,
            index_params=self._server.vector_index("unused", "FLAT", {}),
            **STRONG,
        )

    def all(self) -> dict[str, Applied]:
        """Returns the rows by collection; empty where no gallery was ever kept on this server."""
        if not self._server.call("has_collection", self._name):
            return {}
        rows = self._server.call(
            "query",
            self._name,
            filter='name != ""',
            output_fields=["name", "about"],
            limit=1000,
            **STRONG,
        )
        try:
            return {
                row["name"]: Applied.model_validate_json(row["about"])
                for row in rows
                if not row["name"].startswith(_SETTING)
            }
        except ValidationError:
            raise InputError(
                f"{self._name} holds what this version cannot read; use another --milvus-prefix"
            ) from None

    def setting(self, key: str) -> str | None:
        """Returns a document that the writing access point shares with its readers, or None."""
        if not self._server.call("has_collection", self._name):
            return None
        rows = self._server.call(
            "get", self._name, ids=[_SETTING + key], output_fields=["about"], **STRONG
        )
        return str(rows[0]["about"]) if rows else None

    def share(self, key: str, text: str) -> None:
        """Stores a document for the readers. Raises :class:`InputError` for one of more than
        65,535 bytes."""
        if len(text.encode()) > TEXT_MAX:
            raise InputError(f"{key}: more than {TEXT_MAX} bytes, Milvus takes no longer text")
        row: dict[str, Any] = {"name": _SETTING + key, "about": text, "unused": [0, 0]}
        self._server.call("upsert", self._name, [row])

    def write(self, name: str, applied: Applied) -> None:
        """Stores a collection's row in place of the one before."""
        row: dict[str, Any] = {"name": name, "about": applied.model_dump_json(), "unused": [0, 0]}
        self._server.call("upsert", self._name, [row])

    def remove(self, name: str) -> None:
        """Deletes a collection's row."""
        self._server.call("delete", self._name, ids=[name])
