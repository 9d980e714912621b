"""Settings of the gallery."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airreid.flags import Flag, Settings


class GallerySettings(Settings):
    """Kinds of index, snapshots, and the times after which things are done."""

    index: Annotated[
        Literal["auto", "flat", "sq8"],
        Flag("--index", type=Literal["auto", "flat", "sq8", "milvus"]),
    ] = "auto"
    """Kind of index; auto: by the number of entries.

    ``flat``: exact inner products over float32. ``sq8``: 8 bits a value make a short list,
    which is ranked exactly. ``auto``: flat up to ``flat_max`` entries.
    """
    flat_max: Annotated[int, Field(ge=0, le=10_000_000)] = 20_000
    segment_rows: Annotated[int, Field(ge=16, le=1_000_000)] = 16_384
    """Most entries of one 8-bit segment, which a compaction rewrites at once."""
    read_only: Annotated[bool, Flag()] = False
    """Serve the gallery as it is and change nothing.

    It needs no room on the disk: for one that is full, failing or mounted to be read.
    """
    allow_network_filesystem: Annotated[bool, Flag()] = False
    """Serve a gallery on a network file system.

    Locks may not meet there: see docs/gallery.md.
    """
    snapshots: bool = True
    """Keep the indexes on disk, beside the gallery's file, for a quick start."""
    snapshot_changes: Annotated[int, Field(ge=1, le=10_000_000)] = 5_000
    """Changes after which an index is written again; it is on a close as well."""
    purge_after_s: Annotated[float, Field(ge=0, le=31_536_000)] = 300.0
    """Seconds that the embedding of a deleted entry may stay in an index's memory and files,
    where no search finds it. The store forgets at once."""
    ready_wait_s: Annotated[float, Field(ge=0, le=600)] = 10.0
    """Seconds that a request waits for a gallery that is being loaded."""
