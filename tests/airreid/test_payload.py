from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airreid.errors import InputError
from airreid.noise import PIECES_MAX
from airreid.payload import (
    Analog,
    Coded,
    Ideal,
    Payload,
    first_piece_of,
    get,
    link_of,
    put,
    symbols_of,
)
from airreid.v1 import uplink_pb2


def wired(payload: Payload) -> uplink_pb2.QueryRequest:
    request = uplink_pb2.QueryRequest(scheme_id="some-8")
    put(payload, request)
    return uplink_pb2.QueryRequest.FromString(request.SerializeToString())


@given(st.lists(st.integers(0, 1), max_size=70), st.booleans())
def test_bits_survive_the_wire(bits: list[int], lost: bool) -> None:
    sent = Ideal(np.array(bits, np.uint8), 8, lost)
    got = get(wired(sent), 8)
    assert isinstance(got, Ideal)
    assert got.lost == lost
    assert got.bits.tolist() == ([] if lost else bits)


@pytest.mark.parametrize("kind", [Analog, lambda x: Coded(x, 3)])
def test_symbols_survive_the_wire(kind: type[Analog]) -> None:
    symbols = np.linspace(-2, 2, 8, dtype=np.float32)
    request = wired(kind(symbols))
    got = get(request, 8)
    assert got.link == link_of(request)
    np.testing.assert_array_equal(got.symbols, symbols)
    if isinstance(got, Coded):
        assert got.size == 3


@pytest.mark.parametrize(
    "sent",
    [
        Analog(np.ones(8, np.float32), piece=4, first_piece=3),
        Coded(np.ones(32, np.float32), 2, piece=4, first_piece=3),
    ],
)
def test_pieces_survive_the_wire(sent: Analog | Coded) -> None:
    request = wired(sent)
    block = symbols_of(request)
    assert block is not None
    assert (block.piece_uses, first_piece_of(request)) == (4, 3)
    got = get(request, 8)
    assert isinstance(got, Analog | Coded)
    np.testing.assert_array_equal(got.symbols, sent.symbols)
    assert replace(got, symbols=sent.symbols) == sent  # type: ignore[type-var]
    for uses in (0, 6, 36):
        block.symbols = bytes(4 * uses)
        with pytest.raises(InputError, match="no whole pieces of 4 float32 values"):
            get(request, 8)
    block.symbols, block.first_piece = bytes(16), PIECES_MAX - 1
    get(request, 8)
    block.first_piece = PIECES_MAX
    with pytest.raises(InputError, match="piece 4096; a block has 4096 at most"):
        get(request, 8)


def test_a_whole_coded_block_says_nothing_of_pieces() -> None:
    """The message is that of a camera which knows of none, and the other way round."""
    request = wired(Coded(np.ones(2, np.float32), 1))
    old = uplink_pb2.QueryRequest.FromString(
        b"\x12\x00\x1a\x06some-8\x52\x0c\x0a\x08" + np.ones(2, "<f4").tobytes() + b"\x10\x01"
    )
    assert request == old
    assert first_piece_of(old) == first_piece_of(wired(Ideal(np.ones(3, np.uint8), 8))) == 0
    assert symbols_of(uplink_pb2.QueryRequest()) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.ClearField("ideal"), "some-8: the block has no payload"),
        (lambda r: setattr(r.ideal, "uses", 9), "claims 9 channel uses; the scheme has 8"),
        (lambda r: setattr(r.ideal, "bit_count", 30), "2 bytes for 30 bits"),
        (lambda r: setattr(r.ideal, "bit_count", 2**31), "at most 65536"),
        (lambda r: setattr(r.ideal, "bits", b"\xff\xff"), "not filled up with zeros"),
        (lambda r: setattr(r.ideal, "bits", b""), "0 bytes for 12 bits"),
        (lambda r: setattr(r.coded, "symbols", b"abc"), "some-8 symbols: 3 bytes"),
        (lambda r: setattr(r.coded, "size_index", 1), "some-8 symbols: 0 bytes"),
    ],
)
def test_what_does_not_fit_is_named(change: object, message: str) -> None:
    request = wired(Ideal(np.ones(12, np.uint8), 8))
    change(request)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        get(request, 8)
