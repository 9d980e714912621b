"""Kinds of jobs: one function each, over the functions that do the work.

A job's parameters are text; docs/accesspoint.md lists them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from accesspoint.api.audit import Audit
from accesspoint.api.auth import Principal
from accesspoint.api.enrolment import ITEMS_MAX, Encoder
from accesspoint.api.jobs import JobKind, Tick
from accesspoint.api.search_service import SearchService
from accesspoint.errors import NotFoundError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.maintenance.archive_format import OnConflict
from accesspoint.gallery.opening import ServedGallery, writable_part
from accesspoint.matching.calibration_settings import CalibrationSettings
from accesspoint.matching.enrolled import calibrate_gallery
from airreid.bundle import Bundle
from airreid.disk import private_folder
from airreid.errors import InputError
from airreid.images import decode
from airreid.validation import validated

_POLICY_NUMBERS = ("false_match_rate", "review_rate", "confidence", "margin", "min_subjects")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
NAMED = 100
"""Most entries that a result names."""
_TRIAL_NUMBERS = ("max_queries", "seed", "min_true_match_rate", "new_cameras")


def job_kinds(
    bundle: Bundle,
    gallery: ServedGallery,
    search_service: SearchService,
    encoder: Encoder,
    data_dir: Path,
) -> Mapping[str, JobKind]:
    """Makes the kinds by name, with their parameters."""
    work = _Work(bundle, gallery, search_service, encoder, data_dir)
    return {
        "calibrate": _kind(
            work.calibrate, *_POLICY_NUMBERS, *_TRIAL_NUMBERS, "snrs_db", "schemes", "apply"
        ),
        "backup": _kind(work.backup, "name"),
        "export": _kind(work.export, "name"),
        "import": _kind(work.import_, "name", "on_conflict"),
        "reindex": _kind(work.reindex, "allow_unserved"),
        "scrub": _kind(work.scrub),
        "prove_deleted": _kind(work.prove_deleted, "entries", "delete"),
    }


def _kind(run: object, *parameters: str) -> JobKind:
    return JobKind.model_validate({"run": run, "parameters": frozenset(parameters)})


@dataclass(frozen=True)
class _Work:
    """Functions of the jobs, and what they share."""

    bundle: Bundle
    gallery: ServedGallery
    search_service: SearchService
    encoder: Encoder
    data_dir: Path

    def calibrate(
        self, who: Principal, parameters: Mapping[str, str], tick: Tick
    ) -> Mapping[str, object]:
        """Calibrates thresholds on the enrolled entries; in force unless ``apply`` is false.

        Thresholds that would recognise nobody are not put in force; ``refused`` says so.
        """
        settings = calibration_settings(parameters)
        schemes = _listed(parameters.get("schemes", "")) or self.bundle.scheme_ids
        gallery = writable_part(self.gallery)
        calibration = calibrate_gallery(gallery, self.bundle, schemes, settings, tick)
        refused = ""
        if not calibration.policy.schemes:
            least = settings.min_true_match_rate
            refused = (
                f"nobody would be recognised: below {least:.0%} of the known people at every SNR; "
                "state a higher false_match_rate, enrol more pictures or cameras, or use a network "
                "that tells these people apart"
            )
        apply = _flag(parameters, "apply", default=True) and not refused
        if apply:
            self.search_service.set_policy(who, calibration.policy.model_dump_json(), "")
        return {
            "applied": apply,
            "refused": refused,
            "policy": calibration.policy.model_dump(),
            "report": calibration.report.model_dump(),
        }

    def backup(
        self, who: Principal, parameters: Mapping[str, str], tick: Tick
    ) -> Mapping[str, object]:
        """Copies the database to ``backups``, and checks the copy."""
        path = self._path("backups", parameters.get("name", ""), ".sqlite")
        damaged = writable_part(self.gallery).maintenance.backup(path)
        file = str(path.relative_to(self.data_dir))
        return {"file": file, "bytes": path.stat().st_size, "damaged": damaged[:NAMED]}

    def export(
        self, who: Principal, parameters: Mapping[str, str], tick: Tick
    ) -> Mapping[str, object]:
        """Exports everybody to an archive in ``archives``."""
        path = self._path("archives", parameters.get("name", ""), ".zip")
        counts = writable_part(self.gallery).maintenance.export_archive(path, tick)
        file = str(path.relative_to(self.data_dir))
        return {"file": file, "bytes": path.stat().st_size, **asdict(counts)}

    def import_(
        self, who: Principal, parameters: Mapping[str, str], tick: Tick
    ) -> Mapping[str, object]:
        """Imports everybody of an archive in ``archives``."""
        name = parameters.get("name", "")
        if not name:
            raise InputError("name: give the archive's, as it is called in the folder archives")
        on_conflict = parameters.get("on_conflict", "skip")
        if on_conflict not in ("skip", "replace", "fail"):
            raise InputError("on_conflict: use skip, replace or fail")
        path = self._path("archives", name, ".zip")
        if not path.is_file():
            raise NotFoundError(f"no archive {path.name!r} in {path.parent.name}")
        maintenance = writable_part(self.gallery).maintenance
        return asdict(maintenance.import_archive(path, cast(OnConflict, on_conflict), tick))

    def reindex(
        self, who: Principal, parameters: Mapping[str, str], tick: Tick
    ) -> Mapping[str, object]:
        """Encodes all entries in the bundle's feature space, from their thumbnails."""

        def encode(images: Sequence[bytes]) -> NDArray[np.float32]:
            crops = [self.encoder.crop(decode(image, "thumbnail")) for image in images]
            return self.encoder.features(np.stack(crops))

        allow = _flag(parameters, "allow_unserved", default=False)
        maintenance = writable_part(self.gallery).maintenance
        return asdict(maintenance.reindex(encode, tick, self.encoder.digest, allow))

    def scrub(
        self, who: Principal, parameters: Mapping[str, str], tick: Tick
    ) -> Mapping[str, object]:
        """Reads and compares everything that is kept; says what it found, and mended."""
        return scrub_report(writable_part(self.gallery), self.search_service.audit, tick)

    def prove_deleted(
        self, who: Principal, parameters: Mapping[str, str], tick: Tick
    ) -> Mapping[str, object]:
        """Searches all files for entries.

        With ``delete`` deletes them first, and searches for pieces of their bytes too.
        """
        texts = _listed(parameters.get("entries", ""))
        if not texts or not all(text.isascii() and text.isdigit() for text in texts):
            raise InputError("entries: give their numbers, with commas")
        numbers = [int(text) for text in texts]
        if len(numbers) > ITEMS_MAX or max(numbers) >= 2**63:
            raise InputError(f"entries: at most {ITEMS_MAX} numbers below 2^63")
        delete = _flag(parameters, "delete", default=False)
        maintenance = writable_part(self.gallery).maintenance
        if delete:
            self.search_service.audit.check()
            report = maintenance.delete_provably(numbers)
            self.search_service.audit.record(who, "delete_entries", entries=numbers)
        else:
            report = maintenance.prove_deleted(numbers)
        return {"clean": report.clean, **asdict(report)}

    def _path(self, folder: str, name: str, suffix: str) -> Path:
        """Returns the path of a file of the data folder, whose folder is made if missing.

        Raises :class:`InputError` for a name that would lead elsewhere.
        """
        name = name or datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        if not _FILE_NAME.fullmatch(name):
            raise InputError(
                f"name {name[:40]!r}: use 1 to 100 letters, digits and . _ -, "
                "beginning with a letter or digit"
            )
        parent = self.data_dir / folder
        private_folder(parent)
        return parent / (name.removesuffix(suffix) + suffix)


