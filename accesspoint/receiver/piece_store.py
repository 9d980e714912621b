"""Pieces of blocks that are not answered yet: those of a stream, lost with it.

Pieces of one block come one message after another, each after the answer to the one before. A
message that begins with the first piece begins the block anew. What does not follow is answered
CODE_NOT_READY, and the camera sends the block again from its first piece: so no answer rests on
pieces of two sendings.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from accesspoint.gallery.search.running_scores import RunningScores, ScoreMemory
from accesspoint.receiver.answer_cache import Key
from accesspoint.receiver.outbox import Outbox
from airreid.nested.pieces import HeardPieces
from airreid.nested.stopping import MISMATCH
from airreid.payload import Analog
from airreid.scheme_info import NestedInfo
from airreid.v1 import uplink_pb2

if TYPE_CHECKING:
    from accesspoint.receiver.blocks import Block

OUT_OF_ORDER = "pieces of this block came out of order; send it again from its first piece"
HELD_MAX = 1024
"""Blocks of one stream whose pieces are held, at most: as many as a window."""


@dataclass(frozen=True, eq=False, slots=True)
class _OpenBlock:
    heard: HeardPieces
    running: RunningScores


class PieceStore:
    """Pieces heard, by stream and block; owned by one event loop."""

    def __init__(self, infos: Mapping[str, NestedInfo]) -> None:
        """``infos``: nested schemes of the bundle, by id."""
        self._infos = infos
        self.memory = ScoreMemory()
        """Memory for scores between the pieces of a block."""
        self._open: WeakKeyDictionary[Outbox[Any], OrderedDict[Key, _OpenBlock]]
        self._open = WeakKeyDictionary()
        self._under_way: dict[Key, int] = {}
        """First piece of the message that is being computed."""

    def may_join(self, key: Key | None, request: uplink_pb2.QueryRequest) -> bool:
        """Returns whether a message may wait for one of its block that is being computed.

        Only a copy of that message may: the answer to other pieces is not its own.
        """
        first = self._under_way.get(key) if key is not None else None
        return first is None or first == request.analog.first_piece

    def joined(self, outbox: Outbox[Any], key: Key | None, block: Block) -> Block | None:
        """Adds a message's pieces to those before; returns the block of all of them.

        A block that does not come in pieces is returned as it is. None: the pieces do not follow.
        """
        payload = block.payload
        if not isinstance(payload, Analog) or not payload.piece:
            return block
        if key is None or not (payload.first_piece or block.request.more_available):
            return block if not payload.first_piece else None
        info = self._infos[block.request.scheme_id]
        held = self._open.setdefault(outbox, OrderedDict())
        if payload.first_piece:
            state = held.get(key)
        else:
            pieces = HeardPieces(info.bandwidth, info.piece)
            state = held[key] = _OpenBlock(pieces, RunningScores(self.memory))
            held.move_to_end(key)
            while len(held) > HELD_MAX:
                held.popitem(last=False)
        if state is None or state.heard.next_piece != payload.first_piece:
            return None
        heard = state.heard
        heard.add(payload, block.snr_db)
        self._under_way[key] = payload.first_piece
        combined = heard.combined(MISMATCH if info.stopping is None else info.stopping.mismatch)
        together = Analog(combined.symbols, piece=payload.piece)
        return replace(
            block,
            payload=together,
            snr_db=combined.snr_db,
            heard_uses=heard.uses,
            running=state.running,
        )

    def answered(
        self, outbox: Outbox[Any], key: Key | None, response: uplink_pb2.QueryResponse
    ) -> None:
        """Notes that a message has its answer; pieces are held on while more is wanted."""
        if key is None:
            return
        self._under_way.pop(key, None)
        if not response.more_wanted and (held := self._open.get(outbox)) is not None:
            held.pop(key, None)

    def forget(self, key: Key) -> None:
        """Notes that a message is not computed: its stream has ended."""
        self._under_way.pop(key, None)
