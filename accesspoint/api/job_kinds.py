"""What the jobs do: one function a kind, over the functions that do the work.

A job's parameters are text; docs/accesspoint.md lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from accesspoint.api.auth import Principal
from accesspoint.api.finding import Finder
from accesspoint.api.jobs import JobKind, Tick
from accesspoint.gallery.gallery import Gallery
from accesspoint.matching.calibrate import CalibrationSettings
from accesspoint.matching.enrolled import calibrate_gallery
from accesspoint.settings import ServeSettings
from airreid.bundle import Bundle
from airreid.errors import InputError

_NUMBERS = ("false_match_rate", "review_rate", "confidence", "margin", "min_subjects")
_MORE_NUMBERS = ("max_queries", "seed")


def job_kinds(
    bundle: Bundle, gallery: Gallery, finder: Finder, settings: ServeSettings
) -> Mapping[str, JobKind]:
    """The kinds by name, with their parameters."""
    work = _Work(bundle, gallery, finder, settings)
    return {
        "calibrate": _kind(
            work.calibrate, *_NUMBERS, *_MORE_NUMBERS, "snrs_db", "schemes", "apply"
        ),
    }


def _kind(run: object, *parameters: str) -> JobKind:
    return JobKind.model_validate({"run": run, "parameters": frozenset(parameters)})


@dataclass(frozen=True)
class _Work:
    """The jobs' functions, and what they share."""

    bundle: Bundle
    gallery: Gallery
    finder: Finder
    settings: ServeSettings

    def calibrate(
        self, who: Principal, parameters: Mapping[str, str], tick: Tick
    ) -> Mapping[str, object]:
        """Thresholds from the enrolled entries, put in force unless ``apply`` is false."""
        settings = calibration_settings(parameters)
        schemes = _listed(parameters.get("schemes", "")) or self.bundle.scheme_ids
        found = calibrate_gallery(self.gallery, self.bundle, schemes, settings, tick)
        apply = _flag(parameters, "apply", default=True)
        if apply:
            self.finder.set_policy(who, found.policy.model_dump_json(), "")
        return {
            "applied": apply,
            "policy": found.policy.model_dump(),
            "report": found.report.model_dump(),
        }


def calibration_settings(parameters: Mapping[str, str]) -> CalibrationSettings:
    """Settings from a job's parameters. Raises :class:`InputError` naming one."""
    given: dict[str, object] = {
        name: parameters[name] for name in (*_NUMBERS, *_MORE_NUMBERS) if name in parameters
    }
    if parameters.get("snrs_db"):
        given["snrs_db"] = tuple(_listed(parameters["snrs_db"]))
    try:
        settings = CalibrationSettings.model_validate(given)
        if "review_rate" not in given and settings.review_rate < settings.false_match_rate:
            given["review_rate"] = settings.false_match_rate
            settings = CalibrationSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return settings


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _flag(parameters: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = parameters.get(name, str(default)).lower()
    if text not in ("true", "false"):
        raise InputError(f"{name}: use true or false")
    return text == "true"
