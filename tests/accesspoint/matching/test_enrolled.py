"""Calibration and duplicates across the seam to the real gallery."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.matching.calibrate import calibrate, senders
from accesspoint.matching.calibration_settings import CalibrationSettings
from accesspoint.matching.decision import decide
from accesspoint.matching.enrolled import calibrate_gallery, read_enrolled
from accesspoint.matching.near_duplicates import duplicate_warnings
from accesspoint.matching.policy import FEATURES, SETTING, MatchPolicy, load_policy
from accesspoint.matching.quality import QualityGate
from accesspoint.matching.trials import Enrolled
from airreid.bundle import Bundle
from airreid.errors import BundleError, InputError
from airreid.scheme import DIRECT_SNR_DB
from airreid.scheme_kinds import open_scheme

SETTINGS = CalibrationSettings(false_match_rate=0.15, review_rate=0.3, snrs_db=(0.0, 20.0))


@pytest.fixture
def people(gallery: Gallery) -> Enrolled:
    """30 people by 2 cameras, enrolled."""
    rng = np.random.default_rng(0)
    centres = np.abs(rng.standard_normal((30, 1, 2048)))
    features = np.abs(centres + 0.4 * rng.standard_normal((30, 2, 2048)))
    people = Enrolled(
        features.reshape(60, 2048).astype(np.float32),
        [f"p{i // 2:02d}" for i in range(60)],
        ["a", "b"] * 30,
    )
    gallery.enrol(
        [
            NewEntry(subject, camera, gallery.space_id, feature)
            for subject, camera, feature in zip(
                people.subjects, people.cameras, people.features, strict=True
            )
        ]
    )
    return people


def test_reads_what_is_enrolled(gallery: Gallery, people: Enrolled, tmp_path: Path) -> None:
    gallery.delete_subject("p07")
    enrolled = read_enrolled(gallery, tmp_path)
    rows = [i for i, subject in enumerate(people.subjects) if subject != "p07"]
    np.testing.assert_array_equal(enrolled.features, people.features[rows])
    assert list(enrolled.subjects) == [people.subjects[i] for i in rows]
    assert list(enrolled.cameras) == [people.cameras[i] for i in rows]


def test_same_as_from_arrays_and_kept_as_a_setting(
    gallery: Gallery, people: Enrolled, bundle: Bundle
) -> None:
    calibration = calibrate_gallery(gallery, bundle, ["jscc-fc-256"], SETTINGS)
    schemes = [open_scheme(bundle, bundle.scheme("jscc-fc-256"), 1)]
    assert calibration == calibrate(people, senders(schemes, 0), SETTINGS)
    gallery.set_setting(SETTING, calibration.policy.model_dump_json())
    policy = load_policy(gallery.setting(SETTING))
    [result] = gallery.search(FEATURES, people.features[4:5], 5, 0)
    ranked = [(match.subject, match.score) for match in result.matches]
    decision = decide(ranked, FEATURES, DIRECT_SNR_DB, policy)
    assert (decision.kind, decision.subject) == ("match", "p02")


def test_refusals(gallery: Gallery, bundle: Bundle) -> None:
    with pytest.raises(InputError, match="no entries to calibrate with"):
        calibrate_gallery(gallery, bundle, [], SETTINGS)
    with pytest.raises(BundleError):
        calibrate_gallery(gallery, bundle, ["no-such"], SETTINGS)


def test_resemblance_to_what_is_enrolled(gallery: Gallery, people: Enrolled) -> None:
    assert duplicate_warnings(
        people.features[[4, 4]], ["p02", "new"], gallery, QualityGate(), MatchPolicy()
    ) == [
        ("the same as an entry of this subject",),
        ("looks like subject p02: cosine 1.000 (from 0.900 on)",),
    ]
