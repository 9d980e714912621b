"""A link's settings from the options of ``airreid channel``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from airreid.channels.settings import SNR_FIELDS, changed, split_parameters
from airreid.channels.traces import read_trace
from airreid.config_file import Given
from airreid.errors import InputError
from channel_sim.settings import ServeSettings


def link_changes(flags: Mapping[str, object]) -> dict[str, object]:
    """The fields that were given as options, a trace read.

    Raises :class:`InputError` for a file that is no trace, and for more than one SNR.
    """
    if len([name for name in SNR_FIELDS if name in flags]) > 1:
        raise InputError("give one of --snr, --snr-range and --trace")
    changes = dict(flags)
    if "snr_trace" in changes:
        changes["snr_trace"] = read_trace(Path(str(changes["snr_trace"])))
    if "parameters" in changes:
        changes["parameters"] = split_parameters(cast(list[str], changes["parameters"]))
    return changes


def serve_settings(given: Given[ServeSettings]) -> ServeSettings:
    """The settings of the file, and the link's changed as the options say.

    So another model, or another kind of SNR, takes the place of the file's.
    Raises :class:`InputError`.
    """
    link = given.flags.get("link", {})
    changes = link_changes(link)
    settings = given.checked(given.values | {"link": (given.file or {}).get("link", {})})
    return settings.model_copy(update={"link": changed(settings.link, changes)})
