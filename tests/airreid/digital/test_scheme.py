"""A digital scheme of a bundle: messages in payloads of several sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from airreid.bundle import Bundle
from airreid.digital import arithmetic
from airreid.digital.scheme import DigitalScheme
from airreid.errors import BundleError, InputError
from airreid.nested.pieces import pieces_of
from airreid.payload import Analog, Coded, HeardCoded, Ideal
from airreid.scheme import check_piece, piece_of
from airreid.scheme_info import DigitalInfo

SCHEME = "digital-256-r2"
"""Scheme of the demo, with four payload sizes."""


def opened(bundle: Bundle, scheme_id: str = SCHEME) -> DigitalScheme:
    info = bundle.scheme(scheme_id)
    assert isinstance(info, DigitalInfo)
    return DigitalScheme(bundle, info, 1)


@pytest.fixture(scope="module")
def scheme(bundle: Bundle) -> DigitalScheme:
    return opened(bundle)


@pytest.fixture(scope="module")
def spread(features: np.ndarray) -> np.ndarray:
    """Features whose messages are shorter than the smallest payload, longer than the largest,
    and between each two."""
    mean = features.mean(axis=0)
    return np.concatenate(
        [mean + scale * (features - mean) for scale in (0.0, 0.3, 0.6, 1.0, 1.5, 3.0)]
    ).astype(np.float32)


def test_a_message_is_cut_only_where_the_largest_payload_does_not_hold_it(
    scheme: DigitalScheme, spread: np.ndarray
) -> None:
    sizes = [code.payload_bits for code in scheme.tables.codes]
    assert len(sizes) == 4
    assert scheme.longest == max(sizes) == sizes[-1]
    whole = [arithmetic.encode(latent, scheme.tables.prior) for latent in scheme.latents(spread)]
    lengths = np.array([len(bits) for bits in whole])
    assert (lengths > sizes[-1]).any()
    for low, high in zip([0, *sizes], sizes, strict=False):
        assert ((low < lengths) & (lengths <= high)).any(), (low, high)
    for bits, message in zip(whole, scheme.messages(spread), strict=True):
        if len(bits) <= sizes[-1]:
            assert message.shortened == 0
            np.testing.assert_array_equal(message.bits, bits)
        else:
            assert message.shortened > 0
            assert len(message.bits) <= sizes[-1]


def test_a_block_is_of_the_smallest_size_that_holds_its_message(
    scheme: DigitalScheme, spread: np.ndarray
) -> None:
    sizes = np.array([code.payload_bits for code in scheme.tables.codes])
    coded, ideal = scheme.pack(spread, "coded"), scheme.pack(spread, "ideal")
    used = set()
    for block, packet in zip(coded, ideal, strict=True):
        assert isinstance(block, Coded)
        assert isinstance(packet, Ideal)
        assert block.size == np.flatnonzero(sizes >= len(packet.bits))[0]
        assert block.symbols.shape == (256,)
        used.add(block.size)
        cost = scheme.cost(block)
        assert (cost.uses, cost.payload_bits) == (256, sizes[block.size])
        assert (cost.crc_bits, cost.side_bits) == (scheme.tables.codes[0].crc_bits, 2)
        cost = scheme.cost(packet)
        assert (cost.uses, cost.payload_bits, cost.crc_bits) == (256, len(packet.bits), 0)
        assert cost.side_bits == int(sizes[-1]).bit_length()
    assert used == {0, 1, 2, 3}


def test_blocks_of_all_sizes_come_back_in_their_order(
    scheme: DigitalScheme, spread: np.ndarray
) -> None:
    rng = np.random.default_rng(3)
    rows = spread[rng.permutation(len(spread))[:60]]
    sent = scheme.pack(rows, "coded")
    received = scheme.unpack(sent, [30.0] * len(sent))
    ideal = scheme.unpack(scheme.pack(rows, "ideal"), [30.0] * len(rows))
    assert not received.lost.any()
    assert not ideal.lost.any()
    np.testing.assert_array_equal(received.embeddings, ideal.embeddings)
    uncut = [message.shortened == 0 for message in scheme.messages(rows)]
    np.testing.assert_array_equal(received.embeddings[uncut], scheme.gallery(rows)[uncut])
    assert received.embeddings.dtype == np.float32


def test_each_block_is_decoded_at_its_own_snr(scheme: DigitalScheme, features: np.ndarray) -> None:
    """Two blocks of one size, one clean and one of noise alone."""
    [clean] = scheme.pack(features[:1], "coded")
    assert isinstance(clean, Coded)
    noise = np.random.default_rng(5).standard_normal(256).astype(np.float32)
    received = scheme.unpack([Coded(noise, clean.size), clean], [-40.0, 30.0])
    assert received.lost.tolist() == [True, False]
    assert not received.embeddings[0].any()
    np.testing.assert_array_equal(received.embeddings[1:], scheme.gallery(features[:1]))


def test_lost_packets_are_zeros_and_foreign_ones_are_refused(
    scheme: DigitalScheme, features: np.ndarray
) -> None:
    [packet] = scheme.pack(features[:1], "ideal")
    assert isinstance(packet, Ideal)
    gone = Ideal(np.zeros(0, np.uint8), 256, lost=True)
    received = scheme.unpack([gone, packet], [0.0, 0.0])
    assert received.lost.tolist() == [True, False]
    assert not received.embeddings[0].any()
    for payload in (Analog(np.ones(256, np.float32)), Coded(np.ones(256, np.float32), 4)):
        with pytest.raises(InputError, match=f"{SCHEME}: no such payload"):
            scheme.unpack([payload], [0.0])
    too_long = np.append(packet.bits, np.ones(64, np.uint8))
    with pytest.raises(InputError, match=f"{SCHEME}: "):
        scheme.unpack([Ideal(too_long, 256)], [0.0])
    with pytest.raises(InputError, match="has no analog link; it has: coded, ideal"):
        scheme.pack(features[:1], "analog")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("embedding_dim", 7, "tables for 7 symbols"),
        ("bandwidth", 255, "codes fill 256 uses, not 255"),
    ],
)
def test_tables_of_another_scheme_are_refused(
    bundle: Bundle, field: str, value: int, words: str
) -> None:
    info = bundle.scheme(SCHEME)
    assert isinstance(info, DigitalInfo)
    with pytest.raises(BundleError, match=words):
        DigitalScheme(bundle, info.model_copy(update={field: value}), 1)


def test_blocks_in_pieces_are_the_same_messages(scheme: DigitalScheme, spread: np.ndarray) -> None:
    rows = spread[::7]
    pieces, whole = scheme.pack_pieces(rows), scheme.pack(rows, "coded")
    assert {block.size for block in pieces} == {0, 1, 2, 3}
    for block, other in zip(pieces, whole, strict=True):
        assert isinstance(other, Coded)
        assert (block.size, block.piece, block.first_piece) == (other.size, 32, 0)
        assert replace(scheme.cost(block), crc_bits=11) == scheme.cost(other)
        assert scheme.cost(block).crc_bits == 16
    cut = [pieces_of(block, 0, 160) for block in pieces]
    assert scheme.cost(cut[0]).uses == 160
    rng = np.random.default_rng(5)
    mixed = [block for pair in zip(cut, whole, strict=True) for block in pair]
    order = rng.permutation(len(mixed))
    received = scheme.unpack([mixed[i] for i in order], [30.0] * len(order))
    assert not received.lost.any()
    expected = scheme.unpack(scheme.pack(rows, "ideal"), [30.0] * len(rows)).embeddings
    np.testing.assert_array_equal(received.embeddings, np.repeat(expected, 2, axis=0)[order])


def test_pieces_that_do_not_hold_the_message_are_lost(
    scheme: DigitalScheme, features: np.ndarray
) -> None:
    [block] = scheme.pack_pieces(features[:1])
    heard = HeardCoded(block.size, 32)
    heard.add(pieces_of(block, 0, 32), 30.0)
    received = scheme.unpack([heard, pieces_of(block, 0, 32)], [30.0, 30.0])
    assert received.lost.tolist() == [True, True]
    assert not received.embeddings.any()
    heard.add(pieces_of(block, 1, 96), 30.0)
    received = scheme.unpack([heard], [30.0])
    np.testing.assert_array_equal(received.embeddings, scheme.gallery(features[:1]))


def test_pieces_that_no_camera_sends(scheme: DigitalScheme, features: np.ndarray) -> None:
    [block] = scheme.pack_pieces(features[:1])
    with pytest.raises(InputError, match=f"{SCHEME}: no payload size 9"):
        scheme.unpack([replace(block, size=9)], [0.0])
    with pytest.raises(InputError, match="piece 2 came where 0 is due"):
        scheme.unpack([pieces_of(block, 2, 32)], [0.0])
    with pytest.raises(InputError, match="pieces of 16 uses"):
        scheme.unpack([replace(block, piece=16)], [0.0])
    check_piece(scheme.info, block)
    [whole] = scheme.pack(features[:1], "coded")
    check_piece(scheme.info, whole)
    with pytest.raises(InputError, match="sends pieces of 32 uses; this block says pieces of 64"):
        check_piece(scheme.info, replace(block, piece=64))
    wide = scheme.info.model_copy(update={"bandwidth": 4096})
    assert piece_of(wide) == piece_of(scheme.info.model_copy(update={"bandwidth": 100})) == 0
    with pytest.raises(InputError, match="sends whole blocks; this block says pieces of 32"):
        check_piece(wide, block)