def scrub_report(
    gallery: Gallery,
    audit: Audit,
    tick: Tick = lambda done, total: None,
    pause: Callable[[], object] = lambda: None,
) -> dict[str, object]:
    """Scrubs a gallery and the audit log beside it."""
    report = gallery.maintenance.scrub(tick, pause)
    lines = audit.damaged_lines()
    return {"clean": report.clean and not lines, **asdict(report), "audit_lines": lines}


def calibration_settings(parameters: Mapping[str, str]) -> CalibrationSettings:
    """Reads settings from a job's parameters. Raises :class:`InputError` naming one."""
    given: dict[str, object] = {
        name: parameters[name] for name in (*_POLICY_NUMBERS, *_TRIAL_NUMBERS) if name in parameters
    }
    if parameters.get("snrs_db"):
        given["snrs_db"] = tuple(_listed(parameters["snrs_db"]))
    settings = validated(CalibrationSettings, given)
    if "review_rate" not in given and settings.review_rate < settings.false_match_rate:
        given["review_rate"] = settings.false_match_rate
        settings = validated(CalibrationSettings, given)
    return settings


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _flag(parameters: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = parameters.get(name, str(default)).lower()
    if text not in ("true", "false"):
        raise InputError(f"{name}: use true or false")
    return text == "true"
