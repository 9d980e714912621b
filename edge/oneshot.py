"""Sending image files and collecting an answer, or a reason, for each."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from airreid.errors import InputError, LinkError
from airreid.images import SUFFIXES
from airreid.payload import Link
from airreid.scheme import Account
from airreid.uplink_client import Answer, Uplink
from airreid.v1 import common_pb2, uplink_pb2
from edge import airtime, backoff
from edge.airtime import Radio
from edge.blocks import BlockMaker, check_sendable
from edge.encoder import Encoder
from edge.frames import track_of
from edge.reading import read_ahead
from edge.results import identities

_NOT_READY_SECONDS, _PAUSE_SECONDS = 60.0, 5.0
"""How long blocks are sent again while the access point is not ready, and the longest pause."""


@dataclass(frozen=True)
class Sent:
    """The outcome for one file."""

    path: Path
    response: uplink_pb2.QueryResponse | None
    latency_ms: float
    error: str
    """Empty when ranked identities came back, or the news that the air took the block."""
    account: Account | None = None
    """What crossed the air; None if nothing did."""
    encode_ms: float = 0.0
    """From the file to the payload, waiting not counted."""

    def as_dict(self, radio: Radio | None = None) -> dict[str, object]:
        """Plain values for JSON; air time and energy as the radio has them."""
        out: dict[str, object] = {"image": str(self.path), "error": self.error or None}
        if self.account is not None:
            out |= airtime.as_dict(self.account, radio or Radio())
            out["encode_ms"] = round(self.encode_ms, 3)
        if self.response is not None:
            channel = self.response.channel if self.response.HasField("channel") else None
            out |= {
                "sequence": self.response.id.sequence,
                "link": self.response.link,
                "snr_db": channel.snr_db if channel else None,
                "outage": self.response.outage,
                "latency_ms": round(self.latency_ms, 3),
                "identities": identities(self.response),
            }
        return out


def send_files(
    paths: Sequence[Path],
    encoder: Encoder,
    uplink: Uplink,
    scheme_id: str,
    edge_id: str,
    top_k: int,
    tick: Callable[[], object] = lambda: None,
    link: Link | None = None,
    truth: bool = False,
) -> list[Sent]:
    """Encodes and sends each file; the outcomes in the order of the files.

    The next files are read while one is encoded, and answers come meanwhile. Each is encoded
    by itself: eight at once take 3 % less time an image (int8 ResNet-50), and come later.

    ``link`` None means the scheme's usual one. ``truth`` says with each block whom its
    file's folder names. A file that is no image gets its error and does not stop the
    others. Blocks for which the access point is not ready are sent again for a minute.
    When the stream breaks, the answers so far are kept and the other files get that as
    theirs.
    """
    link = encoder.link(scheme_id, link)
    scheme = encoder.scheme(scheme_id)
    maker = BlockMaker(edge_id, encoder.bundle.bundle_id)
    names = [truth_of(path) for path in paths] if truth else [""] * len(paths)
    outcomes: dict[int, Sent] = {}
    position_of: dict[int, int] = {}
    costs: dict[int, tuple[Account, float]] = {}
    under_way: dict[int, uplink_pb2.QueryRequest] = {}
    again: list[uplink_pb2.QueryRequest] = []

    def blocks() -> Iterator[uplink_pb2.QueryRequest]:
        for position, crop in enumerate(read_ahead(paths)):
            path, started = crop.path, time.perf_counter()
            try:
                track = track_of(path.name)
                if crop.image is None:
                    raise InputError(crop.error)
                [payload] = scheme.pack(encoder.features([crop.image], scheme_id), link)
                check_sendable(payload, str(path))
            except InputError as error:
                outcomes[position] = Sent(path, None, 0.0, str(error))
                tick()
                continue
            encode_ms = (crop.seconds + time.perf_counter() - started) * 1e3
            costs[position] = scheme.account(payload), encode_ms
            block = maker.block(payload, scheme_id, top_k)
            block.track_id = track
            block.truth = names[position]
            position_of[block.id.sequence] = position
            under_way[block.id.sequence] = block
            yield block

    def take(answer: Answer) -> None:
        response = answer.response
        position = position_of.get(response.id.sequence)
        if position is None or response.id.spool_id != maker.spool_id:
            return
        fine = response.outage or response.status.code == common_pb2.CODE_OK
        wrong = "" if fine else response.status.message
        outcomes[position] = Sent(
            paths[position], response, answer.latency_ms, wrong, *costs[position]
        )
        block = under_way.pop(response.id.sequence, None)
        if response.status.code != common_pb2.CODE_NOT_READY:
            tick()
        elif block is not None:
            again.append(block)

    broken, rng = "the stream ended early", random.Random()
    try:
        for answer in uplink.query(blocks()):
            take(answer)
        until = time.monotonic() + _NOT_READY_SECONDS
        for attempt in itertools.count():
            if not again or time.monotonic() > until:
                break
            time.sleep(0.1 + backoff.delay(attempt, _PAUSE_SECONDS, rng))
            under_way = {block.id.sequence: block for block in again}
            again.clear()
            for answer in uplink.query(list(under_way.values())):
                take(answer)
    except LinkError as error:
        broken = str(error)
    return [
        outcomes.get(position) or Sent(path, None, 0.0, f"{path}: not answered: {broken}")
        for position, path in enumerate(paths)
    ]


def truth_of(path: Path) -> str:
    """Whom a crop shows, by its folders: ``<identity>/<camera>/<image>``.

    Raises :class:`InputError` for a file that lies in no such folders.
    """
    name = path.absolute().parent.parent.name
    if not name:
        raise InputError(f"{path}: --truth reads <identity>/<camera>/<image>; leave it out here")
    return name


def expand(images: Sequence[Path]) -> list[Path]:
    """The files, and those inside the folders. Raises :class:`InputError` for an empty one."""
    paths: list[Path] = []
    for path in images:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise InputError(f"{path}: no image in this folder ({', '.join(sorted(SUFFIXES))})")
            paths += inside
        else:
            paths.append(path)
    return paths
