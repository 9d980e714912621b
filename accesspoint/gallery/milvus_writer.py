"""The writing side of a gallery on Milvus: opens its collections and keeps them up to date."""

from __future__ import annotations

import threading
import uuid

from accesspoint.errors import NotReadyError
from accesspoint.gallery.index import IndexSpec
from accesspoint.gallery.milvus_client import MilvusServer, MilvusSettings
from accesspoint.gallery.milvus_collection import (
    Applied,
    AppliedTable,
    Collection,
    collection_name,
)
from accesspoint.gallery.milvus_index import MilvusIndex
from accesspoint.gallery.store import Store
from airreid import log
from airreid.errors import InputError


class MilvusIndexes:
    """Opens a gallery's indexes on a Milvus server: what its ``open_index`` is then.

    One process writes: the one that holds the store. It says so in the table with a name
    drawn at its start, and an index whose table names another process closes itself.
    """

    def __init__(self, settings: MilvusSettings, store: Store) -> None:
        self.settings = settings
        self._store = store
        self._writer = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._server: MilvusServer | None = None

    def claim(self) -> None:
        """Raises :class:`InputError` if the server refuses the token, or its collections
        with this prefix are another gallery's; :class:`NotReadyError` if it is away."""
        with self._lock:
            self._own(AppliedTable(self._connect()).all())

    def _own(self, known: dict[str, Applied]) -> None:
        for applied in known.values():
            if applied.store_id != self._store.store_id:
                raise InputError(
                    f"the collections {self.settings.prefix}_* on {self.settings.uri} are another "
                    "gallery's; use another --milvus-prefix, or drop them if it is no more"
                )

    def _connect(self) -> MilvusServer:
        if self._server is None:
            self._server = MilvusServer(self.settings)
        return self._server

    def __call__(self, spec: IndexSpec) -> MilvusIndex:
        """Opens a collection, made if there is none. Raises :class:`NotReadyError`."""
        try:
            with self._lock:
                return self._open(spec)
        except InputError as error:  # not the fault of whoever asks
            raise NotReadyError(str(error)) from None

    def _open(self, spec: IndexSpec) -> MilvusIndex:
        server = self._connect()
        table = AppliedTable(server)
        table.open()
        known = table.all()
        self._own(known)
        name = collection_name(
            self.settings.prefix, spec.scheme_id, spec.space_id, spec.scheme_digest
        )
        self._drop_outlived(server, table, known, spec, name)
        about = Applied(
            store_id=spec.store_id,
            scheme_id=spec.scheme_id,
            space_id=spec.space_id,
            content=spec.scheme_digest,
            dim=spec.dim,
            position=0,
            writer=self._writer,
        )
        collection = Collection(server, name, spec.dim)
        if collection.exists():
            collection.check()
            server.load(name)
            if name in known:
                about = about.model_copy(update={"position": known[name].position})
        else:
            collection.create()
        log.event("milvus_collection_opened", collection=name, position=about.position)
        return MilvusIndex(collection, table, about, self._store)

    def _drop_outlived(
        self,
        server: MilvusServer,
        table: AppliedTable,
        known: dict[str, Applied],
        spec: IndexSpec,
        name: str,
    ) -> None:
        """Drops the collections that nothing keeps up to date any more: those of this
        scheme as it was in another bundle, and those of spaces without entries."""
        spaces = {*self._store.spaces(), spec.space_id}
        for other, applied in known.items():
            replaced = applied.scheme_id == spec.scheme_id and applied.space_id == spec.space_id
            if other != name and (replaced or applied.space_id not in spaces):
                log.event("milvus_collection_dropped", collection=other)
                Collection(server, other, applied.dim).drop()
                table.remove(other)

    def close(self) -> None:
        with self._lock:
            if self._server is not None:
                self._server.close()
                self._server = None
