"""One way in: a folder, a file or a word becomes a :class:`DataSet`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

from airreid.datasets.dataset import DataSet
from airreid.datasets.folder import PARTS
from airreid.datasets.part_names import is_part, parts_among
from airreid.datasets.reader import Boxes, Certainty, Reader, Splits
from airreid.datasets.readers import READERS
from airreid.datasets.synthetic.reader import SYNTHETIC
from airreid.errors import InputError
from airreid.images import SUFFIXES
from airreid.picture_files import below, is_leftover
from airreid.registry import broken_extensions, load_extensions

MOST_BELOW = 50
"""Folders of a folder that are looked into for a data set; people are more."""
MOST_IMAGES = 1000
"""Images that are looked at to say where they lie."""


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
    given = _path_of(source)
    reader, path = located(given)
    if protocol is not None and protocol not in reader.protocols:
        _check_family(path, protocol)
    data = reader.open(path, protocol, boxes)
    return data if path == given else replace(data, elsewhere=str(path))


def families_of(source: Path | str) -> tuple[str, ...]:
    """Names under which :func:`open_splits` opens the source. Raises as :func:`open_data`."""
    return located(_path_of(source))[0].families


def open_splits(source: Path | str, family: str, boxes: Boxes | None = None) -> Splits:
    """Opens every split of a family of protocols, such as CUHK03's ``old``.

    Raises :class:`InputError` for a source without such splits.
    """
    reader, path = located(_path_of(source))
    if family not in reader.families:
        _check_family(path, family)
        raise InputError(f"{path}: {family!r} is no family of splits of {reader.name}")
    return reader.splits(path, family, boxes)


def located(path: Path) -> tuple[Reader, Path]:
    """Finds the reader of a path and where the data set lies: there, a folder up, or a folder down.

    Only a form that is sure is looked for elsewhere. Raises :class:`InputError` where several
    data sets lie side by side, and as :func:`recognised` does.
    """
    best = _surest(path)
    if (best is not None and best.recognises(path).certainty is Certainty.SURE) or (
        not path.is_dir()
    ):
        return recognised(path), path
    below = _folders(path)
    inside = {
        folder: reader
        for folder in below[:MOST_BELOW]
        if (reader := _surest(folder)) is not None
        and reader.recognises(folder).certainty is Certainty.SURE
    }
    if best is None and not inside and (deeper := _only_one_known(path)) is not None:
        return located(deeper)
    if len(inside) > 1:
        named = ", ".join(f"{folder.name} ({reader.name})" for folder, reader in inside.items())
        raise InputError(f"{path}: holds {len(inside)} data sets, {named}; give one of them")
    if inside:
        [(folder, reader)] = inside.items()
        return reader, folder
    above = path.absolute().parent
    if is_part(path.name):
        reader_above = _surest(above)
        if reader_above and reader_above.recognises(above).certainty is Certainty.SURE:
            return reader_above, above
    parts = parts_among([folder.name for folder in below])
    if parts and best is not None and best.certain_of_people:
        missing = ", ".join(part for part in PARTS if not (path / part).is_dir())
        raise InputError(
            f"{path}: holds {', '.join(parts)}: parts of a data set, and nobody's names"
            + (f" (with train, query and gallery; missing: {missing}); " if missing else "; ")
            + "give the whole of a form that 'airreid data forms' lists, or one part, as "
            "<identity>/<camera>/<image>"
        )
    return recognised(path), path


def _folders(path: Path) -> list[Path]:
    return [
        folder
        for folder in sorted(path.iterdir())
        if folder.is_dir() and not folder.is_symlink() and not is_leftover(Path(folder.name))
    ]


def _only_one_known(path: Path) -> Path | None:
    """Goes down while there is one folder only, to the first that a reader knows."""
    while len(below := _folders(path)) == 1:
        [path] = below
        if _surest(path) is not None:
            return path
    return None


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
        f"{reader.name}: {reader.recognises(path).reason}"
        for reader in READERS.parts()
        if reader.looks_for_files
    )
    raise InputError(
        f"{path}: no form of data set that is known{_where_images_lie(path)} "
        f"({missed}){broken_extensions()}"
    )


def _where_images_lie(path: Path) -> str:
    """Says at which depth a folder's images are: most often it is a level too many or too few."""
    if not path.is_dir():
        return ""
    images = (
        relative
        for file in below(path)
        if file.suffix.lower() in SUFFIXES and not is_leftover(relative := file.relative_to(path))
    )
    first = list(islice(images, MOST_IMAGES))
    if not first:
        return ": it holds no images"
    [(levels, _)] = Counter(len(image.parts) for image in first).most_common(1)
    example = next(image for image in first if len(image.parts) == levels)
    return (
        f": its images lie at level {levels}, such as {example}; people of your own are "
        "<identity>/<camera>/<image>, level 3"
    )


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
