"""One wrong file among many: what happens to the others is as without it, and it is named."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import airreid
from airreid.adopt.images import open_images, readable_images
from airreid.bundle_cli import correction_images
from airreid.datasets.cli import app as data_app
from airreid.datasets.samples import ImageSet
from airreid.datasets.synthetic.population import Population, write_folder
from airreid.evaluation.cli import readable_data
from airreid.picture_files import picture_files
from simulation.people import from_folders
from training.cli import training_data

from ..wrong_files import KINDS, LEFTOVER, beside


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 crops: 6 people by 2 cameras."""
    folder = tmp_path_factory.mktemp("few") / "crowd"
    write_folder(Population(seed=77, identities=6, cameras=2, shots=2), folder)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRREID_CACHE", str(tmp_path / "cache"))


def silent(name: str, steps: int) -> Callable[[], object]:
    return lambda: None


def of(images: ImageSet) -> list[tuple[str, str, str]]:
    return [(sample.name, sample.identity, sample.camera) for sample in images.samples]


def names(folder: Path) -> tuple[Any, str]:
    files = picture_files(folder)
    readable = [path for path in files.images if path.suffix == ".png"]
    messages = " ".join(file.reason for file in files.left_out)
    odd = " ".join(str(path) for path in files.images if path.suffix != ".png")
    leftovers = f"{files.leftovers} hidden" if files.leftovers else ""
    return [path.relative_to(folder) for path in readable], f"{messages} {odd} {leftovers}"


def data_check(folder: Path) -> tuple[Any, str]:
    result = CliRunner().invoke(data_app, ["check", str(folder)])
    content = re.search(r"content +\w+ \(names and pixels of \d+ images\)", result.output)
    assert content is not None, result.output
    return content.group(), result.output


def adopted_or_learned_from(folder: Path) -> tuple[Any, str]:
    images = readable_images(open_images(str(folder)), folder.parent / "none", silent)
    assert images.labels is not None
    assert images.test is not None
    parts = [of(images.fit), images.labels.identity.tolist(), of(images.test["query"])]
    return [*parts, of(images.everything)], " ".join(images.left_out)


def adopted_without_identities(folder: Path) -> tuple[Any, str]:
    images = readable_images(open_images(str(folder), False), folder.parent / "none", silent)
    return of(images.fit), " ".join(images.left_out)


def trained_on(folder: Path) -> tuple[Any, str]:
    data = training_data(str(folder), None, None, folder.parent / "none")
    assert data is not None
    return of(data["train"]), " ".join(data.left_out)


def evaluated(folder: Path) -> tuple[Any, str]:
    data = readable_data(str(folder), None, None, folder.parent / "none")
    return [of(images) for images in data.subsets.values()], " ".join(data.left_out)


def corrected_on(folder: Path) -> tuple[Any, str]:
    return of(correction_images(str(folder))), ""


def simulated(folder: Path) -> tuple[Any, str]:
    people = from_folders(folder, folder, silent)
    rows = [
        (crop.identity, crop.camera, crop.path.name) for crop in [*people.gallery, *people.queries]
    ]
    return rows, " ".join(people.left_out)


def read_by_a_program(folder: Path) -> tuple[Any, str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        crops = airreid.read_crops(folder)
    good = [
        (Path(str(image)).relative_to(folder), subject, camera)
        for image, subject, camera in zip(crops.images, crops.subjects, crops.cameras, strict=True)
        if str(image).endswith(".png")
    ]
    opened_later = [str(image) for image in crops.images if not str(image).endswith(".png")]
    return good, " ".join([*opened_later, *(str(warning.message) for warning in caught)])


COMMANDS = {
    function.__name__: function
    for function in (
        *(names, data_check, adopted_or_learned_from, adopted_without_identities, trained_on),
        *(evaluated, corrected_on, simulated, read_by_a_program),
    )
}
COUNTS_LEFTOVERS = {"names", "data_check"}
"""Those that say how many hidden files there are; the others take no notice of them."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", COMMANDS)
def test_one_wrong_file_changes_nothing_for_the_others_and_is_named(
    crops: Path,
    tmp_path: Path,
    command: str,
    kind: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    clean, spoilt = beside(crops, kind, tmp_path)
    expected, before = COMMANDS[command](clean)
    capfd.readouterr()
    result, messages = COMMANDS[command](spoilt)
    messages += capfd.readouterr().err
    assert result == expected
    name = KINDS[kind][0]
    assert name not in before
    if kind != LEFTOVER:
        assert name in messages
    elif command in COUNTS_LEFTOVERS:
        assert "1 hidden" in messages


def test_a_note_beside_the_images_is_no_fault_of_theirs(crops: Path, tmp_path: Path) -> None:
    codes = {}
    for kind in KINDS:
        _, spoilt = beside(crops, kind, tmp_path / kind)
        result = CliRunner().invoke(data_app, ["check", str(spoilt)])
        codes[kind] = result.exit_code
        assert KINDS[kind][0] in result.output or kind == LEFTOVER
    assert {kind for kind, code in codes.items() if code == 0} == {"text", LEFTOVER}


@pytest.fixture(params=["nothing", "a note", "a picture too high"])
def unpacked(request: pytest.FixtureRequest, crops: Path, tmp_path: Path) -> Path:
    """An archive's folder that holds the folder of crops, and perhaps something else."""
    folder = tmp_path / "download"
    shutil.copytree(crops, folder / "crowd")
    (folder / "__MACOSX").mkdir()
    if request.param == "a note":
        (folder / "crowd" / "readme.txt").write_text("cite us")
        (folder / "crowd" / "person-0000" / "who.txt").write_text("a neighbour")
    elif request.param == "a picture too high":
        source = folder / "crowd" / "person-0000" / "cam-0" / "00.png"
        shutil.copy(source, folder / "crowd" / "person-0000" / "00.png")
    return folder


def test_crops_one_folder_down_are_found_by_every_command(unpacked: Path) -> None:
    crowd = unpacked / "crowd"
    people = from_folders(unpacked, crowd, silent)
    assert [crop.path for crop in people.gallery] == [crop.path for crop in people.queries]
    assert len(people.gallery) == 24
    assert evaluated(unpacked)[0] == evaluated(crowd)[0]
    result = CliRunner().invoke(data_app, ["check", str(unpacked)])
    assert f"found at {crowd}" in result.output
    assert trained_on(unpacked)[0] == trained_on(crowd)[0]


def test_people_of_one_camera_folder_too_deep_are_not_taken_for_others(tmp_path: Path) -> None:
    """Two folders hold images: nobody can say which is the one that was meant."""
    for part in ("gallery", "queries"):
        write_folder(Population(seed=1, identities=2, cameras=1, shots=1), tmp_path / "all" / part)
    with pytest.raises(airreid.InputError, match=r"expected .*<identity>/<camera>/<image>"):
        airreid.read_crops(tmp_path / "all")
