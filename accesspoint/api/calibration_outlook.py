"""Outlook of a calibration: whether it must fail, told before anybody starts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from accesspoint.api.job_kinds import calibration_settings
from accesspoint.api.jobs import Jobs
from accesspoint.api.search_service import SearchService
from accesspoint.matching.calibrate import check_enough
from accesspoint.matching.rates import people_needed
from airreid.errors import AirReidError

ONE_CAMERA = (
    "everybody is enrolled from one camera, so the report cannot say how many people are "
    "recognised; enrol them from a second one to know"
)


@dataclass(frozen=True)
class CalibrationOutlook:
    """Counts that a calibration begins with, and what speaks against it."""

    refusal: str = ""
    """Reason that it must fail, in the job's own words; empty where none is known."""
    caution: str = ""
    """Gap that its report will have; empty where none is known."""
    subjects: int = 0
    """Subjects with entries that are searched."""
    cameras: int = 0
    """Cameras that such entries are of; 2 for two or more."""
    subjects_needed: int = 0
    """Subjects that the rate takes at its confidence."""


def calibration_outlook(
    search_service: SearchService, jobs: Jobs, parameters: Mapping[str, str]
) -> CalibrationOutlook:
    """Applies the rules of a ``calibrate`` job with these parameters, without its measurements.

    A job may fail all the same: it leaves out subjects that look like another one.
    """
    subjects = cameras = needed = 0
    try:
        settings = calibration_settings(parameters)
        needed = people_needed(settings.false_match_rate, settings.confidence)
        subjects, cameras = search_service.enrolled_counts()
        check_enough(subjects, cameras, settings)
        refusal = jobs.busy("calibrate")
    except AirReidError as error:
        refusal = str(error)
    caution = ONE_CAMERA if cameras == 1 and not refusal else ""
    return CalibrationOutlook(refusal, caution, subjects, cameras, needed)
