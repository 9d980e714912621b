"""Payload sizes fit what is sent, and tables that do not work are not written."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airreid.bundle import Bundle
from airreid.digital import table_design
from airreid.digital.arithmetic import encode
from airreid.digital.coding_tables import load_coding_tables
from airreid.digital.prior import TOTAL, Prior
from airreid.digital.table_design import (
    MARGIN,
    canonical,
    code_lengths,
    payload_sizes,
    prove_distinct,
    rounded,
    write_tables,
)
from airreid.errors import ParityError
from airreid.inference import Network
from airreid.scheme_info import DigitalInfo, FileRef

PRIOR = Prior(low=(-1, 0), counts=((20000, 30000, 15000, 536), (TOTAL - 2, 1, 1)))
LATENTS = np.array([[-1, 0], [0, 0], [1, 1], [0, 0], [7, -9], [300, 2], [-1, 1]])


def test_ideal_lengths_are_those_of_the_prior_one_by_one() -> None:
    exact = [PRIOR.code_length(row) for row in LATENTS]
    np.testing.assert_allclose(code_lengths(LATENTS, PRIOR), exact, rtol=1e-12)
    by_hand = -np.log2(30000 / TOTAL) - np.log2((TOTAL - 2) / TOTAL)
    assert code_lengths(LATENTS[1:2], PRIOR)[0] == pytest.approx(by_hand)


def test_written_tables_hold_every_sample(tmp_path: Path) -> None:
    path = tmp_path / "digital-64.json"
    tables = write_tables(path, PRIOR, LATENTS, 64, sizes=3)
    assert load_coding_tables(path) == tables
    assert path.read_text() == canonical(tables)
    lengths = [len(encode(row, PRIOR)) for row in LATENTS.tolist()]
    assert [code.payload_bits for code in tables.codes] == list(payload_sizes(lengths, 3))
    assert {(code.uses, code.crc_bits) for code in tables.codes} == {(64, 11)}
    assert len(write_tables(path, PRIOR, LATENTS, 64, 24, sizes=1).codes) == 1
    many = np.array([[7 + 5 ** (n // 2) * (n % 2 * 2 - 1), n] for n in range(14)])
    assert len({len(encode(row, PRIOR)) for row in many.tolist()}) > 5
    usual = write_tables(path, PRIOR, many, 64)
    assert usual == write_tables(path, PRIOR, many, 64, 11, 4)
    assert len(usual.codes) == 4
    assert canonical(tables).endswith("}\n")
    assert ": " not in canonical(tables)


def test_tables_whose_messages_are_too_long_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "digital-64.json"
    monkeypatch.setattr(table_design, "SPARE_BITS", -1.0)
    with pytest.raises(ParityError, match=r"a message is .* bits above its ideal length"):
        write_tables(path, PRIOR, LATENTS, 64)
    assert not path.exists()


def test_two_schemes_that_seed_their_crc_alike_are_refused(tmp_path: Path) -> None:
    """The seed is the last 11 bits of the first 4 bytes of the table's digest, or 24 of them."""
    priors = [Prior(low=(low,), counts=((TOTAL - 1, 1),)) for low in range(-3000, 3000)]
    by_seed: dict[int, Prior] = {}
    for twin in priors:
        number = int.from_bytes(twin.digest[:4], "big")
        seed = number % 2**11
        other_number = int.from_bytes(by_seed.setdefault(seed, twin).digest[:4], "big")
        if number % 2**12 != other_number % 2**12:  # alike in 11 bits and in no more
            break
    apart = next(p for s, p in by_seed.items() if s != seed)

    def info(number: int, prior: Prior, crc_bits: int) -> DigitalInfo:
        path = tmp_path / f"{number}-{crc_bits}.json"
        write_tables(path, prior, np.full((3, 1), prior.low[0]), 64, crc_bits, 1)  # type: ignore[arg-type]
        ref = FileRef(path=path.name, sha256="0" * 64)
        return DigitalInfo(
            id=f"digital-64-r{number}",
            kind="digital",
            space_id="s",
            bandwidth=64,
            embedding_dim=1,
            encoder=ref,
            coding_tables=ref,
        )

    first, other = info(1, by_seed[seed], 11), info(2, apart, 11)
    prove_distinct(tmp_path, [first, other])
    with pytest.raises(ParityError, match="digital-64-r1 and digital-64-r3 seed their CRC alike"):
        prove_distinct(tmp_path, [first, other, info(3, twin, 11)])
    if int.from_bytes(twin.digest[1:4], "big") != int.from_bytes(by_seed[seed].digest[1:4], "big"):
        prove_distinct(tmp_path, [info(1, by_seed[seed], 24), info(3, twin, 24)])


def test_latents_are_rounded_half_to_even(bundle: Bundle, features: np.ndarray) -> None:
    info = bundle.scheme("digital-64")
    path = bundle.file(info.encoder)
    latents = rounded(path, np.tile(features, (8, 1)))  # more than are computed at once
    assert latents.dtype == np.int64
    exact = np.rint(Network(path, 1)(features).astype(np.float64))
    assert (latents[: len(features)] == exact).mean() > 0.999
    assert len(latents) == 8 * len(features)


def padding(lengths: np.ndarray, sizes: tuple[int, ...]) -> int:
    return sum(min(size for size in sizes if size >= length) - length for length in lengths)


@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=40),
    count=st.integers(1, 4),
)
@settings(max_examples=100, deadline=None)
def test_payload_sizes_pad_least(lengths: list[int], count: int) -> None:
    observed = np.asarray(lengths)
    sizes = payload_sizes(observed, count)
    assert 1 <= len(sizes) <= count
    assert list(sizes) == sorted(set(sizes))
    assert sizes[0] >= 1
    longest = max(1, observed.max())
    assert longest < sizes[-1] <= longest + max(1, np.ceil(MARGIN * longest))
    observed = np.maximum(observed, 1)
    best = min(
        padding(observed, (*chosen, sizes[-1]))
        for number in range(count)
        for chosen in combinations(
            sorted(set(observed.tolist())), min(number, len(set(observed.tolist())))
        )
    )
    assert padding(observed, sizes) == best


def test_equal_lengths_need_few_sizes() -> None:
    assert payload_sizes(np.full(100, 50)) == (50, 53)
    assert payload_sizes(np.full(100, 50), 1) == (53,)
    with pytest.raises(ValueError, match="at least one"):
        payload_sizes(np.zeros(0, int))
    with pytest.raises(ValueError, match="at least one"):
        payload_sizes(np.full(100, 50), 0)
