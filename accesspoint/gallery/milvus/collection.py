"""Embeddings of one scheme as a Milvus collection."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from accesspoint.gallery.milvus.client import MilvusServer
from airreid.errors import InputError
from airreid.signal import unit_rows
from airreid.subject_ids import ID_MAX

TOP_MAX = 16_384
"""Most rows that Milvus returns for a query."""
_BATCH_BYTES = 4 << 20
_CHUNK = 10_000
_SCALARS = ("id", "digest", "subject", "camera")
STRONG = {"consistency_level": "Strong"}
"""Reads see every write that was acknowledged."""
BOUNDED = {"consistency_level": "Bounded"}
"""Reads see every write that is older than the server's ``common.gracefulTime``, 5 s."""
SETTLED_SECONDS = 15.0
"""Time after which a write is seen without waiting for it."""


@dataclass(frozen=True)
class Row:
    """An entry as the collection holds it, without its embedding."""

    id: int
    digest: int
    """Digest of the stored feature, 64 bits, as the store has it."""
    subject: str
    camera: str


@dataclass(frozen=True)
class Hit:
    """A row that was found."""

    id: int
    score: float
    subject: str
    camera: str


class Collection:
    """Rows (id, digest, embedding, subject, camera); reads see every write that was acknowledged.

    Writes are the caller's to serialise. Every method raises as
    :meth:`MilvusServer.asking` does.
    """

    def __init__(self, server: MilvusServer, name: str, dim: int) -> None:
        self._server = server
        self.name = name
        self.dim = dim
        self._written_at = time.monotonic()

    @property
    def search_level(self) -> dict[str, str]:
        """Consistency of a search now: strong while it could miss a change.

        A strong search waits for the server's next tick. The writer knows when it last changed
        anything; a reader does not, so its searches are always strong.
        """
        settled = time.monotonic() - self._written_at > SETTLED_SECONDS
        return BOUNDED if settled and self._server.settings.role == "writer" else STRONG

    def exists(self) -> bool:
        """Tells whether the server has it."""
        return bool(self._server.call("has_collection", self.name))

    def create(self) -> None:
        """Makes it, empty."""
        settings, types = self._server.settings, self._server.types
        schema = self._server.schema()
        schema.add_field("id", types.INT64, is_primary=True)
        schema.add_field("digest", types.INT64)
        schema.add_field("embedding", types.FLOAT_VECTOR, dim=self.dim)
        schema.add_field("subject", types.VARCHAR, max_length=ID_MAX)
        schema.add_field("camera", types.VARCHAR, max_length=ID_MAX)
        params = {
            "FLAT": {},
            "HNSW": {"M": settings.hnsw_m, "efConstruction": settings.hnsw_ef_construction},
        }[settings.index]
        self._server.call(
            "create_collection",
            self.name,
            schema=schema,
            index_params=self._server.vector_index("embedding", settings.index, params),
            num_shards=settings.shards,
            **STRONG,
        )

    def check(self) -> None:
        """Raises :class:`InputError` for a collection of this name that is something else."""
        fields = self._server.call("describe_collection", self.name)["fields"]
        dims = {f["name"]: f.get("params", {}).get("dim") for f in fields}
        if set(dims) != {"embedding", *_SCALARS}:
            raise InputError(
                f"collection {self.name} is not a gallery's (fields {', '.join(sorted(dims))}); "
                "use another --milvus-prefix"
            )
        if int(dims["embedding"]) != self.dim:
            raise InputError(
                f"collection {self.name} holds embeddings of {dims['embedding']} values, the "
                f"scheme makes {self.dim}; use another --milvus-prefix or drop the collection"
            )

    def drop(self) -> None:
        """Removes it from the server."""
        self._server.call("drop_collection", self.name)

    def upsert(self, rows: Sequence[Row], embeddings: NDArray[np.float32]) -> None:
        """Writes rows over those with the same ids; embeddings (n, dim) of any length."""
        vectors = unit_rows(embeddings)
        if vectors.shape != (len(rows), self.dim):
            raise InputError(f"{self.name}: {vectors.shape} embeddings, needs {self.dim} values")
        step = max(1, _BATCH_BYTES // (4 * self.dim))
        for start in range(0, len(rows), step):
            batch = [
                {**asdict(r), "embedding": v}
                for r, v in zip(rows[start : start + step], vectors[start:], strict=False)
            ]
            self._written_at = time.monotonic()
            self._server.call("upsert", self.name, batch)
        self._written_at = time.monotonic()

    def delete(self, ids: Sequence[int]) -> None:
        """Deletes rows; ids that are not there are passed over."""
        for start in range(0, len(ids), _CHUNK):
            self._written_at = time.monotonic()
            self._server.call("delete", self.name, ids=list(ids[start : start + _CHUNK]))
        self._written_at = time.monotonic()

    def flush(self) -> None:
        """Has the server write what it holds to its segments (it has its own log too)."""
        self._server.call("flush", self.name, timeout=max(60.0, self._server.settings.timeout_s))

    def count(self) -> int:
        """Returns the number of rows."""
        rows = self._server.call(
            "query", self.name, filter="", output_fields=["count(*)"], **STRONG
        )
        return int(rows[0]["count(*)"])

    def rows(self, batch: int = 1000) -> Iterator[list[Row]]:
        """Yields every row, in batches, in any order."""
        pages = self._server.call(
            "query_iterator",
            self.name,
            batch_size=batch,
            output_fields=list(_SCALARS),
            **STRONG,
        )
        try:
            while True:
                with self._server.asking("query"):
                    page = pages.next()
                if not page:
                    return
                yield [Row(**{name: row[name] for name in _SCALARS}) for row in page]
        finally:
            pages.close()

    def present(self, ids: Sequence[int]) -> set[int]:
        """Returns those of these ids that there are rows of."""
        present: set[int] = set()
        for start in range(0, len(ids), _CHUNK):
            part = list(ids[start : start + _CHUNK])
            rows = self._server.call("get", self.name, ids=part, output_fields=["id"], **STRONG)
            present.update(row["id"] for row in rows)
        return present

    def embeddings(self, ids: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """Returns the stored embeddings (dim,) by id, of length 1; ids not there are left out."""
        step = max(1, _BATCH_BYTES // (4 * self.dim))
        vectors: dict[int, NDArray[np.float32]] = {}
        for start in range(0, len(ids), step):
            for row in self._server.call(
                "get",
                self.name,
                ids=list(ids[start : start + step]),
                output_fields=["id", "embedding"],
                **STRONG,
            ):
                vectors[row["id"]] = np.asarray(row["embedding"], dtype=np.float32)
        return vectors

    def compact(self) -> None:
        """Asks the server to rewrite its segments without what was deleted."""
        self._server.call("compact", self.name)

    def search(self, embeddings: NDArray[np.float32], k: int) -> list[list[Hit]]:
        """Returns for each embedding (n, dim) of any length its ``k`` best rows by cosine.

        Best first; rows with the very same score by id. Milvus breaks such a tie in any
        order, also at the end of the list, so more is asked for until the tie ends.
        """
        queries = unit_rows(embeddings)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise InputError(f"{self.name}: {queries.shape} embeddings, needs {self.dim} values")
        k = min(k, TOP_MAX)
        if k < 1 or not len(queries):
            return [[] for _ in queries]
        limit = min(k + 1, TOP_MAX)
        while True:
            answer = self._ask(queries, limit)
            if limit == TOP_MAX or not any(_tie_is_cut(hits, k, limit) for hits in answer):
                ordered = (sorted(hits, key=lambda h: (-h.score, h.id)) for hits in answer)
                return [hits[:k] for hits in ordered]
            limit = min(4 * limit, TOP_MAX)

    def _ask(self, queries: NDArray[np.float32], limit: int) -> list[list[Hit]]:
        settings = self._server.settings
        params = {
            "FLAT": {},
            "HNSW": {"ef": max(settings.hnsw_ef, limit)},
        }[settings.index]
        answer = self._server.call(
            "search",
            self.name,
            data=queries,
            limit=limit,
            anns_field="embedding",
            search_params={"metric_type": "IP", "params": params},
            output_fields=["subject", "camera"],
            **self.search_level,
        )
        return [
            [
                Hit(h["id"], h["distance"], h["entity"]["subject"], h["entity"]["camera"])
                for h in hits
            ]
            for hits in answer
        ]


def _tie_is_cut(hits: Sequence[Hit], k: int, limit: int) -> bool:
    return len(hits) == limit and hits[k - 1].score == hits[limit - 1].score


def collection_name(prefix: str, scheme_id: str, space_id: str, content: str) -> str:
    """Returns a name of letters, digits and underscores, one for each scheme, space and
    content."""
    key = "\0".join((scheme_id, space_id, content)).encode()
    readable = re.sub(r"[^A-Za-z0-9]", "_", scheme_id)[:64]
    return f"{prefix}_{readable}_{hashlib.sha256(key).hexdigest()[:16]}"
