import numpy as np
import pytest

from accesspoint.errors import NotReadyError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.scheme import DIRECT_SNR_DB, links_of
from airreid.scheme_kinds import open_scheme

DIM = 2048


def make(space: str, subject: str, feature: np.ndarray) -> NewEntry:
    return NewEntry(subject, "cam-0", space, feature.astype(np.float32))


@pytest.fixture
def vectors(features: np.ndarray) -> np.ndarray:
    return features


def test_enrolment_and_deletion_reach_every_index(
    gallery: Gallery, vectors: np.ndarray, bundle: Bundle
) -> None:
    space = gallery.space_id
    gallery.enrol([make(space, f"p{i}", vectors[i]) for i in range(5)])
    schemes = ["jscc-ae-256", "jscc-fc-256"]
    for scheme in schemes:  # the indexes exist from here on
        runner = gallery.scheme(scheme)
        [result] = gallery.search(scheme, runner.gallery(vectors[2:3]), 3, 5)
        assert result.matches[0].subject == "p2"
        assert result.matches[0].score == pytest.approx(1.0, abs=1e-5)
    [number] = gallery.enrol([make(space, "late", vectors[40])])
    gallery.delete_subject("p2")
    for scheme in schemes:
        runner = gallery.scheme(scheme)
        [late] = gallery.search(scheme, runner.gallery(vectors[40:41]), 1, 9)
        assert late.matches[0].subject == "late"
        assert late.entry_ids[0] == number
        [others] = gallery.search(scheme, runner.gallery(vectors[2:3]), 9, 9)
        assert "p2" not in [match.subject for match in others.matches]
    assert gallery.delete_entry(number)
    assert not gallery.delete_entry(number)


def test_index_built_later_equals_index_kept_up_to_date(
    gallery: Gallery,
    store: Store,
    bundle: Bundle,
    vectors: np.ndarray,
    request: pytest.FixtureRequest,
) -> None:
    entries = [make(gallery.space_id, f"p{i % 7}", vectors[i]) for i in range(30)]
    gallery.enrol(entries[:10])
    gallery.open_index("jscc-ae-64")
    gallery.enrol(entries[10:])
    gallery.delete_entry(4)
    fresh = Gallery(store, bundle, threads=1)  # the same store, its indexes not yet built
    request.addfinalizer(fresh.close)
    probe = gallery.scheme("jscc-ae-64").gallery(vectors[50:54])
    for result, fresh_result in zip(
        gallery.search("jscc-ae-64", probe, 5, 30),
        fresh.search("jscc-ae-64", probe, 5, 30),
        strict=True,
    ):
        assert result.entry_ids.tolist() == fresh_result.entry_ids.tolist()
        assert [m.subject for m in result.matches] == [m.subject for m in fresh_result.matches]


def test_as_many_subjects_as_asked_for_even_when_one_has_many_entries(
    gallery: Gallery, vectors: np.ndarray
) -> None:
    rng = np.random.default_rng(0)
    crowd = [vectors[0] + rng.normal(0, 1e-3, DIM) for _ in range(60)]
    gallery.enrol([make(gallery.space_id, "crowd", v) for v in crowd])
    gallery.enrol([make(gallery.space_id, f"p{i}", vectors[i]) for i in range(6, 12)])
    probe = gallery.scheme("jscc-fc-256").gallery(vectors[:1])
    [result] = gallery.search("jscc-fc-256", probe, 5, 0)
    assert len(result.matches) == 5
    assert result.matches[0].subject == "crowd"
    assert result.entry_ids.size == 0


@pytest.mark.parametrize(
    ("space", "feature", "message"),
    [
        ("elsewhere", np.ones(DIM), "feature of space 'elsewhere'"),
        (None, np.ones(7), "needs 2048 values"),
        (None, np.full(DIM, np.nan), "value 0 is nan; all must be finite"),
        (None, np.full(DIM, 3e38), "at most 1e\\+06"),
        (None, np.zeros(DIM), "all zeros"),
        (None, np.full(DIM, 1e-20), "too short to be compared"),
        (None, np.full(DIM, 1e-44), "too short to be compared"),
    ],
)
def test_unusable_features_are_refused(
    gallery: Gallery, space: str | None, feature: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        gallery.enrol([make(space or gallery.space_id, "x", feature)])
    assert gallery.store.counts() == (0, 0)


@pytest.mark.parametrize("exponent", range(-46, 8, 3))
def test_what_is_taken_is_found_and_what_would_not_be_is_refused(
    gallery: Gallery, exponent: int
) -> None:
    direction = np.random.default_rng(1).standard_normal(DIM)
    feature = (direction * 10.0**exponent).astype(np.float32)
    gallery.enrol([make(gallery.space_id, "other", np.ones(DIM))])
    try:
        gallery.enrol([make(gallery.space_id, "x", feature)])
    except InputError:
        assert not 1e-6 < np.linalg.norm(direction) * 10.0**exponent < 1e6
        return
    [result] = gallery.search("features", direction[None].astype(np.float32), 1, 1)
    assert result.matches[0].subject == "x"
    assert result.matches[0].score == pytest.approx(1, abs=1e-5)


def test_a_gallery_of_another_space_starts_and_answers_no_search(
    store: Store, bundle: Bundle
) -> None:
    store.add_entries([make("elsewhere", "x", np.ones(DIM))])
    store.settings.set("active_space", "elsewhere")
    gallery = Gallery(store, bundle, threads=1)
    assert not gallery.wait_ready()
    assert gallery.needs_reindex
    with pytest.raises(NotReadyError, match="feature space elsewhere"):
        gallery.search("features", np.ones((1, DIM), np.float32), 1, 0)
    assert [entry.subject for entry in gallery.entries(0, 9)] == ["x"]
    gallery.close()


def test_gallery_map_is_the_noiseless_way_through_the_code(
    bundle: Bundle, features: np.ndarray
) -> None:
    for info in bundle.manifest.schemes:
        scheme = open_scheme(bundle, info, threads=1)
        sent = scheme.pack(features, links_of(info)[0])
        through = scheme.unpack(sent, [DIRECT_SNR_DB] * len(sent)).embeddings
        np.testing.assert_array_equal(scheme.gallery(features), through)
