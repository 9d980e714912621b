"""The camera's end of blocks in pieces: what goes out first, what next, and what is passed over."""

from __future__ import annotations

import numpy as np
import pytest

from airreid.link_report import ReportedLink
from airreid.nested.pacing import Pacing
from airreid.nested.sending import PieceSender
from airreid.payload import Analog, Coded, Ideal, Payload, put
from airreid.v1 import uplink_pb2

SYMBOLS = np.arange(16, dtype=np.float32)


def block(sequence: int = 1, **fields: bool) -> uplink_pb2.QueryRequest:
    request = uplink_pb2.QueryRequest(scheme_id="s", **fields)  # type: ignore[arg-type]
    request.id.sequence = sequence
    put(Analog(SYMBOLS, piece=4), request)
    return request


def word(
    wanted: int, heard: int, sequence: int = 1, first_uses: int = 0, fixed_uses: int = 0
) -> uplink_pb2.QueryResponse:
    response = uplink_pb2.QueryResponse(
        more_wanted=wanted, uses_heard=heard, first_uses=first_uses, fixed_uses=fixed_uses
    )
    response.id.sequence = sequence
    return response


def contents(message: uplink_pb2.QueryRequest | None) -> tuple[int, list[float]]:
    assert message is not None
    symbols = np.frombuffer(message.analog.symbols, "<f4")
    return message.analog.first_piece, symbols.tolist()


def test_pieces_go_out_as_they_are_asked_for_and_come_again() -> None:
    sender = PieceSender()
    assert contents(sender.begin(block(more_available=True))) == (0, [0, 1, 2, 3])
    assert not sender.heard(word(8, 4))
    assert contents(sender.next()) == (1, [4, 5, 6, 7, 8, 9, 10, 11])
    assert sender.next() is None
    assert not sender.heard(word(8, 12))
    assert contents(sender.next()) == (3, [12, 13, 14, 15, 0, 1, 2, 3])
    assert sender.heard(word(0, 20))
    seconds = sender.ended(1)
    assert seconds is not None
    assert seconds >= 0
    assert sender.ended(1) is None


def test_pieces_of_a_coded_block_go_out_as_those_of_a_nested_one() -> None:
    sender, whole = PieceSender(), block(more_available=True)
    put(Coded(SYMBOLS, 3, piece=4), whole)
    message = sender.begin(whole)
    assert message.WhichOneof("payload") == "coded"
    assert (message.coded.size_index, message.coded.piece_uses) == (3, 4)
    assert np.frombuffer(message.coded.symbols, "<f4").tolist() == [0, 1, 2, 3]
    assert not sender.heard(word(16, 4))
    following = sender.next()
    assert following is not None
    assert (following.coded.first_piece, following.coded.size_index) == (1, 3)
    symbols = np.frombuffer(following.coded.symbols, "<f4")
    assert symbols.tolist() == [*range(4, 16), *range(4)]
    assert len(whole.coded.symbols) == 64


@pytest.mark.parametrize("payload", [Coded(SYMBOLS, 0), Ideal(np.ones(9, np.uint8), 16)])
def test_what_is_not_in_pieces_goes_out_whole(payload: Payload) -> None:
    whole = block(more_available=True)
    put(payload, whole)
    sender = PieceSender()
    assert sender.begin(whole) is whole
    assert not sender.heard(word(4, 4))
    assert sender.next() is None


def test_words_that_come_twice_or_late_ask_for_nothing() -> None:
    sender = PieceSender()
    sender.begin(block(more_available=True))
    assert not sender.heard(word(4, 4))
    assert not sender.heard(word(4, 4))
    assert contents(sender.next()) == (1, [4, 5, 6, 7])
    assert sender.next() is None
    assert not sender.heard(word(4, 4))  # late
    assert not sender.heard(word(4, 8, sequence=9))  # of a block that nobody sent
    assert sender.next() is None
    sender.heard(word(4, 8))
    sender.ended(1)
    assert sender.next() is None


def test_a_block_begins_anew_with_its_first_piece() -> None:
    sender = PieceSender()
    sender.begin(block(more_available=True))
    sender.heard(word(4, 4))
    sender.begin(block(more_available=True))
    assert sender.next() is None
    sender.heard(word(4, 4))
    assert contents(sender.next()) == (1, [4, 5, 6, 7])


def test_what_the_latest_report_advises_is_sent_at_once() -> None:
    link = ReportedLink()
    sender = PieceSender(link)
    assert contents(sender.begin(block(by_report=True))) == (0, SYMBOLS.tolist())
    link.heard(word(0, 16, first_uses=8, fixed_uses=12))
    message = sender.begin(block(2, by_report=True))
    assert contents(message) == (0, SYMBOLS[:12].tolist())
    assert not message.more_available
    assert not message.by_report
    assert contents(sender.begin(block(3, more_available=True)))[1] == SYMBOLS[:8].tolist()
    link.heard(word(0, 8, first_uses=99))
    assert contents(sender.begin(block(4, more_available=True)))[1] == SYMBOLS.tolist()
    assert contents(PieceSender().begin(block(5, more_available=True)))[1] == [0, 1, 2, 3]


def test_other_blocks_are_their_own_message() -> None:
    sender, plain = PieceSender(), block()
    assert sender.begin(plain) is plain
    assert sender.heard(uplink_pb2.QueryResponse(id=plain.id))
    assert sender.ended(1) is None


def test_where_a_word_is_dear_more_goes_out_than_is_asked_for() -> None:
    now = [0.0]
    pacing = Pacing(4.0, lambda: now[0])  # a piece a second
    sender = PieceSender(pacing=pacing)

    def sizes(sequence: int, need: int) -> list[int]:
        message, sent = sender.begin(block(sequence, more_available=True)), list[int]()
        while True:
            sent.append(len(message.analog.symbols) // 16)
            assert message.analog.first_piece == sum(sent[:-1])
            now[0] += sent[-1] + 3.0
            is_answer = sum(sent) >= need
            assert sender.heard(word(0 if is_answer else 4, 4 * sum(sent), sequence)) == is_answer
            if is_answer:
                sender.ended(sequence)
                return sent
            following = sender.next()
            assert following is not None
            message = following

    assert sizes(0, 3) == [1, 1, 1]  # nothing is known
    assert [sizes(number, 3) for number in (1, 2)] == [[1, 2], [1, 2]]  # does less do?
    assert pacing.round_trip() == 3.0
    assert [sizes(number, 3) for number in (3, 4)] == [[3], [3]]
    assert sizes(5, 4) == [3, 1]
    # a stream that broke has nothing under way: the whole round trip counts again
    for number in range(6, 9):
        sender.begin(block(number, more_available=True))
    sender = PieceSender(pacing=pacing)
    assert sizes(9, 2) == [3]
