import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accesspoint.gallery.records import NewEntry, check_name
from accesspoint.gallery.store.store import Store
from airreid.errors import InputError

ROOT = Path(__file__).resolve().parents[4]


def entry(subject: str, value: float = 1.0, space: str = "s") -> NewEntry:
    return NewEntry(subject, "cam-0", space, np.full(8, value, np.float32))


def test_what_was_added_is_there_after_opening_again(store: Store, tmp_path: Path) -> None:
    (first, second), *_ = store.add_entries([entry("alice", 0.25), entry("bob", 0.5)])
    store.close()
    again = Store(tmp_path / "gallery.sqlite")
    assert again.counts() == (2, 2)
    page = next(again.all_features("s"))
    assert page.ids.tolist() == [first.id, second.id]
    np.testing.assert_array_equal(page.features, [[0.25] * 8, [0.5] * 8])
    again.close()


def test_numbers_are_never_used_twice(store: Store) -> None:
    [first], *_ = store.add_entries([entry("alice")])
    assert store.delete_entries([first.id]) == [True]
    [second], *_ = store.add_entries([entry("alice")])
    assert second.id > first.id
    assert store.delete_entries([first.id, second.id]) == [False, True]


def test_deleting_a_subject_takes_its_entries(store: Store) -> None:
    added, *_ = store.add_entries([entry("alice"), entry("alice"), entry("bob")])
    assert store.delete_subject("alice") == [added[0].id, added[1].id]
    assert store.delete_subject("alice") is None
    assert store.counts() == (1, 1)


@pytest.mark.parametrize("whole", [True, False])
def test_deleted_features_are_gone_from_every_file(
    store: Store, tmp_path: Path, whole: bool
) -> None:
    rng = np.random.default_rng(0)
    secret = NewEntry("alice", "c", "s", rng.standard_normal(2048).astype(np.float32))
    [added], *_ = store.add_entries([secret])
    needle = secret.feature.tobytes()[:64]
    assert any(needle in file.read_bytes() for file in tmp_path.iterdir())
    if whole:
        store.delete_subject("alice")
    else:
        store.delete_entries([added.id])
    for file in tmp_path.iterdir():  # while the store is still open
        assert needle not in file.read_bytes(), file


def test_nobody_else_on_the_machine_reads_it(store: Store) -> None:
    store.add_entries([entry("alice")])
    files = list(store.path.parent.glob("gallery.sqlite*"))
    assert len(files) == 3  # with its log and the index of that
    assert {file.stat().st_mode & 0o077 for file in files} == {0}


def test_two_access_points_do_not_share_a_gallery(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="in use by another access point"):
        Store(tmp_path / "gallery.sqlite")
    store.close()
    Store(tmp_path / "gallery.sqlite").close()


def test_a_database_of_something_else_and_a_damaged_one(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    db = sqlite3.connect(other)
    db.execute("CREATE TABLE subjects (x)")
    db.commit()
    db.close()
    with pytest.raises(InputError, match="cannot be used as a gallery"):
        Store(other)
    path = tmp_path / "torn.sqlite"
    whole = Store(path)
    whole.add_entries([NewEntry("a", "c", "s", np.ones(2048, np.float32))] * 50)
    whole.close()
    data = bytearray(path.read_bytes())
    data[8192:-8192] = bytes(len(data) - 16384)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"torn\.sqlite"):
        Store(path)


def test_a_failed_batch_leaves_nothing(store: Store) -> None:
    broken = NewEntry("bob", "c", None, np.zeros(8, np.float32))  # type: ignore[arg-type]
    with pytest.raises(sqlite3.Error):
        store.add_entries([entry("alice"), broken])
    assert store.counts() == (0, 0)
    store.add_entries([entry("alice")])


@pytest.mark.parametrize("name", ["", " ", "a b", "../x", "é", "-x", "x" * 129, "a\n"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="subject"):
        check_name(name, "subject")


def test_another_file_is_not_a_gallery(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_bytes(b"not a database, and long enough to be looked at as one" * 20)
    with pytest.raises(InputError, match="cannot be used as a gallery"):
        Store(path)


def test_a_disk_that_cannot_take_the_log_keeps_no_index_from_following(tmp_path: Path) -> None:
    """The file may not grow in a process of its own, so that the log cannot be moved into it."""
    script = f"""
import resource, signal
from pathlib import Path
import numpy as np
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.store.store import Store

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(Path({str(tmp_path / "small.sqlite")!r}))
entries = [NewEntry("a", "c", "x", np.full(2048, i, np.float32)) for i in range(1, 100)]
store.add_entries(entries)
store.database.empty_log()
store.add_entries(entries[:40])
full = store.path.stat().st_size + 50_000
resource.setrlimit(resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
assert store.delete_entries([5]) == [True]
assert store.entry(5) is None
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "write_ahead_log_not_emptied" in ended.stderr


@pytest.mark.parametrize("prepared", [False, True])
def test_the_same_entry_has_the_feature_or_the_key(store: Store, prepared: bool) -> None:
    first, keyed, last = (
        replace(entry("alice", value), key=key) for value, key in ((1, ""), (2, "k"), (3, "m"))
    )
    others = [entry("bob", 1.0), entry("alice", 1.0, space="other")]
    numbers = [stored.id for stored in store.add_entries([*others, first, keyed, last]).entries][2:]
    for _ in range(2 * prepared):
        store.prepare_import()
    looked_for = [
        first,
        replace(first, key="k"),  # the feature of one and the key of another: the earlier
        replace(last, key="k"),
        replace(keyed, key=""),
        entry("alice", 4.0),
        replace(entry("alice", 4.0), key="m"),
        entry("carol"),
    ]
    same = [store.same_entry(sought) for sought in looked_for]
    assert same == [numbers[0], numbers[0], numbers[1], numbers[1], 0, numbers[2], 0]
