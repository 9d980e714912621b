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
from typing import Any, NamedTuple

from accesspoint.gallery.search.running_scores import OpenBlockMemory, RunningScores
from accesspoint.receiver.answer_cache import Key
from accesspoint.receiver.blocks import Block
from accesspoint.receiver.outbox import Outbox
from accesspoint.receiver.requests import Request, fingerprint
from airreid.nested.pieces import HeardPieces
from airreid.nested.stopping import MISMATCH
from airreid.payload import Analog, Coded, HeardCoded, Ideal, first_piece_of, symbols_of
from airreid.scheme_info import NestedInfo
from airreid.v1 import uplink_pb2

OUT_OF_ORDER = "pieces of this block came out of order; send it again from its first piece"
HELD_MAX = 1024
"""Blocks of one stream whose pieces are held, at most: as many as a window."""
HELD_BYTES_MAX = 64 << 20
"""Bytes of pieces that are held of all open blocks together, at most."""


class _OpenBlock:
    """Pieces heard of a block, and the memory that they take; it is given back with them."""

    def __init__(
        self, request: Request, heard: HeardPieces | HeardCoded, scores: OpenBlockMemory
    ) -> None:
        self.scheme_id = request.scheme_id
        self.heard = heard
        self.running = RunningScores(scores)
        self.size = 0
        """Bytes that are counted."""
        self._fingerprint = fingerprint(request)
        self._counted: weakref.finalize[[int], _OpenBlock] | None = None

    def follows(self, payload: Analog | Coded, request: Request) -> bool:
        """Returns whether pieces are the next ones of this block, and no other block's."""
        if (
            payload.first_piece != self.heard.next_piece
            or fingerprint(request) != self._fingerprint
        ):
            return False
        return not isinstance(self.heard, HeardCoded) or (
            isinstance(payload, Coded) and payload.size == self.heard.size
        )

    def count(self, memory: OpenBlockMemory) -> bool:
        """Counts what is held by now; returns whether there was room for it."""
        size = self.heard.nbytes
        if size == self.size:
            return True
        if self._counted is not None:
            self._counted()
            self._counted, self.size = None, 0
        if not memory.take(size):
            return False
        self.size = size
        self._counted = weakref.finalize(self, memory.give_back, size)
        self._counted.atexit = False
        return True


class _Held(OrderedDict[Key, _OpenBlock]):
    """Open blocks of a stream, those begun first before the others."""

    size = 0
    """Bytes that are counted of all of them."""

    def count(self, block: _OpenBlock, memory: OpenBlockMemory) -> bool:
        """Counts what is held of a block by now; returns whether there was room for it."""
        before = block.size
        fits = block.count(memory)
        self.size += block.size - before
        return fits

    def drop(self, key: Key) -> None:
        """Forgets a block, if it is there."""
        block = self.pop(key, None)
        self.size -= 0 if block is None else block.size


class _Message(NamedTuple):
    """Pieces of a message, by which a copy of it is known."""

    first_piece: int
    size: int
    """Bytes of the symbols."""
    more_available: bool


def _message(request: Request) -> _Message:
    block = symbols_of(request)
    size = 0 if block is None else len(block.symbols)
    return _Message(first_piece_of(request), size, request.more_available)


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
        self._under_way: dict[Key, _Message] = {}
        """The messages that are being computed."""

    def may_join(self, key: Key | None, request: Request) -> bool:
        """Returns whether a message may wait for one of its block that is being computed.

        Only a copy of that message may: the answer to other pieces is not its own.
        """
        message = self._under_way.get(key) if key is not None else None
        return message is None or message == _message(request)

    def joined(self, outbox: Outbox[Any], key: Key | None, block: Block) -> Block | None:
        """Adds a message's pieces to those before; returns the block of all of them.

        A block that does not come in pieces is returned as it is. None: the pieces do not follow,
        or there is no room for them.
        """
        payload, request = block.payload, block.request
        if isinstance(payload, Ideal | HeardCoded) or not payload.piece:
            return block
        if key is None or not (payload.first_piece or request.more_available):
            return block if not payload.first_piece else None
        held = self._open.setdefault(outbox, _Held())
        if payload.first_piece:
            state = held.get(key)
        else:
            held.drop(key)
            heard = self._nothing_heard(payload, request.scheme_id)
            state = held[key] = _OpenBlock(request, heard, self.score_memory)
            while len(held) > HELD_MAX:
                held.drop(next(iter(held)))
        if state is None or not state.follows(payload, request):
            return None
        joined = self._add(state, payload, block)
        if not self._make_room(held, key, state):
            return None
        self._under_way[key] = _message(request)
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
        return Block(
            block.request,
            block.response,
            Analog(combined.symbols, piece=payload.piece),
            combined.snr_db,
            heard.uses,
            state.running,
        )

    def _make_room(self, held: _Held, key: Key, state: _OpenBlock) -> bool:
        """Counts a block that has grown; where there is no room, others go.

        The oldest go of the stream that has most, if that is more than this one will have, else of
        this one: no stream keeps the others out. Returns False where that does not do, and the
        block goes itself.
        """
        while not held.count(state, self.memory):
            fullest = max(self._open.values(), key=lambda other: other.size)
            if fullest.size <= held.size + state.heard.nbytes:
                fullest = held
            oldest = next(iter(fullest))
            fullest.drop(oldest)
            if fullest is held and oldest == key:
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
            held.drop(key)
        elif (state := held.get(key)) is not None:
            self._make_room(held, key, state)

    def forget(self, key: Key) -> None:
        """Notes that a message is not computed: its stream has ended."""
        self._under_way.pop(key, None)

    def leave(self, outbox: Outbox[Any]) -> None:
        """Gives back what is held of a stream that has ended."""
        self._open.pop(outbox, None)
