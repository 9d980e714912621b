"""Decisions on matches, their calibration, quality at enrolment, and tracks."""
