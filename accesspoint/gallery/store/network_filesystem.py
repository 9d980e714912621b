"""File systems of other machines, on which locks may not meet and SQLite's log is not shared."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph", "lustre", "gpfs"),
        *("beegfs", "gfs2", "ocfs2", "glusterfs", "davfs", "coda", "virtiofs", "vboxsf", "prl_fs"),
        *("orangefs", "pvfs2", "acfs", "wekafs", "fuse"),
    }
)
_OCTAL = re.compile(r"\\([0-7]{3})")


def network_filesystem(path: Path, mounts: Path = MOUNTS) -> str:
    """Returns the type of the file system that a path is on, such as ``nfs4``, if it may be
    another machine's or a program's (FUSE); empty for a local one, and where nobody can tell.

    ``mounts``: table of mounts as Linux gives it (proc(5), mountinfo).
    """
    try:
        table = mounts.read_text(errors="surrogateescape")
    except OSError:
        return ""
    where = os.path.realpath(path)
    best, kind = "", ""
    for line in table.splitlines():
        mounted, _, source = line.partition(" - ")
        fields = mounted.split()
        if len(fields) < 5 or not source:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # a later mount covers an earlier one
            best, kind = point, source.split()[0]
    return kind if kind in _NETWORK or kind.startswith("fuse.") else ""
