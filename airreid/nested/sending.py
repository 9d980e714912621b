"""A camera's end of a block that goes out in pieces: what to send first, and what next."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from airreid.link_report import LinkReport, ReportedLink
from airreid.nested.pacing import Pacing
from airreid.payload import Symbols, symbols_of
from airreid.v1 import uplink_pb2

Request = uplink_pb2.QueryRequest
_VALUE = 4
"""Bytes of a symbol."""


@dataclass
class _UnderWay:
    block: Request
    """The whole block, as it was made."""
    pieces: Symbols
    """Its symbols."""
    started: float
    """``time.perf_counter()`` when its first pieces went out."""
    sent: int
    """Uses sent, repeated ones included."""
    wanted: int = 0
    """Uses that the access point asked for and that have not gone out."""


class PieceSender:
    """Blocks of one stream that are under way piece by piece; safe in any thread.

    A word that comes twice or late asks for nothing: pieces go out when the access point has heard
    exactly what was sent.
    """

    def __init__(self, link: ReportedLink | None = None, pacing: Pacing | None = None) -> None:
        """``link``: reports that say how many uses to begin with; None: one piece, or all.

        ``pacing``: sends more than is asked for where a word is dear; None never does.
        """
        self._link = link
        self._pacing = pacing
        if pacing is not None:
            pacing.restart()
        self._lock = threading.Lock()
        self._blocks: dict[int, _UnderWay] = {}
        self._due: deque[int] = deque()

    def begin(self, block: Request) -> Request:
        """Returns the first message of a block; a block that is not in pieces is its own.

        ``more_available`` of the block says that the access point may ask for more, ``by_report``
        that it is cut to what the latest report advised, and sent at once.
        """
        pieces = symbols_of(block)
        if not (block.more_available or block.by_report) or pieces is None or not pieces.piece_uses:
            return block
        with self._lock:
            advised = self._advised(block)
            uses = advised or (pieces.piece_uses if block.more_available else _uses(pieces))
            if self._pacing is not None and block.more_available:
                uses = self._pacing.begin(
                    block.id.sequence,
                    block.scheme_id,
                    pieces.piece_uses,
                    _uses(pieces),
                    uses,
                    self._report(),
                )
            message, sent = _message(block, pieces, 0, uses)
            if block.more_available:
                state = _UnderWay(block, pieces, time.perf_counter(), sent)
                self._blocks[block.id.sequence] = state
            return message

    def heard(self, response: uplink_pb2.QueryResponse) -> bool:
        """Takes a response in; returns whether it is the answer to its block.

        It is not where it asks for more: :meth:`next` then has the pieces.
        """
        sequence = response.id.sequence
        with self._lock:
            if self._pacing is not None:
                self._pacing.heard(response)
            if not response.more_wanted:
                return True
            state = self._blocks.get(sequence)
            if state is not None and not state.wanted and response.uses_heard == state.sent:
                state.wanted = response.more_wanted
                self._due.append(sequence)
        return False

    def next(self) -> Request | None:
        """Returns a message with pieces that were asked for; None if there is none."""
        with self._lock:
            while self._due:
                state = self._blocks.get(self._due.popleft())
                if state is None or not state.wanted:
                    continue
                first, uses = state.sent // state.pieces.piece_uses, state.wanted
                if self._pacing is not None:
                    uses = self._pacing.go_on(state.block.id.sequence, uses, self._report())
                message, sent = _message(state.block, state.pieces, first, uses)
                state.sent += sent
                state.wanted = 0
                return message
        return None

    def ended(self, sequence: int) -> float | None:
        """Forgets a block; returns the seconds since its first pieces went out, if it had any."""
        with self._lock:
            state = self._blocks.pop(sequence, None)
            if self._pacing is not None:
                self._pacing.ended(sequence)
        return None if state is None else time.perf_counter() - state.started

    def _advised(self, block: Request) -> int:
        """Returns the uses that the latest report advises to begin with; 0: no word."""
        report = self._report()
        return report.first_uses if block.more_available else report.fixed_uses

    def _report(self) -> LinkReport:
        return LinkReport() if self._link is None else self._link.latest()


def _uses(pieces: Symbols) -> int:
    return len(pieces.symbols) // _VALUE


def _message(block: Request, whole: Symbols, first_piece: int, uses: int) -> tuple[Request, int]:
    """Returns a message with pieces of a block, and its uses; after the last the first comes again.

    ``whole``: the symbols of the block.
    """
    piece = whole.piece_uses
    count = _uses(whole) // piece
    pieces = max(1, min(uses // piece, count))
    size = piece * _VALUE
    message = Request()
    message.CopyFrom(block)
    message.by_report = False
    part = symbols_of(message)
    assert part is not None
    part.first_piece = first_piece
    part.symbols = b"".join(
        whole.symbols[place * size : (place + 1) * size]
        for place in ((first_piece + number) % count for number in range(pieces))
    )
    return message, pieces * piece
