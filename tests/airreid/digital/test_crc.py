"""Checks against long division and Sionna; nothing a check promises to catch gets through."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airreid.digital.crc import Crc

GOLDEN = json.loads((Path(__file__).parent / "sionna.json").read_text())["crc"]
POWERS = {
    11: (11, 10, 9, 5, 0),
    16: (16, 12, 5, 0),
    24: (24, 23, 21, 20, 17, 15, 13, 12, 8, 4, 2, 1, 0),
}
"""3GPP TS 38.212, section 5.1: exponents of D in g_CRC11, g_CRC16 and g_CRC24C."""


def division(message: list[int], crc_bits: int, start: int = 0) -> list[int]:
    """Remainder of message times x^r, the start added to its first r bits."""
    rest = [*message, *[0] * crc_bits]
    for i in range(crc_bits):
        rest[i] ^= start >> (crc_bits - 1 - i) & 1
    for i in range(len(message)):
        if rest[i]:
            for power in POWERS[crc_bits]:
                rest[i + crc_bits - power] ^= 1
    return rest[len(message) :]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 1), min_size=1, max_size=90),
    st.sampled_from([11, 16, 24]),
    st.binary(min_size=4, max_size=4) | st.just(b""),
)
def test_long_division(message: list[int], crc_bits: int, seed: bytes) -> None:
    start = int.from_bytes(seed, "big") % 2**crc_bits
    bits = np.array(message, np.uint8)
    crc = Crc(len(bits), crc_bits, seed)
    assert crc.of(bits).tolist() == division(message, crc_bits, start)
    assert crc.passes(crc.append(bits))


@pytest.mark.parametrize("case", GOLDEN, ids=lambda c: f"{c['length']}-{c['crc_bits']}")
def test_sionna(case: dict) -> None:
    message, check = (
        np.unpackbits(np.frombuffer(bytes.fromhex(case[name]), np.uint8), count=size)
        for name, size in (("message", case["length"]), ("check", case["crc_bits"]))
    )
    assert Crc(case["length"], case["crc_bits"]).of(message).tolist() == check.tolist()


def test_check_of_a_standard_message() -> None:
    """CRC-16/XMODEM, which has the same polynomial: the check of "123456789" is 31C3."""
    bits = np.unpackbits(np.frombuffer(b"123456789", np.uint8))
    assert np.packbits(Crc(len(bits), 16).of(bits)).tobytes().hex() == "31c3"


@pytest.mark.parametrize("crc_bits", [11, 16, 24])
def test_flips_that_are_always_caught(crc_bits: int) -> None:
    rng = np.random.default_rng(1)
    crc = Crc(100, crc_bits, b"seed")
    whole = crc.append(rng.integers(0, 2, 100, dtype=np.uint8))
    single = whole ^ np.eye(len(whole), dtype=np.uint8)
    assert not crc.passes(single).any()
    pairs = (single[:, None] ^ single[None, :] ^ whole)[np.triu_indices(len(whole), 1)]
    assert not crc.passes(pairs).any()
    # Bursts no longer than the check, whatever is between their ends.
    for length in range(3, crc_bits + 1):
        burst = rng.integers(0, 2, (200, length), dtype=np.uint8)
        burst[:, [0, -1]] = 1
        for start in (0, 40, len(whole) - length):
            hit = np.repeat(whole[None], len(burst), axis=0)
            hit[:, start : start + length] ^= burst
            assert not crc.passes(hit).any()


@pytest.mark.parametrize("length", [1, 60, 256])
def test_all_seeds_of_crc11_differ(length: int) -> None:
    message = np.random.default_rng(length).integers(0, 2, length, dtype=np.uint8)
    checks = {bytes(Crc(length, 11, seed.to_bytes(4, "big")).of(message)) for seed in range(2048)}
    assert len(checks) == 2048


@pytest.mark.parametrize("length", [1, 60, 256])
def test_all_seeds_of_crc24_differ(length: int) -> None:
    """The check is affine in the seed, so it is enough that 24 of them are independent."""
    message = np.random.default_rng(length).integers(0, 2, length, dtype=np.uint8)

    def check(seed: int) -> int:
        bits = Crc(length, 24, seed.to_bytes(4, "big")).of(message)
        return int("".join(map(str, bits.tolist())), 2)

    none = check(0)
    assert check(0b1011) ^ none == check(8) ^ check(2) ^ check(1) ^ none
    basis: list[int] = []
    for i in range(24):
        vector = check(1 << i) ^ none
        for other in basis:
            vector = min(vector, vector ^ other)
        assert vector
        basis.append(vector)


def test_only_the_register_s_bits_of_a_seed_count() -> None:
    message = np.ones(30, np.uint8)
    assert (
        Crc(30, 11, b"\x12\x34\x50\x01").of(message).tolist()
        == Crc(30, 11, b"\x99\x99\x50\x01").of(message).tolist()
        == Crc(30, 11, b"\x99\x99\x50\x01 and more").of(message).tolist()
    )
    assert (
        Crc(30, 24, b"\x12\x34\x50\x01").of(message).tolist()
        != Crc(30, 24, b"\x99\x99\x50\x01").of(message).tolist()
    )


def test_many_at_once_are_as_one_by_one() -> None:
    messages = np.random.default_rng(0).integers(0, 2, (3, 4, 50), dtype=np.uint8)
    crc = Crc(50, 24, b"abcd")
    whole = crc.append(messages)
    assert whole.shape == (3, 4, 74)
    assert whole.dtype == np.uint8
    assert crc.passes(whole).all()
    np.testing.assert_array_equal(whole[1, 2], crc.append(messages[1, 2]))


def test_random_bits_pass_as_rarely_as_they_must() -> None:
    rng = np.random.default_rng(2)
    bits = rng.integers(0, 2, (200_000, 41), dtype=np.uint8)
    passed = int(Crc(30, 11).passes(bits).sum())
    expected = 200_000 / 2048
    assert abs(passed - expected) < 5 * expected**0.5
