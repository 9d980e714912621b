"""Plan of a study: which cells it has when it is finished, and the data that they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from airreid.disk import read_regular
from airreid.errors import InputError
from airreid.evaluation.study.anchors import RAW
from airreid.evaluation.study.cells import FORMAT, key_of
from airreid.validation import FrozenModel, first_complaint

PLAN = "study.json"
"""File of a study's folder, and of its results."""
DIGESTS = "digests"
_BYTES_MAX = 16 << 20
_SHARED = ("snrs_db", "snr_range_db", "training_seeds", "noise_seeds")
_DATA = ("data_digest", "training_digest", "protocol", "network", "bundle", "size")


class Plan(FrozenModel):
    """Cells that a study has when it is finished, and the data that they are of."""

    format: int = FORMAT
    study: str = ""
    quick: bool = False
    cells: tuple[str, ...]
    """Names; empty where the folder never said."""
    shared: dict[str, Any] = Field(default_factory=dict)
    """Settings that all cells have alike."""
    about: dict[str, Any] = Field(default_factory=dict)
    """Data set, protocol, network and digests; empty where the folder never said."""

    def key(self, settings: Mapping[str, Any]) -> str:
        """Returns the key of a cell that has such settings, and is of these features."""
        return key_of({"features": self.about[DIGESTS], "settings": settings})


def shared_settings(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those settings of a cell that all cells of a study have alike.

    Whole features have bandwidths and noise draws of their own.
    """
    shared = {} if name.startswith(RAW) else settings
    return {field: shared[field] for field in _SHARED if field in shared}


def read_plan(folder: Path) -> Plan:
    """Reads the plan of a folder; a blank one where there is none.

    Raises :class:`InputError` for a file that is no plan.
    """
    path = folder / PLAN
    try:
        return Plan.model_validate_json(read_regular(path, _BYTES_MAX))
    except FileNotFoundError:
        return Plan(cells=())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); delete it") from None
    except ValidationError as error:
        raise InputError(f"{path}: cannot be read ({first_complaint(error)}); delete it") from None


def write_plan(folder: Path, plan: Plan) -> None:
    """Writes the plan of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plan.model_dump(mode="json"), indent=1) + "\n"
    (folder / PLAN).write_text(text, encoding="utf-8")


def difference(first: Plan, second: Plan) -> str:
    """Says in which respect two plans are of different studies; empty where in none."""
    ours = {"study": first.study, "quick": first.quick} | {f: first.about.get(f) for f in _DATA}
    theirs = {"study": second.study, "quick": second.quick}
    theirs |= {field: second.about.get(field) for field in _DATA}
    both = first.shared.keys() & second.shared.keys()
    ours |= {field: first.shared[field] for field in sorted(both)}
    theirs |= {field: second.shared[field] for field in both}
    unlike = (field for field, value in ours.items() if value != theirs[field])
    return next((f"{field} {theirs[field]}, not {ours[field]}" for field in unlike), "")
