"""A gallery in memory, searched exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airreid.api.checks import check_names, check_top_k, real_array
from airreid.api.crops import Images
from airreid.api.model import Blocks, Floats, Model
from airreid.errors import InputError
from airreid.retrieval import rank, unit
from airreid.scheme import Received


@dataclass(frozen=True)
class Hit:
    """A subject that a search found, with its best entry.

    Example:
        >>> import airreid
        >>> airreid.Hit("alice", 0.75, 3, "door")
        Hit(subject='alice', score=0.75, entry=3, camera='door')
    """

    subject: str
    score: float
    """Cosine similarity of query and entry, -1 to 1."""
    entry: int
    """Number of the entry: its row in a :class:`Gallery`, its id at an access point."""
    camera: str


class Gallery:
    """Known people in memory: embeddings of one model's scheme, searched exactly.

    Holds features and embeddings, no images. Meant for experiments of up to some 100,000
    entries; an access point stores, indexes and deletes durably.

    Args:
        model: The model whose scheme the queries are sent with.

    Example:
        >>> import airreid
        >>> people, queries = airreid.synthetic_people(3)
        >>> model = airreid.Model()
        >>> gallery = airreid.Gallery(model)
        >>> gallery.add(*people)
        range(0, 6)
        >>> received = model.decode(model.encode(queries.images[:1]))
        >>> gallery.search(received, top_k=2)[0][0].subject
        'person-0000'
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.subjects: list[str] = []
        """Subject of each entry."""
        self.cameras: list[str] = []
        """Camera of each entry, ``""`` where it was not said."""
        self._features = model.features([])
        self._embeddings = model.embed([])
        self._unit = unit(self._embeddings)

    def __len__(self) -> int:
        return len(self.subjects)

    def __repr__(self) -> str:
        return f"Gallery({self.model.scheme_id!r}, entries={len(self)})"

    @property
    def features(self) -> Floats:
        """The backbone's features of all entries: float32 (N, feature_dim)."""
        return self._features

    @property
    def embeddings(self) -> Floats:
        """Embeddings that queries are compared with: float32 (N, embedding_dim)."""
        return self._embeddings

    def add(
        self,
        images: Images | Floats,
        subjects: Sequence[str] | str,
        cameras: Sequence[str] | str | None = None,
    ) -> range:
        """Adds an entry for each image; all of them, or none if one is refused.

        Args:
            images: As for :meth:`Model.encode`: crops, or features float (N, feature_dim).
            subjects: Name of the person on each; one name for all of them.
            cameras: Name of each one's camera; one name for all of them.

        Returns:
            Numbers of the new entries.

        Raises:
            airreid.InputError: for images that cannot be used, and names that are not as many.

        Example:
            >>> import airreid
            >>> gallery = airreid.Gallery(airreid.Model())
            >>> gallery.add(airreid.synthetic_people(1)[0].images, "alice")
            range(0, 2)
        """
        model = self.model
        features = model.as_features(images)
        count = len(features)
        names = _names(subjects, count, "subjects")
        taken_by = _names("" if cameras is None else cameras, count, "cameras")
        embeddings = model.embed(features)
        first = len(self)
        self._features = np.concatenate([self._features, features])
        self._embeddings = np.concatenate([self._embeddings, embeddings])
        self._unit = np.concatenate([self._unit, unit(embeddings)])
        self.subjects += names
        self.cameras += taken_by
        return range(first, len(self))

    def remove(self, subject: str) -> int:
        """Removes a subject with all entries; the entries behind them move up.

        Returns:
            How many entries were removed.

        Raises:
            airreid.InputError: if there is no such subject.

        Example:
            >>> import airreid
            >>> gallery = airreid.Gallery(airreid.Model())
            >>> _ = gallery.add(*airreid.synthetic_people(2)[0])
            >>> gallery.remove("person-0000"), len(gallery)
            (2, 2)
        """
        keep = np.asarray([name != subject for name in self.subjects], np.bool_)
        if keep.all():
            raise InputError(f"no subject {subject!r} in the gallery; see gallery.subjects")
        self._features = self._features[keep]
        self._embeddings, self._unit = self._embeddings[keep], self._unit[keep]
        self.subjects = [name for name, stays in zip(self.subjects, keep, strict=True) if stays]
        self.cameras = [name for name, stays in zip(self.cameras, keep, strict=True) if stays]
        return int((~keep).sum())

    def scores(self, queries: Received | Floats) -> NDArray[np.float64]:
        """Computes the cosine similarity of each query with each entry: float64 (Q, N).

        Args:
            queries: What :meth:`Model.decode` returned, or embeddings (Q, embedding_dim).

        Raises:
            airreid.InputError: for embeddings of another dimension, or not finite.

        Example:
            >>> import airreid
            >>> model = airreid.Model()
            >>> gallery = airreid.Gallery(model)
            >>> _ = gallery.add(*airreid.synthetic_people(1)[0])
            >>> gallery.scores(gallery.embeddings).diagonal().round(6)
            array([1., 1.])
        """
        if isinstance(queries, Blocks):
            raise InputError("query embeddings: blocks are not decoded yet; give model.decode(...)")
        given = queries.embeddings if isinstance(queries, Received) else queries
        vectors = real_array(given, "query embeddings")
        if vectors.ndim != 2 or vectors.shape[1] != self._unit.shape[1]:
            raise InputError(
                f"query embeddings of shape {vectors.shape}; this gallery compares "
                f"(Q, {self._unit.shape[1]}), scheme {self.model.scheme_id}"
            )
        if not np.isfinite(vectors).all():
            raise InputError("query embeddings: not all are finite; give what model.decode returns")
        return np.asarray(unit(vectors) @ self._unit.T)

    def rank(self, queries: Received | Floats) -> NDArray[np.int64]:
        """Ranks all entries for each query: int64 (Q, N) entry numbers, best first, ties by number.

        A row of -1 is a query that was lost on the way. Arguments and errors as for
        :meth:`scores`.

        Example:
            >>> import airreid
            >>> gallery = airreid.Gallery(airreid.Model())
            >>> _ = gallery.add(*airreid.synthetic_people(2)[0])
            >>> gallery.rank(gallery.embeddings)[:, 0]
            array([0, 1, 2, 3])
        """
        order = rank(self.scores(queries))
        if isinstance(queries, Received):
            order[queries.lost] = -1
        return order

    def search(self, queries: Received | Floats, top_k: int = 10) -> list[list[Hit]]:
        """Finds the best subjects for each query, each once by its best entry, best first.

        An empty list for a query that was lost on the way. Arguments and errors as for
        :meth:`scores`.

        Args:
            top_k: Subjects to find at most.

        Example:
            >>> import airreid
            >>> gallery = airreid.Gallery(airreid.Model())
            >>> _ = gallery.add(*airreid.synthetic_people(2)[0])
            >>> [hit.subject for hit in gallery.search(gallery.embeddings[:1])[0]]
            ['person-0000', 'person-0001']
        """
        check_top_k(top_k)
        scores = self.scores(queries)
        order = rank(scores)
        lost = queries.lost if isinstance(queries, Received) else np.zeros(len(order), np.bool_)
        return [
            [] if gone else self._best(entries.tolist(), row, top_k)
            for entries, row, gone in zip(order, scores, lost, strict=True)
        ]

    def _best(self, entries: list[int], row: NDArray[np.float64], top_k: int) -> list[Hit]:
        best: dict[str, Hit] = {}
        for entry in entries:
            if (subject := self.subjects[entry]) not in best:
                best[subject] = Hit(subject, float(row[entry]), entry, self.cameras[entry])
                if len(best) == top_k:
                    break
        return list(best.values())


def _names(names: Sequence[str] | str, count: int, what: str) -> list[str]:
    every = check_names([names] * count if isinstance(names, str) else names, what)
    if len(every) != count:
        raise InputError(f"{len(every)} {what} for {count} images; give one for each")
    return every
