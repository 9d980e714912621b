from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from accesspoint.matching.calibrate import Calibration, calibrate, senders
from accesspoint.matching.calibration_settings import CalibrationSettings
from accesspoint.matching.decision import decide
from accesspoint.matching.policy import FEATURES, load_policy
from accesspoint.matching.trials import Direct, Enrolled, Sender
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.retrieval import cosine
from airreid.scheme_kinds import open_scheme

People = Callable[..., Enrolled]
Code = Callable[..., Sender]
SNRS = (-10.0, -5.0, 0.0, 10.0)
SETTINGS = CalibrationSettings(
    false_match_rate=0.05, review_rate=0.2, margin=0.0, snrs_db=SNRS, max_queries=2000
)


def _calibrate(people: Enrolled, code: Sender, **changes: object) -> Calibration:
    settings = SETTINGS.model_copy(update=changes)
    return calibrate(people, {FEATURES: ("", Direct()), "line": ("analog", code)}, settings)


def _ranked(scores: np.ndarray, subjects: list[str]) -> list[tuple[str, float]]:
    return [(subjects[i], float(scores[i])) for i in np.argsort(-scores)]


@pytest.mark.parametrize("snr_db", [-10.0, -7.0, 0.0, 6.0, 10.0, 30.0])
def test_fresh_strangers_match_no_more_often_than_stated(
    snr_db: float, make_people: People, make_code: Code
) -> None:
    people = make_people(200)
    policy = _calibrate(people, make_code(24)).policy
    impostors = make_people(600, cameras=1, seed=5)
    fresh = make_code(24, seed=1234)
    received = fresh.receive(impostors.features, snr_db, 0).embeddings
    scores = cosine(received, fresh.gallery(people.features))
    subjects = list(people.subjects)
    kinds = [decide(_ranked(row, subjects), "line", snr_db, policy).kind for row in scores]
    # 600 impostors: 3 standard deviations of a 5 % rate are 2.7 %, of a 20 % rate 4.9 %.
    assert kinds.count("match") / 600 <= 0.05 + 0.027
    assert (600 - kinds.count("unknown")) / 600 <= 0.2 + 0.049
    assert kinds.count("unknown") < 600  # not by calling everybody unknown


def test_thresholds_rise_with_the_snr_and_the_rate(make_people: People, make_code: Code) -> None:
    people = make_people(200)
    strict = _calibrate(people, make_code(24), false_match_rate=0.02).policy
    loose = _calibrate(people, make_code(24), false_match_rate=0.1).policy
    for policy in (strict, loose):
        points = policy.schemes["line"].points
        assert [point.snr_db for point in points] == list(SNRS)
        assert all(b.threshold >= a.threshold for a, b in pairwise(points))
    for a, b in zip(strict.schemes["line"].points, loose.schemes["line"].points, strict=True):
        assert a.threshold > b.threshold
        assert a.review_threshold == b.review_threshold
    # The point of it all: a threshold for a clear channel refuses everybody in noise.
    assert loose.schemes["line"].points[0].threshold < loose.schemes["line"].points[-1].threshold


def test_report_says_what_the_policy_does(make_people: People, make_code: Code) -> None:
    people = make_people(150)
    result = _calibrate(people, make_code(24), margin=0.03)
    assert result.policy.subjects == result.report.subjects == 150
    assert result.report.entries == 300
    raw, line = result.report.schemes
    assert (raw.scheme_id, raw.link, len(raw.points)) == (FEATURES, "", 1)
    for point in line.points:
        assert point.threshold == result.policy.schemes["line"].at(point.snr_db).threshold
        assert point.false_match_low <= point.false_match_rate <= point.false_match_high <= 0.05
        assert point.true_match_low <= point.true_match_rate <= point.true_match_high
        assert (point.impostors, point.known, point.lost) == (150, 150, 0.0)
    assert line.points[0].true_match_rate < line.points[-1].true_match_rate
    # Raw features, by brute force: leave the own subject out, count each person once.
    scores = cosine(people.features, people.features)
    owner = np.array(people.subjects)
    camera = np.array(people.cameras)
    same = owner[:, None] == owner[None]
    impostor = np.where(same, -1, scores).max(1)
    genuine = np.where(same & (camera[:, None] != camera[None]), scores, -1).max(1)
    threshold = raw.points[0].threshold
    assert raw.points[0].false_match_rate == pytest.approx((impostor >= threshold).mean())
    right = (genuine >= threshold) & (genuine - impostor >= 0.03)
    assert raw.points[0].true_match_rate == pytest.approx(right.mean())
    assert result.policy.near_duplicate == threshold


