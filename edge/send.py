"""Sending image files and collecting an answer, or a reason, for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from airreid.errors import InputError, LinkError
from airreid.images import load
from airreid.payload import Link
from airreid.scheme import Account
from airreid.v1 import common_pb2, uplink_pb2
from edge.blocks import BlockMaker
from edge.encoder import Encoder
from edge.uplink import Uplink


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

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        out: dict[str, object] = {"image": str(self.path), "error": self.error or None}
        if self.account is not None:
            out |= {
                "uses": self.account.uses,
                "payload_bits": self.account.payload_bits,
                "crc_bits": self.account.crc_bits,
                "side_bits": self.account.side_bits,
            }
        if self.response is not None:
            channel = self.response.channel if self.response.HasField("channel") else None
            out |= {
                "sequence": self.response.id.sequence,
                "link": self.response.link,
                "snr_db": channel.snr_db if channel else None,
                "outage": self.response.outage,
                "latency_ms": round(self.latency_ms, 3),
                "identities": [
                    {
                        "identity": match.subject,
                        "score": round(match.score, 6),
                        "entry": match.entry_id,
                        "camera": match.camera,
                    }
                    for match in self.response.identities
                ],
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
) -> list[Sent]:
    """Encodes and sends each file; the outcomes in the order of the files.

    ``link`` None means the scheme's usual one. A file that is no image gets its error and
    does not stop the others. When the stream breaks, the answers so far are kept and the
    other files get that as theirs.
    """
    link = encoder.link(scheme_id, link)
    scheme = encoder.scheme(scheme_id)
    maker = BlockMaker(edge_id, encoder.bundle.bundle_id)
    outcomes: dict[int, Sent] = {}
    position_of: dict[int, int] = {}
    accounts: dict[int, Account] = {}

    def blocks() -> Iterator[uplink_pb2.QueryRequest]:
        for position, path in enumerate(paths):
            try:
                image = load(path)
            except InputError as error:
                outcomes[position] = Sent(path, None, 0.0, str(error))
                tick()
                continue
            [payload] = scheme.pack(encoder.features([image]), link)
            accounts[position] = scheme.account(payload)
            block = maker.block(payload, scheme_id, top_k)
            position_of[block.id.sequence] = position
            yield block

    broken = "the stream ended early"
    try:
        for answer in uplink.query(blocks()):
            response = answer.response
            position = position_of.get(response.id.sequence)
            if position is None:
                continue
            fine = response.outage or response.status.code == common_pb2.CODE_OK
            wrong = "" if fine else response.status.message
            outcomes[position] = Sent(
                paths[position], response, answer.latency_ms, wrong, accounts[position]
            )
            tick()
    except LinkError as error:
        broken = str(error)
    return [
        outcomes.get(position) or Sent(path, None, 0.0, f"{path}: not answered: {broken}")
        for position, path in enumerate(paths)
    ]
