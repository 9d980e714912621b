import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airreid.errors import InputError
from airreid.payload import Analog, Coded, Ideal, Payload, get, link_of, put
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