def test_an_snr_where_nothing_arrives_is_left_out_and_treated_strictly(
    make_people: People, make_code: Code
) -> None:
    result = _calibrate(make_people(150), make_code(24, cliff_db=-1.0))
    assert [p.snr_db for p in result.policy.schemes["line"].points] == [0.0, 10.0]
    lost, arrived = result.report.schemes[1].points[0], result.report.schemes[1].points[2]
    assert (lost.lost, lost.threshold, lost.impostors) == (1.0, None, 0)
    assert (arrived.lost, arrived.impostors) == (0.0, 150)
    assert result.policy.schemes["line"].at(-5.0).threshold == max(
        point.threshold for point in result.policy.schemes["line"].points
    )
    nothing = _calibrate(make_people(150), make_code(24, cliff_db=50.0))
    assert list(nothing.policy.schemes) == [FEATURES]


def test_a_rate_that_so_few_cannot_vouch_for_is_refused(
    make_people: People, make_code: Code
) -> None:
    with pytest.raises(InputError, match=r"58 subjects .* can vouch for 0\.05 at 95%.* enrol 59"):
        _calibrate(make_people(58), make_code(24))
    _calibrate(make_people(59), make_code(24))
    with pytest.raises(InputError, match="9 subjects enrolled; calibration needs 10"):
        _calibrate(make_people(9), make_code(24), false_match_rate=0.5, review_rate=0.6)
    with pytest.raises(InputError, match="review_rate"):
        _calibrate(make_people(59), make_code(24), review_rate=0.01)


def test_one_camera_alone_has_thresholds_but_no_true_match_rate(
    make_people: People, make_code: Code
) -> None:
    result = _calibrate(make_people(80, cameras=1, shots=2), make_code(24))
    point = result.report.schemes[1].points[-1]
    assert (point.known, point.true_match_rate) == (0, None)
    assert point.threshold is not None


def test_deterministic_and_cancelled_by_its_tick(make_people: People, make_code: Code) -> None:
    people = make_people(80)
    first, again = (_calibrate(people, make_code(24)) for _ in range(2))
    assert first == again
    assert load_policy(first.policy.model_dump_json()) == first.policy

    class CancelledError(Exception):
        pass

    def tick(done: int, total: int) -> None:
        assert done <= total == 160 + 4 * 160
        if done == total:
            raise CancelledError

    with pytest.raises(CancelledError):
        calibrate(people, {"line": ("analog", make_code(24))}, SETTINGS, tick)


def test_schemes_of_a_bundle_over_their_own_links(bundle: Bundle) -> None:
    rng = np.random.default_rng(0)
    centres = np.abs(rng.standard_normal((20, 1, 2048)))
    features = np.abs(centres + 0.3 * rng.standard_normal((20, 2, 2048))).reshape(40, 2048)
    people = Enrolled(
        features.astype(np.float32), [f"p{i // 2}" for i in range(40)], ["a", "b"] * 20
    )
    ids = ("jscc-fc-256", "digital-64")
    schemes = [open_scheme(bundle, bundle.scheme(name), 1) for name in ids]
    settings = CalibrationSettings(false_match_rate=0.15, review_rate=0.3, snrs_db=(-30.0, 20.0))
    result = calibrate(people, senders(schemes, 0), settings)
    assert [(s.scheme_id, s.link) for s in result.report.schemes] == [
        (FEATURES, ""),
        ("jscc-fc-256", "analog"),
        ("digital-64", "coded"),
    ]
    analog, coded = result.report.schemes[1:]
    assert [point.lost for point in analog.points] == [0.0, 0.0]
    assert coded.points[0].lost > 0.9
    assert coded.points[1].lost == 0.0
    assert result.policy.schemes["jscc-fc-256"].at(20.0).threshold > 0


