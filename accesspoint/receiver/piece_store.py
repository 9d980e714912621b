"""Pieces of blocks that are not answered yet: those of a stream, lost with it.

Pieces of one block come one message after another, each after the answer to the one before. A
message that begins with the first piece begins the block anew. What does not follow is answered
CODE_NOT_READY, and the camera sends the block again from its first piece: so no answer rests on
pieces of two sendings.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from accesspoint.gallery.search.running_scores import OpenBlockMemory, RunningScores
from accesspoint.receiver.answer_cache import Key
from accesspoint.receiver.outbox import Outbox
from airreid.nested.pieces import HeardPieces
from airreid.nested.stopping import MISMATCH
from airreid.payload import Analog, Coded, HeardCoded, Ideal, first_piece_of
from airreid.scheme_info import NestedInfo
from airreid.v1 import uplink_pb2

if TYPE_CHECKING:
    from accesspoint.receiver.blocks import Block

OUT_OF_ORDER = "pieces of this block came out of order; send it again from its first piece"
HELD_MAX = 1024
"""Blocks of one stream whose pieces are held, at most: as many as a window."""
HELD_BYTES_MAX = 64 << 20
"""Bytes of pieces that are held of all open blocks together, at most."""


class _OpenBlock:
    """Pieces heard of a block, and the memory that they take; it is given back with them."""

    def __init__(
        self, scheme_id: str, heard: HeardPieces | HeardCoded, scores: OpenBlockMemory
    ) -> None:
        self.scheme_id = scheme_id
        self.heard = heard
        self.running = RunningScores(scores)
        self._size = 0
        """Bytes that are counted."""
        self._counted: weakref.finalize[[int], _OpenBlock] | None = None

    def follows(self, payload: Analog | Coded, scheme_id: str) -> bool:
        """Returns whether pieces are the next ones of this block."""
        if scheme_id != self.scheme_id or payload.first_piece != self.heard.next_piece:
            return False
        return not isinstance(self.heard, HeardCoded) or (
            isinstance(payload, Coded) and payload.size == self.heard.size
        )

    def count(self, memory: OpenBlockMemory) -> bool:
        """Counts what is held by now; returns whether there was room for it."""
        size = self.heard.nbytes
        if size == self._size:
            return True
        if self._counted is not None:
            self._counted()
            self._counted, self._size = None, 0
        if not memory.take(size):
            return False
        self._size = size
        self._counted = weakref.finalize(self, memory.give_back, size)
        self._counted.atexit = False
        return True


_Held = OrderedDict[Key, _OpenBlock]
"""Open blocks of a stream, those begun first before the others."""


class PieceStore:
    """Pieces heard, by stream and block; owned by one event loop."""

    def __init__(self, infos: Mapping[str, NestedInfo]) -> None:
        """``infos``: nested schemes of the bundle, by id."""
        self._infos = infos
        self.score_memory = OpenBlockMemory()
        """Memory for scores between the pieces of a block."""
        self.memory = OpenBlockMemory(HELD_BYTES_MAX)
        """Memory for pieces."""
        self._open: weakref.WeakKeyDictionary[Outbox[Any], _Held] = weakref.WeakKeyDictionary()
        self._under_way: dict[Key, int] = {}
        """First piece of the message that is being computed."""

    def may_join(self, key: Key | None, request: uplink_pb2.QueryRequest) -> bool:
        """Returns whether a message may wait for one of its block that is being computed.

        Only a copy of that message may: the answer to other pieces is not its own.
        """
        first = self._under_way.get(key) if key is not None else None
        return first is None or first == first_piece_of(request)

    def joined(self, outbox: Outbox[Any], key: Key | None, block: Block) -> Block | None:
        """Adds a message's pieces to those before; returns the block of all of them.

        A block that does not come in pieces is returned as it is. None: the pieces do not follow,
        or there is no room for them.
        """
        payload, scheme_id = block.payload, block.request.scheme_id
        if isinstance(payload, Ideal | HeardCoded) or not payload.piece:
            return block
        if key is None or not (payload.first_piece or block.request.more_available):
            return block if not payload.first_piece else None
        held = self._open.setdefault(outbox, OrderedDict())
        if payload.first_piece:
            state = held.get(key)
        else:
            state = held[key] = _OpenBlock(
                scheme_id, self._nothing_heard(payload, scheme_id), self.score_memory
            )
            held.move_to_end(key)
            while len(held) > HELD_MAX:
                held.popitem(last=False)
        if state is None or not state.follows(payload, scheme_id):
            return None
        joined = self._add(state, payload, block)
        if not self._make_room(held, key, state):
            return None
        self._under_way[key] = payload.first_piece
        return joined

    def _nothing_heard(self, payload: Analog | Coded, scheme_id: str) -> HeardPieces | HeardCoded:
        if isinstance(payload, Coded):
            return HeardCoded(payload.size, payload.piece)
        info = self._infos[scheme_id]
        return HeardPieces(info.bandwidth, info.piece)

    def _add(self, state: _OpenBlock, payload: Analog | Coded, block: Block) -> Block:
        """Adds a message's pieces; returns the block of all of them."""
        heard = state.heard
        if isinstance(heard, HeardCoded):
            assert isinstance(payload, Coded)
            heard.add(payload, block.snr_db)
            return replace(block, payload=heard)
        assert isinstance(payload, Analog)
        info = self._infos[state.scheme_id]
        heard.add(payload, block.snr_db)
        combined = heard.combined(MISMATCH if info.stopping is None else info.stopping.mismatch)
        return replace(
            block,
            payload=Analog(combined.symbols, piece=payload.piece),
            snr_db=combined.snr_db,
            heard_uses=heard.uses,
            running=state.running,
        )

    def _make_room(self, held: _Held, key: Key, state: _OpenBlock) -> bool:
        """Counts a block that has grown; where there is no room, its stream's oldest ones go.

        Returns False where that does not do, and the block goes itself.
        """
        while not state.count(self.memory):
            oldest = next(iter(held))
            del held[oldest]
            if oldest == key:
                return False
        return True

    def answered(
        self, outbox: Outbox[Any], key: Key | None, response: uplink_pb2.QueryResponse
    ) -> None:
        """Notes that a message has its answer; pieces are held on while more is wanted."""
        if key is None:
            return
        self._under_way.pop(key, None)
        held = self._open.get(outbox)
        if held is None:
            return
        if not response.more_wanted:
            held.pop(key, None)
        elif (state := held.get(key)) is not None:
            self._make_room(held, key, state)

    def forget(self, key: Key) -> None:
        """Notes that a message is not computed: its stream has ended."""
        self._under_way.pop(key, None)
