"""One way in: a folder, a file or a word becomes a :class:`DataSet`."""

from __future__ import annotations

from pathlib import Path

from airreid.datasets.dataset import DataSet
from airreid.datasets.reader import Boxes, Certainty, Reader, Splits
from airreid.datasets.readers import READERS
from airreid.datasets.synthetic.reader import SYNTHETIC
from airreid.errors import InputError
from airreid.registry import broken_extensions, load_extensions


def open_data(
    source: Path | str, protocol: str | None = None, boxes: Boxes | None = None
) -> DataSet:
    """Opens the data set at ``source``, its form recognised, under ``protocol``.

    ``source``: a folder, CUHK03's ``.mat`` file, or ``synthetic``. ``protocol`` None
    means the data set's first one; ``boxes`` None the only ones that there are, and
    ``labeled`` for the ``.mat`` file, which has both.
    Images are not read. Raises :class:`InputError` for a form that is not known and
    for a protocol or boxes that the source has not.
    """
    path = _path_of(source)
    reader = recognised(path)
    if protocol is not None and protocol not in reader.protocols:
        _check_family(path, protocol)
    return reader.open(path, protocol, boxes)


def families_of(source: Path | str) -> tuple[str, ...]:
    """Names under which :func:`open_splits` opens the source. Raises as :func:`open_data`."""
    return recognised(_path_of(source)).families


def open_splits(source: Path | str, family: str, boxes: Boxes | None = None) -> Splits:
    """Opens every split of a family of protocols, such as CUHK03's ``old``.

    Raises :class:`InputError` for a source without such splits.
    """
    path = _path_of(source)
    reader = recognised(path)
    if family not in reader.families:
        _check_family(path, family)
        raise InputError(f"{path}: {family!r} is no family of splits of {reader.name}")
    return reader.splits(path, family, boxes)


def recognised(path: Path) -> Reader:
    """The reader that is surest of a path, the first of those equally sure.

    Raises :class:`InputError` that says what each reader missed.
    """
    best = _surest(path)
    if best is None or best.recognises(path).certainty < Certainty.SURE:
        load_extensions()
        best = _surest(path)
    if best is not None:
        return best
    if not path.exists():
        raise InputError(f"{path}: no such folder or file")
    missed = "; ".join(
        f"{reader.name}: {reader.recognises(path).reason}" for reader in READERS.parts()
    )
    raise InputError(f"{path}: no form of data set that is known ({missed}){broken_extensions()}")


def _surest(path: Path) -> Reader | None:
    certainties = {reader: reader.recognises(path).certainty for reader in READERS.parts()}
    best = max(certainties, key=certainties.__getitem__)
    return None if certainties[best] is Certainty.NO else best


def _path_of(source: Path | str) -> Path:
    """The word ``synthetic`` as it is; a folder that is called so by its absolute path."""
    path = Path(source)
    return path.absolute() if str(path) == SYNTHETIC != str(source) else path


def _check_family(path: Path, protocol: str) -> None:
    """Says where the splits are that another form of data set has."""
    for reader in READERS.parts():
        if protocol in reader.families:
            raise InputError(
                f"{path}: protocol {protocol} needs {reader.looks_for}, which has the splits"
            )
