"""Settings of a calibration: the rates to keep, and where and on how much to measure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from accesspoint.matching.policy import Rate
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN
from airreid.validation import FiniteModel

Snr = Annotated[float, Field(ge=SNR_DB_MIN, le=SNR_DB_MAX)]


class CalibrationSettings(FiniteModel):
    """Rates to keep, and queries to measure with; the first five fields go into the policy."""

    false_match_rate: Rate = 0.01
    review_rate: Rate = 0.1
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    margin: Annotated[float, Field(ge=0.0, le=2.0)] = 0.02
    min_subjects: Annotated[int, Field(ge=2, le=2**53)] = 10
    snrs_db: Annotated[tuple[Snr, ...], Field(min_length=1, max_length=100)] = (
        *(-10.0, -7.5, -5.0, -2.5, 0.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0),
    )
    """SNRs to measure at; the thresholds between are interpolated."""
    max_queries: Annotated[int, Field(ge=10, le=20_000)] = 1000
    """Entries that are sent at each SNR. Memory: 8 kB for each of them and each SNR."""
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    new_cameras: bool = False
    """Queries come from cameras that nobody is enrolled from: each is compared with the entries
    of other cameras only. Otherwise an impostor also meets people of the own camera, whose
    pictures are more alike."""
    min_true_match_rate: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    """Share of known people that a scheme must match at its best SNR; one that matches fewer is
    left out of the policy."""
