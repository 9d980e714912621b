from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accesspoint.matching.calibrate import calibrate
from accesspoint.matching.calibration_settings import CalibrationSettings
from accesspoint.matching.tracks import TrackFusion, TrackSettings
from accesspoint.matching.trials import Enrolled, Sender
from airreid.retrieval import cosine

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((12, 8)).astype(np.float32)


def _fusion(**settings: float) -> TrackFusion:
    return TrackFusion(TrackSettings.model_validate(settings))


def _weighted_mean(vectors: np.ndarray, snrs_db: list[float]) -> np.ndarray:
    total = np.zeros(vectors.shape[1])
    for vector, snr_db in zip(vectors.astype(float), snrs_db, strict=True):
        snr = 10 ** (snr_db / 10)
        total += np.sqrt(snr / (1 + snr)) * vector / np.linalg.norm(vector)
    return np.asarray(total / np.linalg.norm(total))


def test_one_frame_is_itself() -> None:
    fused = _fusion().add("e", "t", "s", 0.0, 7 * VECTORS[0], -3.0)
    np.testing.assert_allclose(fused.embedding, VECTORS[0] / np.linalg.norm(VECTORS[0]), atol=1e-6)
    assert fused.frames == 1
    assert fused.snr_db == pytest.approx(-3.0)


def test_frames_are_averaged_by_their_signal_share() -> None:
    fusion, snrs = _fusion(), [-10.0, 0.0, 5.0]
    for i, snr_db in enumerate(snrs):
        fused = fusion.add("e", "t", "s", i, VECTORS[i], snr_db)
    np.testing.assert_allclose(fused.embedding, _weighted_mean(VECTORS[:3], snrs), atol=1e-6)
    assert fused.frames == 3
    assert fused.snr_db == pytest.approx(10 * np.log10(0.1 + 1 + 10**0.5))


@settings(deadline=None)
@given(st.permutations(range(6)))
def test_order_of_arrival_does_not_matter(order: list[int]) -> None:
    fusion = _fusion(max_frames=6, max_age_s=100)
    for i in order:
        fused = fusion.add("e", "t", "s", i, VECTORS[i], i - 3.0)
    np.testing.assert_allclose(
        fused.embedding, _weighted_mean(VECTORS[:6], [i - 3.0 for i in range(6)]), atol=1e-5
    )


def test_window_by_count_and_age() -> None:
    fusion = _fusion(max_frames=3, max_age_s=2)
    counts = [fusion.add("e", "t", "s", i / 10, VECTORS[i], 0.0).frames for i in range(5)]
    assert counts == [1, 2, 3, 3, 3]
    fused = fusion.add("e", "t", "s", 2.35, VECTORS[5], 0.0)  # 0.4 alone is 2 s old or less
    assert fused.frames == 2
    np.testing.assert_allclose(fused.embedding, _weighted_mean(VECTORS[4:6], [0.0] * 2), atol=1e-6)
    late = fusion.add("e", "t", "s", 0.3, VECTORS[6], 0.0)
    assert late.frames == 1
    np.testing.assert_allclose(late.embedding, _weighted_mean(VECTORS[6:7], [0.0]), atol=1e-6)
    assert fusion.add("e", "t", "s", 2.36, VECTORS[7], 0.0).frames == 3


def test_a_frame_that_comes_twice_counts_once() -> None:
    fusion = _fusion()
    fusion.add("e", "t", "s", 0.0, VECTORS[0], 0.0)
    first = fusion.add("e", "t", "s", 0.1, VECTORS[1], 0.0)
    again = fusion.add("e", "t", "s", 0.0, VECTORS[0], 0.0)
    assert (again.frames, again.snr_db) == (first.frames, first.snr_db) == (2, first.snr_db)
    np.testing.assert_array_equal(again.embedding, first.embedding)
    assert fusion.add("e", "t", "s", 0.1, VECTORS[2], 0.0).frames == 3


def test_tracks_edges_and_schemes_are_kept_apart() -> None:
    fusion = _fusion()
    fusion.add("e", "t", "s", 0.0, VECTORS[0], 0.0)
    assert fusion.add("e", "u", "s", 0.0, VECTORS[1], 0.0).frames == 1
    assert fusion.add("f", "t", "s", 0.0, VECTORS[2], 0.0).frames == 1
    assert fusion.add("e", "t", "s", 0.1, VECTORS[3], 0.0).frames == 2
    assert fusion.add("e", "t", "other", 0.2, VECTORS[4], 0.0).frames == 1
    assert fusion.add("e", "t", "other", 0.3, VECTORS[5, :4], 0.0).frames == 1
    fusion.forget()
    assert len(fusion) == 0
    assert fusion.add("e", "u", "s", 0.4, VECTORS[1], 0.0).frames == 1


def test_the_track_unheard_of_longest_is_forgotten() -> None:
    fusion = _fusion(max_tracks=2)
    for i, track in enumerate(("a", "b", "a", "c")):
        fusion.add("e", track, "s", i / 10, VECTORS[i], 0.0)
    assert len(fusion) == 2
    assert fusion.add("e", "a", "s", 0.5, VECTORS[5], 0.0).frames == 3
    assert fusion.add("e", "b", "s", 0.6, VECTORS[6], 0.0).frames == 1


def test_thousands_of_tracks_take_no_more_than_the_bound() -> None:
    fusion = _fusion(max_tracks=100, max_frames=2)
    for i in range(2000):
        fusion.add("e", str(i), "s", float(i), VECTORS[0], 0.0)
    assert len(fusion) == 100