def test_a_scheme_that_recognises_nobody_is_left_out_of_the_policy(
    make_people: People, make_code: Code
) -> None:
    """Forty people whose pictures say nothing about who they are."""
    rng = np.random.default_rng(1)
    people = make_people(40, cameras=2, shots=4)
    noise = rng.standard_normal(people.features.shape).astype(np.float32)
    lost = Enrolled(noise, people.subjects, people.cameras)
    result = _calibrate(lost, make_code(24), false_match_rate=0.1)
    assert result.report.recognise_nobody == (FEATURES, "line")
    assert result.policy.schemes == {}
    assert all(scheme.best_true_match_rate < 0.05 for scheme in result.report.schemes)
    free = _calibrate(lost, make_code(24), false_match_rate=0.1, min_true_match_rate=0.0)
    assert set(free.policy.schemes) == {FEATURES, "line"}
    assert _calibrate(people, make_code(24), false_match_rate=0.1).report.recognise_nobody == ()


def test_one_person_under_two_names_is_named_and_left_out(
    make_people: People, make_code: Code
) -> None:
    people = make_people(60, cameras=2, shots=2)
    plain = _calibrate(people, make_code(24), false_match_rate=0.1)
    twice = Enrolled(
        np.concatenate([people.features, people.features[:1]]),
        [*people.subjects, "alice"],
        [*people.cameras, "desk"],
    )
    result = _calibrate(twice, make_code(24), false_match_rate=0.1)
    [pair] = result.report.left_out
    assert (pair.subject, pair.like) == ("alice", "p0000")
    assert pair.cosine > 0.999
    assert result.policy == plain.policy
    assert result.report.subjects == 60


@pytest.mark.parametrize("copies", [2, 3, 7])
def test_one_person_under_many_names_is_left_once(
    make_people: People, make_code: Code, copies: int
) -> None:
    """The nearest of the person is a name that another one has taken out already."""
    people = make_people(80, cameras=2, shots=2)
    names = [f"again-{copy}" for copy in reversed(range(copies))]
    often = Enrolled(
        np.concatenate([people.features[:1].repeat(copies, axis=0), people.features]),
        [*names, *people.subjects],
        [*("desk" for _ in names), *people.cameras],
    )
    result = _calibrate(often, make_code(24), false_match_rate=0.1)
    assert sorted(pair.subject for pair in result.report.left_out) == sorted(names)
    assert result.report.subjects == 80
    best = result.report.schemes[1].best_true_match_rate
    assert best is not None
    assert best > 0.5


def test_other_rates_are_shown_with_intervals(make_people: People, make_code: Code) -> None:
    scheme = _calibrate(make_people(60), make_code(24), false_match_rate=0.1).report.schemes[1]
    rows = {(row.false_match_rate, row.snr_db): row for row in scheme.trade_offs}
    assert {rate for rate, _ in rows} == {0.01, 0.02, 0.05, 0.1, 0.2, 0.3}
    assert {snr_db for _, snr_db in rows} == {-10.0, 0.0, 10.0}
    assert rows[0.01, 0.0].threshold is None
    assert rows[0.01, 0.0].subjects_needed == 299
    for row in rows.values():
        if row.threshold is not None:
            assert row.true_match_low <= row.true_match_rate <= row.true_match_high
    assert rows[0.1, 0.0].threshold == scheme.points[2].threshold
    assert rows[0.3, 0.0].threshold < rows[0.1, 0.0].threshold
    assert rows[0.3, 0.0].true_match_rate >= rows[0.1, 0.0].true_match_rate


def test_queries_from_new_cameras_meet_other_cameras_only(
    make_people: People, make_code: Code
) -> None:
    """Pictures of one camera are alike, whomever they show: nobody is lost for that."""
    people = make_people(60, cameras=2, shots=2)
    tint = np.random.default_rng(7).standard_normal((2, 24)).astype(np.float32) * 6
    camera = np.array([int(name[1:]) for name in people.cameras])
    tinted = Enrolled(people.features + tint[camera], people.subjects, people.cameras)
    settings = {"false_match_rate": 0.1, "min_true_match_rate": 0.0}
    all_cameras = _calibrate(tinted, make_code(24), **settings).policy
    others = _calibrate(tinted, make_code(24), **settings, new_cameras=True).policy
    here, elsewhere = (p.schemes["line"].points[-1].threshold for p in (all_cameras, others))
    assert elsewhere < here - 0.1
    with pytest.raises(InputError, match="new_cameras: everybody was enrolled from one camera"):
        _calibrate(make_people(60, cameras=1), make_code(24), new_cameras=True)
