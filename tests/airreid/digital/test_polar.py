"""The transform, which bits are sent, and Sionna's codewords."""

import json
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airreid.digital.polar import (
    LLR_KNOWN,
    bit_reversed,
    encode,
    match,
    sent_positions,
    transform,
    unmatch,
)
from airreid.digital.polar_code import PolarCode
from airreid.digital.polar_design import design_code

GOLDEN = json.loads((Path(__file__).parent / "sionna.json").read_text())["codewords"]
CODES = {
    "none": design_code(40, 128, 11, 1),
    "puncture": design_code(40, 200, 11, 1),
    "shorten": design_code(60, 100, 11, 1),
    "repeat": design_code(20, 140, 11, 1),
}


def bits_of(text: str, count: int) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=count)


@pytest.mark.parametrize("stages", range(1, 9))
def test_transform_is_the_kronecker_power(stages: int) -> None:
    kernel = np.array([[1, 0], [1, 1]])
    matrix = reduce(np.kron, [kernel] * stages)
    u = np.random.default_rng(stages).integers(0, 2, (5, 2**stages), dtype=np.uint8)
    np.testing.assert_array_equal(transform(u), u @ matrix % 2)
    np.testing.assert_array_equal(transform(transform(u)), u)


def test_transform_leaves_its_argument() -> None:
    u = np.ones(8, np.uint8)
    transform(u)
    assert u.all()


@pytest.mark.parametrize("case", GOLDEN, ids=lambda c: f"N{4 * len(c['mask'])}")
def test_codewords_are_sionna_s(case: dict) -> None:
    length = 4 * len(case["mask"])
    mask = bits_of(case["mask"], length).astype(bool)
    message = bits_of(case["message"], int(mask.sum()))
    assert encode(message, mask).tolist() == bits_of(case["codeword"], length).tolist()


def test_frozen_inputs_are_zero() -> None:
    mask = np.random.default_rng(0).random(64) < 0.4
    messages = np.random.default_rng(1).integers(0, 2, (20, mask.sum()), dtype=np.uint8)
    u = transform(encode(messages, mask))
    assert not u[:, ~mask].any()
    np.testing.assert_array_equal(u[:, mask], messages)


@pytest.mark.parametrize("stages", range(1, 11))
def test_bit_reversal_by_text(stages: int) -> None:
    expected = [int(f"{i:0{stages}b}"[::-1], 2) for i in range(2**stages)]
    assert bit_reversed(2**stages).tolist() == expected


def test_the_codes_are_of_every_kind() -> None:
    assert {name: code.matching for name, code in CODES.items()} == {n: n for n in CODES}


@settings(deadline=None)
@given(st.integers(1, 9), st.data())
def test_sent_positions(stages: int, data: st.DataObject) -> None:
    length = 2**stages
    matching = data.draw(st.sampled_from(["puncture", "shorten", "repeat", "none"]))
    limits = {"none": (length, length), "repeat": (length + 1, 3 * length)}
    coded = data.draw(st.integers(*limits.get(matching, (1, length - 1))))
    sent = sent_positions(length, coded, matching)
    assert len(sent) == coded
    if matching == "repeat":
        times = np.bincount(sent, minlength=length)
        assert times.max() - times.min() <= 1
        assert (np.diff(times) <= 0).all()
        return
    assert (np.diff(sent) > 0).all()
    assert set(sent.tolist()) <= set(range(length))


@settings(deadline=None)
@given(st.integers(2, 8), st.data())
def test_shortened_bits_are_zero_in_every_codeword(stages: int, data: st.DataObject) -> None:
    length = 2**stages
    coded = data.draw(st.integers(1, length - 1))
    gone = np.setdiff1d(np.arange(length), sent_positions(length, coded, "shorten"))
    u = np.random.default_rng(coded).integers(0, 2, (20, length), dtype=np.uint8)
    u[:, gone] = 0
    assert not transform(u)[:, gone].any()


@settings(deadline=None)
@given(st.integers(2, 8), st.data())
def test_what_is_sent_holds_nothing_of_the_punctured_inputs(
    stages: int, data: st.DataObject
) -> None:
    """As many inputs are lost as bits are left out, and no more: density evolution's zeros."""
    length = 2**stages
    coded = data.draw(st.integers(1, length - 1))
    sent = sent_positions(length, coded, "puncture")
    gone = np.setdiff1d(np.arange(length), sent)
    rng = np.random.default_rng(coded)
    u = rng.integers(0, 2, (20, length), dtype=np.uint8)
    other = u.copy()
    other[:, gone] = rng.integers(0, 2, (20, len(gone)))
    np.testing.assert_array_equal(transform(u)[:, sent], transform(other)[:, sent])
    basis = np.eye(length, dtype=np.uint8)[sent]
    assert transform(basis)[:, sent].any(axis=1).all()


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_match_and_unmatch(code: PolarCode) -> None:
    rng = np.random.default_rng(4)
    codewords = encode(rng.integers(0, 2, (9, code.message_bits), dtype=np.uint8), code.mask)
    coded = match(codewords, code)
    assert coded.shape == (9, code.coded_bits)
    soft = (1.0 - 2.0 * coded) * rng.uniform(0.5, 3.0, coded.shape)
    whole = unmatch(soft, code)
    sent = sent_positions(code.mother_length, code.coded_bits, code.matching)
    # Slowly: each LLR is added to where its bit comes from.
    expected = np.zeros(codewords.shape)
    for row in range(9):
        for position, value in zip(sent, soft[row], strict=True):
            expected[row, position] += value
    missing = np.setdiff1d(np.arange(code.mother_length), sent)
    expected[:, missing] = LLR_KNOWN if code.matching == "shorten" else 0.0
    np.testing.assert_allclose(whole, expected)
    known = whole != 0
    assert ((whole < 0) == codewords.astype(bool))[known].all()
    assert (~known).sum() == (9 * len(missing) if code.matching == "puncture" else 0)
