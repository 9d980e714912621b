"""When a match is a match: decisions, their calibration, enrolment quality, tracks."""
