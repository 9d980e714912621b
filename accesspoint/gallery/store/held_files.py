"""The gallery's file and the lock beside it, held by one process and known by their inodes."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from accesspoint.gallery.store.lease import Lease, check_lease
from accesspoint.gallery.store.network_filesystem import network_filesystem
from airreid.disk import private_descriptor, private_folder
from airreid.errors import InputError

LEASE = ".lease"
"""Suffix of the lease beside the gallery's file."""
INDEX_FOLDER = "index"
"""Folder of the indexes' snapshots, beside the gallery's file."""


class HeldFiles:
    """Both files are locked, so that neither going away lets a second process in.

    A descriptor of a file that SQLite has open may be closed only after SQLite has closed it:
    the kernel drops the process' own locks with it.
    """

    def __init__(self, path: Path, read_only: bool) -> None:
        """Makes what is missing, unless ``read_only``. Raises :class:`InputError` for files in
        use, and for a gallery that is gone while its index is still there."""
        self._path = path
        network = bool(network_filesystem(path.parent))
        self._descriptors: dict[Path, int] = {}
        self._beside: dict[Path, os.stat_result] = {}
        self._lease: Lease | None = None
        lock = path.with_suffix(".lock")
        try:
            if read_only:
                if lock.exists():
                    self._take(lock, os.O_RDONLY)
                self._take(path, os.O_RDONLY)
                check_lease(path.with_suffix(LEASE), network)
                return
            private_folder(path.parent)
            self._take(lock, os.O_RDWR | os.O_CREAT)
            self._lease = Lease(path.with_suffix(LEASE), network)
            _check_new(path)
            self._take(path, os.O_RDWR | os.O_CREAT)  # what SQLite puts beside takes its rights
        except BlockingIOError:
            self.close()
            raise InputError(
                f"{path}: in use by another access point; stop it or use another --data-dir"
            ) from None
        except FileNotFoundError:
            self.close()
            raise InputError(f"{path}: no gallery there to read") from None
        except OSError as error:
            self.close()
            raise InputError(f"{path}: cannot be used as a gallery ({error})") from None
        except InputError:
            self.close()
            raise

    def _take(self, path: Path, flags: int) -> None:
        descriptor = private_descriptor(path, flags)
        self._descriptors[path] = descriptor
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def watch_log(self) -> None:
        """Knows SQLite's log and its index, too, from now on; SQLite keeps them open."""
        for suffix in ("-wal", "-shm"):
            path = self._path.with_name(self._path.name + suffix)
            if path.exists():
                self._beside[path] = path.stat()

    def bytes_at(self, size: int, offset: int) -> bytes:
        """Reads the gallery's file through the descriptor that is held."""
        return os.pread(self._descriptors[self._path], size, offset)

    def problem(self) -> str:
        """Returns what has become of the files on disk; empty while they are those held, and
        nobody else has taken the folder."""
        held = {path: os.fstat(number) for path, number in self._descriptors.items()}
        for path, stat in (held | self._beside).items():
            try:
                if not os.path.samestat(path.stat(), stat):
                    return self._gone(path, "was replaced")
            except FileNotFoundError:
                return self._gone(path, "was removed")
            except OSError as error:
                return f"{path}: cannot be looked at ({error.strerror})"
        return "" if self._lease is None else self._lease.problem()

    def _gone(self, path: Path, what: str) -> str:
        return (
            f"{path.name} {what} while it was served; stop the access point, put the file back "
            "or restore a backup, and start it again"
        )

    def close(self) -> None:
        """Lets others have the files. SQLite must have closed its own descriptors before."""
        if self._lease is not None:
            self._lease.close()
            self._lease = None
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()


def _check_new(path: Path) -> None:
    """Raises :class:`InputError` where a new gallery would cover up the loss of one."""
    if path.exists() and path.stat().st_size:
        return
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        left = wal.name
    elif any((path.parent / INDEX_FOLDER).glob("*/*.segment")):
        left = INDEX_FOLDER
    else:
        return
    raise InputError(
        f"{path}: is gone, or empty, and {left} beside it is of a gallery with people in it; "
        f"restore a backup with 'airreid ap restore', or remove {left} too to begin with nobody"
    )
