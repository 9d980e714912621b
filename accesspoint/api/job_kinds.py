"""What the jobs do: one function a kind, over the functions that do the work.

A job's parameters are text; docs/accesspoint.md lists them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from accesspoint.api.auth import Principal
from accesspoint.api.enrolment import ITEMS_MAX, Encoder
from accesspoint.api.jobs import JobKind, Tick
from accesspoint.api.search_service import SearchService
from accesspoint.errors import NotFoundError
from accesspoint.gallery.maintenance.archive_format import OnConflict
from accesspoint.gallery.opening import ServedGallery, writable_part
from accesspoint.matching.calibration_settings import CalibrationSettings
from accesspoint.matching.enrolled import calibrate_gallery
from airreid.bundle import Bundle
from airreid.errors import InputError
from airreid.images import decode, to_crop
from airreid.validation import validated

_NUMBERS = ("false_match_rate", "review_rate", "confidence", "margin", "min_subjects")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MORE_NUMBERS = ("max_queries", "seed")


def job_kinds(
    bundle: Bundle,
    gallery: ServedGallery,
    search_service: SearchService,
    encoder: Encoder,
    data_dir: Path,
) -> Mapping[str, JobKind]:
    """The kinds by name, with their parameters."""
    work = _Work(bundle, gallery, search_service, encoder, data_dir)
    return {
        "calibrate": _kind(
            work.calibrate, *_NUMBERS, *_MORE_NUMBERS, "snrs_db", "schemes", "apply"
        ),
        "backup": _kind(work.backup, "name"),
        "export": _kind(work.export, "name"),
        "import": _kind(work.import_, "name", "on_conflict"),
        "reindex": _kind(work.reindex, "allow_unserved"),
        "prove_deleted": _kind(work.prove_deleted, "entries", "delete"),
    }


def _kind(run: object, *parameters: str) -> JobKind:
    return JobKind.model_validate({"run": run, "parameters": frozenset(parameters)})


@dataclass(frozen=True)
class _Work:
    """The jobs' functions, and what they share."""

    bundle: Bundle
    gallery: ServedGallery
    search_service: SearchService
    encoder: Encoder
    data_dir: Path

    def calibrate(
        self, who: Principal, parameters: Mapping[str, str], tick: Tick
    ) -> Mapping[str, object]:
        """Thresholds from the enrolled entries, put in force unless ``apply`` is false."""
        settings = calibration_settings(parameters)
        schemes = _listed(parameters.get("schemes", "")) or self.bundle.scheme_ids
        found = calibrate_gallery(writable_part(self.gallery), self.bundle, schemes, settings, tick)
        apply = _flag(parameters, "apply", default=True)
        if apply:
            self.search_service.set_policy(who, found.policy.model_dump_json(), "")
        return {
            "applied": apply,
            "policy": found.policy.model_dump(),
            "report": found.report.model_dump(),
        }

    def backup(
        self, who: Principal, parameters: Mapping[str, str], tick: Tick
    ) -> Mapping[str, object]:
        """A copy of the database in ``backups``, checked."""
        path = self._path("backups", parameters.get("name", ""), ".sqlite")
        writable_part(self.gallery).maintenance.backup(path)
        return {"file": str(path.relative_to(self.data_dir)), "bytes": path.stat().st_size}

    def export(
        self, who: Principal, parameters: Mapping[str, str], tick: Tick
    ) -> Mapping[str, object]:
        """Everybody, in an archive in ``archives``."""
        path = self._path("archives", parameters.get("name", ""), ".zip")
        counts = writable_part(self.gallery).maintenance.export_archive(path, tick)
        file = str(path.relative_to(self.data_dir))
        return {"file": file, "bytes": path.stat().st_size, **asdict(counts)}

    def import_(
        self, who: Principal, parameters: Mapping[str, str], tick: Tick
    ) -> Mapping[str, object]:
        """Everybody of an archive in ``archives``."""
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
        """All entries in the bundle's feature space, from their thumbnails."""

        def encode(images: Sequence[bytes]) -> NDArray[np.float32]:
            crops = [to_crop(decode(image, "thumbnail")) for image in images]
            return self.encoder.features(np.stack(crops))

        allow = _flag(parameters, "allow_unserved", default=False)
        maintenance = writable_part(self.gallery).maintenance
        return asdict(maintenance.reindex(encode, tick, self.encoder.digest, allow))

    def prove_deleted(
        self, who: Principal, parameters: Mapping[str, str], tick: Tick
    ) -> Mapping[str, object]:
        """Searches all files for entries; with ``delete`` deletes them first, and then
        searches for pieces of their bytes too."""
        texts = _listed(parameters.get("entries", ""))
        if not texts or not all(one.isascii() and one.isdigit() for one in texts):
            raise InputError("entries: give their numbers, with commas")
        numbers = [int(one) for one in texts]
        if len(numbers) > ITEMS_MAX or max(numbers) >= 2**63:
            raise InputError(f"entries: at most {ITEMS_MAX} numbers below 2^63")
        delete = _flag(parameters, "delete", default=False)
        maintenance = writable_part(self.gallery).maintenance
        if delete:
            report = maintenance.delete_provably(numbers)
            self.search_service.audit.record(who, "delete_entries", entries=numbers)
        else:
            report = maintenance.prove_deleted(numbers)
        return {"clean": report.clean, **asdict(report)}

    def _path(self, folder: str, name: str, suffix: str) -> Path:
        """A file of the data folder. Raises :class:`InputError` for a name that would lead
        elsewhere."""
        name = name or datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        if not _FILE_NAME.fullmatch(name):
            raise InputError(
                f"name {name[:40]!r}: use 1 to 100 letters, digits and . _ -, "
                "beginning with a letter or digit"
            )
        where = self.data_dir / folder
        where.mkdir(mode=0o700, exist_ok=True)
        return where / (name.removesuffix(suffix) + suffix)


def calibration_settings(parameters: Mapping[str, str]) -> CalibrationSettings:
    """Settings from a job's parameters. Raises :class:`InputError` naming one."""
    given: dict[str, object] = {
        name: parameters[name] for name in (*_NUMBERS, *_MORE_NUMBERS) if name in parameters
    }
    if parameters.get("snrs_db"):
        given["snrs_db"] = tuple(_listed(parameters["snrs_db"]))
    settings = validated(CalibrationSettings, given)
    if "review_rate" not in given and settings.review_rate < settings.false_match_rate:
        given["review_rate"] = settings.false_match_rate
        settings = validated(CalibrationSettings, given)
    return settings


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _flag(parameters: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = parameters.get(name, str(default)).lower()
    if text not in ("true", "false"):
        raise InputError(f"{name}: use true or false")
    return text == "true"
