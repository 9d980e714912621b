"""Every code that can be asked for fills its channel uses and gives its bits back."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airreid.digital import modem
from airreid.digital.bounds import normal_approximation_snr_db
from airreid.digital.link import CodedLink
from airreid.digital.polar import encode, sent_positions
from airreid.digital.polar_design import BITS_PER_SYMBOL, design_code
from airreid.errors import InputError


@st.composite
def wanted(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """k, B, CRC bits and bits per symbol that fit."""
    crc_bits, m = draw(st.sampled_from([11, 24])), draw(st.sampled_from(BITS_PER_SYMBOL))
    uses = draw(st.integers(crc_bits // m + 1, 300))
    return draw(st.integers(1, uses * m - crc_bits)), uses, crc_bits, m


@settings(max_examples=25, deadline=None)
@given(wanted(), st.integers(0, 2**32 - 1))
def test_every_code_gives_its_bits_back(asked: tuple[int, int, int, int], seed: int) -> None:
    bits, uses, crc_bits, m = asked
    code = design_code(bits, uses, crc_bits, m)
    assert (code.payload_bits, code.uses, code.crc_bits, code.bits_per_symbol) == asked
    assert code.mask.sum() == code.message_bits == bits + crc_bits
    link = CodedLink(code, seed.to_bytes(4, "big"))
    payload = np.random.default_rng(seed).integers(0, 2, (4, bits), dtype=np.uint8)
    sent = link.send(payload)
    assert sent.shape == (4, uses)
    np.testing.assert_allclose(np.square(sent.astype(float)).mean(axis=1), 1.0, atol=1e-6)
    # A block's levels are scaled to power 1 and the receiver is not told by how much: with
    # few symbols of many levels that alone can cost a block, so it is left out here.
    with patch.object(modem, "normalise_power", lambda levels: levels):
        levels = link.send(payload)
    decoded = link.receive(levels, 1e-4)
    assert decoded.passed.all()
    np.testing.assert_array_equal(decoded.payload, payload)
    if m == 1 or (m == 2 and uses >= 32):
        decoded = link.receive(sent, 1e-2)
        assert decoded.passed.all()
        np.testing.assert_array_equal(decoded.payload, payload)


@pytest.mark.parametrize("uses", [65, 100, 150, 200, 250])
@pytest.mark.parametrize("bits", [10, 40])
def test_shortened_positions_stay_frozen(bits: int, uses: int) -> None:
    code = design_code(bits, uses, 11, 1)
    if code.matching != "shorten":
        return
    sent = sent_positions(code.mother_length, code.coded_bits, code.matching)
    gone = np.setdiff1d(np.arange(code.mother_length), sent)
    assert not code.mask[gone].any()
    messages = np.random.default_rng(0).integers(0, 2, (50, code.message_bits), dtype=np.uint8)
    assert not encode(messages, code.mask)[:, gone].any()


def test_all_kinds_of_matching_are_used() -> None:
    kinds = {design_code(bits, uses).matching for bits, uses in SHAPES}
    assert kinds == {"none", "puncture", "shorten", "repeat"}


SHAPES = ((40, 128), (40, 200), (60, 100), (20, 140))


@pytest.mark.parametrize(("bits", "m"), [(60, 1), (128, 1), (256, 2), (330, 2), (512, 3), (900, 4)])
def test_the_modulation_follows_the_rate(bits: int, m: int) -> None:
    """More bits a use need more levels, and no other number of them needs less SNR."""
    code = design_code(bits, 256)
    assert code.bits_per_symbol == m
    assert code.design_snr_db == round(code.design_snr_db, 2)
    for other in BITS_PER_SYMBOL:
        if bits + 11 <= 256 * other:
            assert code.design_snr_db <= design_code(bits, 256, 11, other).design_snr_db


@pytest.mark.parametrize("bits", [60, 128, 256, 512, 800])
def test_the_design_snr_is_near_what_good_codes_need(bits: int) -> None:
    """Good codes lose few blocks where plain decoding loses 30 %, but not all is lost."""
    gap = design_code(bits, 256).design_snr_db - normal_approximation_snr_db(bits + 11, 256, 0.3)
    assert 0.3 < gap < 3.5


def test_more_bits_need_more_snr() -> None:
    snrs = [design_code(bits, 100).design_snr_db for bits in range(5, 180, 45)]
    assert (np.diff(snrs) > 0).all()
    assert design_code(60, 100, 24).design_snr_db > design_code(60, 100, 11).design_snr_db


@pytest.mark.parametrize(
    ("arguments", "room"),
    [
        ((1014, 256), 1013),
        ((246, 256, 11, 1), 245),
        ((1001, 256, 24), 1000),
        ((5, 2), 0),
        ((90, 100, 11, 1), 89),  # the mother code would hold them, 100 coded bits do not
    ],
)
def test_too_many_bits_name_the_room(arguments: tuple, room: int) -> None:
    with pytest.raises(InputError, match=f"do not fit into {arguments[1]} .* at most {room} do"):
        design_code(*arguments)
    if room:
        assert design_code(room, *arguments[1:]).payload_bits == room
