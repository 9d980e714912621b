"""Two access points on one folder whose locks do not meet: the lease tells them apart."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from accesspoint.errors import StorageError
from accesspoint.gallery.opening import opened_gallery
from accesspoint.gallery.settings import GallerySettings
from accesspoint.gallery.store import held_files, lease, network_filesystem
from accesspoint.gallery.store.lease import Lease, check_lease, read_lease
from accesspoint.gallery.store.store import Store
from airreid.bundle import Bundle
from airreid.errors import InputError

FAST_S = 0.02

HOLDER = """
import fcntl, sys
from pathlib import Path
from accesspoint.gallery.store.store import Store
fcntl.flock = lambda *_: None
store = Store(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks as on a file system that keeps them to itself."""
    monkeypatch.setattr(held_files.fcntl, "flock", lambda *_: None)


@contextlib.contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the gallery."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.usefixtures("no_locks")
def test_a_second_access_point_is_refused_though_the_locks_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "gallery.sqlite"
    with held(path) as process:
        for read_only in (False, True):
            with pytest.raises(InputError, match=f"in use by .* process {process.pid} on "):
                Store(path, read_only)
    Store(path).close()  # killed: its lease is over at once


@pytest.mark.usefixtures("no_locks")
def test_the_same_process_does_not_open_a_gallery_twice(tmp_path: Path) -> None:
    store = Store(tmp_path / "gallery.sqlite")
    with pytest.raises(InputError, match="in use by another access point"):
        Store(tmp_path / "gallery.sqlite")
    store.close()
    assert not (tmp_path / "gallery.lease").exists()
    Store(tmp_path / "gallery.sqlite").close()


def elsewhere(path: Path, **changes: object) -> dict[str, object]:
    """Rewrites a lease as that of another machine."""
    content = read_lease(path)
    assert content is not None
    other = content | {"host": "north", "machine": "m2", "boot": "b2", "space": "s2"} | changes
    path.write_text(json.dumps(other))
    return other


def test_a_lease_of_another_machine_is_held_as_long_as_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gallery.lease"
    Lease(path, network=True, renewed_s=FAST_S, settle_s=0).close()
    assert not path.exists()
    holder = Lease(path, network=True, renewed_s=3600, settle_s=0)
    other = elsewhere(path, every_s=FAST_S)
    check_lease(path, network=True)  # it does not change: over
    looks = iter(range(100))

    def read_and_count(where: Path) -> dict[str, object]:
        return other | {"count": next(looks)}

    monkeypatch.setattr(lease, "read_lease", read_and_count)
    with pytest.raises(InputError, match=r"in use by another access point, process .* on 'north'"):
        check_lease(path, network=True)
    monkeypatch.undo()
    path.unlink()
    holder.close()


def test_who_loses_the_folder_changes_nothing_any_more(tmp_path: Path) -> None:
    store = Store(tmp_path / "gallery.sqlite")
    store.subjects.put("ada")
    elsewhere(tmp_path / "gallery.lease", token="another")
    with pytest.raises(StorageError, match=r"taken by another access point, process .* 'north'"):
        store.subjects.put("bob")
    assert "stop one of them" in store.database.files_problem()
    store.close()
    assert (tmp_path / "gallery.lease").exists()  # the other one's


def waited_for(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        lease.time.sleep(0.005)
    raise AssertionError("waited in vain")


def test_a_lease_is_written_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "gallery.lease"
    own_lease = Lease(path, network=True, renewed_s=FAST_S, settle_s=0)

    def count() -> int:
        content = read_lease(path)
        assert content is not None
        return int(str(content["count"]))

    waited_for(lambda: count() > 3)
    own_lease.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"pid": 2**22 + 1},
        {"started": "1"},
        {"boot": "before"},
        {"space": "container", "host": "c1"},
        {"lock": "1:2"},
    ],
    ids=["dead", "number given again", "restarted", "container killed", "folder copied"],
)
def test_what_a_dead_process_leaves_does_not_keep_others_out(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    path = tmp_path / "gallery.sqlite"
    Store(path).close()
    with pytest.MonkeyPatch.context() as patched:
        real = lease._text
        known = {"/etc/machine-id": "m1"}
        patched.setattr(lease, "_text", lambda where: known.get(str(where)) or real(where))
        own_lease = lease._myself(tmp_path / "gallery.lease")
        (tmp_path / "gallery.lease").write_text(
            json.dumps(own_lease | {"token": "t", "count": 1, "every_s": 3600} | changes)
        )
        Store(path).close()
    for text in ("", "{", "[]", '{"pid": "x"}'):
        (tmp_path / "gallery.lease").write_text(text.replace("}", ', "every_s": 0.01}'))
        Store(path).close()


MOUNTS = """22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/share rw shared:1 - nfs4 server:/x rw
31 22 0:41 / /mnt/with\\040space rw - fuse.sshfs host: rw
32 22 8:2 / /mnt/disk rw - fuseblk /dev/sdb1 rw
33 30 8:3 / /mnt/share/local rw - xfs /dev/sdc1 rw
34 22 0:42 / /mnt/windows rw - cifs //pc/x rw
damaged line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/data", ""),
        ("/mnt/share/data", "nfs4"),
        ("/mnt/share", "nfs4"),
        ("/mnt/shared", ""),
        ("/mnt/with space/data", "fuse.sshfs"),
        ("/mnt/disk/data", ""),
        ("/mnt/share/local/data", ""),
        ("/mnt/windows/x", "cifs"),
    ],
)
def test_network_file_systems_are_known_by_the_table_of_mounts(
    tmp_path: Path, path: str, kind: str
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    assert network_filesystem.network_filesystem(Path(path), table) == kind
    assert network_filesystem.network_filesystem(Path(path), tmp_path / "none") == ""


def test_a_network_file_system_is_named_and_refused(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"22 1 8:1 / / rw - ext4 x rw\n30 22 0:40 / {tmp_path} rw - nfs4 s:/x rw\n")
    monkeypatch.setattr(network_filesystem.network_filesystem, "__defaults__", (table,))
    path = tmp_path / "data" / "gallery.sqlite"
    with (
        pytest.raises(InputError, match=r"network file system \(nfs4\).*--allow-network-file"),
        opened_gallery(path, bundle, 1),
    ):
        pass
    assert not path.exists()
    with opened_gallery(path, bundle, 1, GallerySettings(allow_network_filesystem=True)) as gallery:
        assert gallery.wait_ready(60)
        content = read_lease(path.with_suffix(".lease"))
        assert content is not None
        assert content["network"] is True
