"""What the jobs do: one function a kind, over the functions that do the work."""

from __future__ import annotations

from collections.abc import Mapping

from accesspoint.api.finding import Finder
from accesspoint.api.jobs import JobKind
from accesspoint.gallery.gallery import Gallery
from accesspoint.settings import ServeSettings
from airreid.bundle import Bundle


def job_kinds(
    bundle: Bundle, gallery: Gallery, finder: Finder, settings: ServeSettings
) -> Mapping[str, JobKind]:
    """The kinds by name, with their parameters."""
    return {}
