"""Verification of subjects with many entries: exact, and no dearer than one with a few."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from accesspoint.api.enrolment import source_of
from accesspoint.assembly import Services
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.store.stored_features import Features, StoredFeatures

from .conftest import DIM

SPACE = "tiny-space"


@pytest.mark.parametrize("scheme", ["jscc-fc-16", "features"])
def test_few_of_many_entries_are_read(
    services: Services, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    gallery, search_service = services.gallery, services.rest.search_service
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((1300, DIM)).astype(np.float32)
    numbers = gallery.enrol(
        [NewEntry("many" if i else "other", "c", SPACE, row) for i, row in enumerate(vectors)]
    )
    probe = vectors[0]
    rows = np.concatenate([vectors, probe[None]])
    if scheme != "features":
        rows = gallery.scheme(scheme).gallery(rows)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    scores = rows[1:-1] @ rows[-1]
    best = numbers[1 + int(scores.argmax())]
    read, read_features = list[int](), StoredFeatures.of

    def count(self: StoredFeatures, ids: Sequence[int], space_id: str = "") -> Features:
        read.append(len(ids))
        return read_features(self, ids, space_id)

    monkeypatch.setattr(StoredFeatures, "of", count)
    source = source_of(None, probe, SPACE, "the probe")
    verified = search_service.verify("many", source, scheme)
    assert sum(read) <= 100
    assert (verified.entry_id, verified.score) == (best, pytest.approx(scores.max(), abs=1e-5))
    gallery.delete_entries([best])
    verified = search_service.verify("many", source, scheme)
    assert verified.score == pytest.approx(np.sort(scores)[-2], abs=1e-5)
