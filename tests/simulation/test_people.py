import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from airreid.crop_folder import read_folder
from airreid.errors import LinkError
from simulation.people import from_folders, synthetic
from simulation.processes import Role


def test_people_command_writes_what_simulate_reads(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "airreid.cli", "people", str(tmp_path / "crowd")]
    subprocess.run([*command, "--identities", "3"], check=True, capture_output=True)
    folders = (tmp_path / "crowd" / "gallery", tmp_path / "crowd" / "queries")
    people = from_folders(*folders, lambda name, steps: lambda: None)
    assert (len(people.gallery), len(people.queries)) == (6, 9)
    drawn = synthetic(3, tmp_path / "drawn")
    assert [c.identity for c in drawn.queries] == [c.identity for c in people.queries]
    assert drawn.queries[0].path.read_bytes() == people.queries[0].path.read_bytes()
    again = subprocess.run(command, check=False, capture_output=True, text=True)
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_labels_compare_between_gallery_and_queries(tmp_path: Path) -> None:
    people = synthetic(4, tmp_path)
    gallery, queries = people.labels()
    assert set(gallery.identity) == set(queries.identity) == set(range(4))
    assert not set(gallery.camera) & set(queries.camera)
    names = np.array([c.identity for c in people.gallery])
    for query, crop in zip(queries.identity, people.queries, strict=True):
        assert set(names[gallery.identity == query]) == {crop.identity}
    assert len(read_folder(tmp_path)) == 24


def test_a_role_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=r"channel did not start: cannot listen on 1\.2\.3\.4:5"):
        Role("channel", ["channel", "serve", "--listen", "1.2.3.4:5", "--insecure-no-auth"])
    with pytest.raises(LinkError, match=r"channel did not start: --listen 1\.2\.3\.4:5: whoever"):
        Role("channel", ["channel", "serve", "--listen", "1.2.3.4:5"])
