"""Collections of a gallery on a Milvus server: opened, shared and dropped by one writer."""

from __future__ import annotations

import threading
import uuid

from accesspoint.errors import NotReadyError
from accesspoint.gallery.milvus.applied_table import Applied, AppliedTable
from accesspoint.gallery.milvus.client import MilvusServer, MilvusSettings
from accesspoint.gallery.milvus.collection import Collection, collection_name
from accesspoint.gallery.milvus.index import MilvusIndex
from accesspoint.gallery.search.index import IndexSpec
from accesspoint.gallery.store.store import Store
from airreid import log
from airreid.errors import InputError


class MilvusCollections:
    """Opens a gallery's indexes as collections on a Milvus server.

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
            self._check_ours(AppliedTable(self._connect()).all())

    def drop_stale(self, space_id: str) -> None:
        """Drops collections of spaces without entries, other than ``space_id``, which a
        reindex leaves behind. Raises as :meth:`claim` does."""
        with self._lock:
            table = AppliedTable(self._connect())
            known = table.all()
            self._check_ours(known)
            if any(applied.space_id != space_id for applied in known.values()):
                spaces = {*self._store.spaces(), space_id}
                for name, applied in known.items():
                    if applied.space_id not in spaces:
                        self._drop(table, name, applied)

    def _drop(self, table: AppliedTable, name: str, applied: Applied) -> None:
        log.event("milvus_collection_dropped", collection=name)
        Collection(self._connect(), name, applied.dim).drop()
        table.remove(name)

    def _check_ours(self, known: dict[str, Applied]) -> None:
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

    def open(self, spec: IndexSpec) -> MilvusIndex:
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
        self._check_ours(known)
        name = collection_name(
            self.settings.prefix, spec.scheme_id, spec.space_id, spec.scheme_digest
        )
        for other, applied in known.items():
            same_scheme = (applied.scheme_id, applied.space_id) == (spec.scheme_id, spec.space_id)
            if same_scheme and other != name:  # as it was in another bundle
                self._drop(table, other, applied)
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
                about = known[name].model_copy(update={"writer": self._writer})
        else:
            collection.create()
        log.event("milvus_collection_opened", collection=name, position=about.position)
        return MilvusIndex(collection, table, about, self._store)

    def share(self, key: str, text: str) -> None:
        """Gives the readers a document, if theirs is another. Raises :class:`NotReadyError`."""
        with self._lock:
            table = AppliedTable(self._connect())
            if table.setting(key) != text:
                table.open()
                table.share(key, text)

    def close(self) -> None:
        """Leaves the server."""
        with self._lock:
            if self._server is not None:
                self._server.close()
                self._server = None
