"""Calibration of a gallery as it stands."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from accesspoint.gallery.gallery import Gallery
from accesspoint.matching.calibrate import NO_ENTRIES, Calibration, calibrate, senders
from accesspoint.matching.calibration_settings import CalibrationSettings
from accesspoint.matching.trials import Enrolled
from airreid.bundle import Bundle
from airreid.disk import open_private
from airreid.errors import InputError
from airreid.scheme_kinds import open_scheme

_PAGE = 10_000


def read_enrolled(gallery: Gallery, folder: Path) -> Enrolled:
    """Reads the gallery's entries, their features memory-mapped from a file in ``folder``.

    Entries that are enrolled or deleted meanwhile may be left out. Raises
    :class:`InputError` for a gallery without entries of the bundle's feature space.
    """
    owners: dict[int, tuple[str, str]] = {}
    after = 0
    while rows := gallery.store.owners(gallery.space_id, after, _PAGE):
        owners |= {number: (subject, camera) for number, subject, camera, _ in rows}
        after = rows[-1][0]
    numbers: list[int] = []
    dim = 0
    path = folder / "features.f32"
    with open_private(path) as file:
        for part in gallery.store.all_features(gallery.space_id):
            known = np.array([number in owners for number in part.ids.tolist()], dtype=bool)
            part.features[known].astype("<f4").tofile(file)
            numbers += part.ids[known].tolist()
            dim = part.features.shape[1]
    if not numbers:
        raise InputError(NO_ENTRIES)
    features = np.memmap(path, dtype="<f4", mode="r", shape=(len(numbers), dim))
    subjects, cameras = zip(*(owners[number] for number in numbers), strict=True)
    return Enrolled(features, subjects, cameras)


def calibrate_gallery(
    gallery: Gallery,
    bundle: Bundle,
    scheme_ids: Sequence[str],
    settings: CalibrationSettings,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Calibrates raw features and the schemes named, with networks of its own, so that
    queries wait for nothing.

    The policy is not stored: put ``policy.model_dump_json()`` into the gallery's setting
    ``match_policy``. Writes a temporary file of 8 kB an entry, deleted at the end. Raises
    as :func:`calibrate` and :func:`read_enrolled` do, and
    :class:`airreid.errors.BundleError` for a scheme that the bundle lacks.
    """
    schemes = [open_scheme(bundle, bundle.scheme(scheme_id), threads=1) for scheme_id in scheme_ids]
    with tempfile.TemporaryDirectory(prefix="airreid-calibrate-") as folder:
        enrolled = read_enrolled(gallery, Path(folder))
        return calibrate(enrolled, senders(schemes, settings.seed), settings, tick)