@pytest.mark.parametrize("snr_db", [np.nan, np.inf, -np.inf, 1e9])
def test_any_snr_and_an_embedding_of_zeros(snr_db: float) -> None:
    fusion = _fusion()
    first = fusion.add("e", "t", "s", 0.0, np.zeros(8, np.float32), snr_db)
    assert not first.embedding.any()
    second = fusion.add("e", "t", "s", 0.0, VECTORS[0], snr_db)
    assert np.linalg.norm(second.embedding) == pytest.approx(1.0)
    assert np.isfinite(second.snr_db)


def test_what_is_no_frame() -> None:
    with pytest.raises(ValueError, match="finite time"):
        _fusion().add("e", "t", "s", float("nan"), VECTORS[0], 0.0)
    with pytest.raises(ValueError, match="one embedding"):
        _fusion().add("e", "t", "s", 0.0, VECTORS, 0.0)


def test_threads_lose_no_frame() -> None:
    fusion = _fusion(max_frames=64, max_age_s=3600)

    def work(offset: int) -> None:
        for i in range(16):
            fusion.add("e", "t", "s", offset + i, VECTORS[i % 12], 0.0)

    threads = [threading.Thread(target=work, args=(16 * n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fusion.add("e", "t", "s", 48.0, VECTORS[0], 0.0).frames == 49


def test_fusing_finds_more_people_and_keeps_the_rate_at_the_summed_snr(
    make_people: Callable[..., Enrolled], make_code: Callable[..., Sender]
) -> None:
    people, frames, snr_db = make_people(150), 6, -14.0
    settings = CalibrationSettings(
        false_match_rate=0.05, review_rate=0.2, max_queries=2000, snrs_db=(-14, -10, -6, -2, 2)
    )
    policy = calibrate(people, {"line": ("analog", make_code(24))}, settings).policy
    code = make_code(24, seed=77)
    gallery = code.gallery(people.features)

    def best(shots: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Scores of single frames and of fused ones against the gallery: (people, entries)."""
        received = code.receive(shots.reshape(-1, 24), snr_db, first).embeddings
        received = received.reshape(*shots.shape[:2], -1)
        fusion = _fusion(max_age_s=100)
        fused = []
        for i, track in enumerate(received):
            for k, embedding in enumerate(track):
                fused_track = fusion.add("e", str(i), "line", k, embedding, snr_db)
            fused.append(fused_track.embedding)
        return cosine(received[:, 0], gallery), cosine(np.stack(fused), gallery), fused_track.snr_db

    known = people.features[::2, None] + 0.35 * np.random.default_rng(8).standard_normal(
        (150, frames, 24)
    ).astype(np.float32)
    single, fused, fused_db = best(known, 0)
    owner = np.arange(300) // 2
    right_single = (owner[single.argmax(1)] == np.arange(150)).mean()
    right_fused = (owner[fused.argmax(1)] == np.arange(150)).mean()
    assert fused_db == pytest.approx(snr_db + 10 * np.log10(frames))
    assert right_fused > right_single + 0.1

    impostors = make_people(400, cameras=1, shots=frames, seed=9).features.reshape(400, frames, 24)
    _, fused, fused_db = best(impostors, 10_000)
    table = policy.schemes["line"]
    # 400 impostors: 3 standard deviations of a 5 % rate are 3.3 %.
    assert (fused.max(1) >= table.at(fused_db).threshold).mean() <= 0.05 + 0.033
    # The threshold of one frame would let impostors in.
    assert (fused.max(1) >= table.at(snr_db).threshold).mean() > 0.15


@pytest.mark.parametrize("snrs_db", [[0.0, 0.0, 0.0], [5.0, -5.0, -10.0]])
def test_frames_that_end_after_any_piece_are_worth_the_snr_that_they_are_said_to_be(
    snrs_db: list[float],
) -> None:
    """A single frame at that SNR scores as high, for the person and for another."""
    piece, heard, trials = 16, [8, 3, 1], 3000
    rng = np.random.default_rng(5)

    def through(clean: np.ndarray, snr_db: float) -> np.ndarray:
        return clean + rng.normal(size=clean.shape) * 10 ** (-snr_db / 20)

    fused_scores, single_scores, worth = [], [], float("nan")
    for _ in range(trials):
        clean, other = rng.choice([-1.0, 1.0], size=(2, 8 * piece))
        alike = rng.random(8 * piece) < 0.5
        other[alike] = clean[alike]
        fusion = _fusion(max_age_s=100)
        for time, (snr_db, count) in enumerate(zip(snrs_db, heard, strict=True)):
            frame = through(clean, snr_db)
            frame[count * piece :] = 0.0
            fused = fusion.add("e", "t", "s", time, frame.astype(np.float32), snr_db, piece)
        worth = fused.snr_db
        single = through(clean, worth)
        gallery = np.stack([clean, other])
        fused_scores.append(cosine(fused.embedding[None], gallery)[0])
        single_scores.append(cosine(single[None], gallery)[0])
    assert np.mean(fused_scores, axis=0) == pytest.approx(np.mean(single_scores, axis=0), abs=0.01)
    assert snrs_db[0] < worth < 10 * np.log10(sum(10 ** (snr_db / 10) for snr_db in snrs_db))


def test_frames_heard_to_the_same_piece_are_averaged_as_whole_ones_are() -> None:
    frames = np.where(np.arange(8) < 4, VECTORS[:3], 0.0).astype(np.float32)
    nested, whole = _fusion(), _fusion()
    for time, frame in enumerate(frames):
        by_pieces = nested.add("e", "t", "s", time, frame, 2.0 * time, 4)
        as_whole = whole.add("e", "t", "s", time, frame, 2.0 * time)
    np.testing.assert_array_equal(by_pieces.embedding, as_whole.embedding)
    assert by_pieces.snr_db == as_whole.snr_db
