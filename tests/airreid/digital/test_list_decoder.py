"""List decoding against a decoder bit by bit, exhaustive search and Sionna's decisions."""

import json
from functools import cache
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest

from airreid.digital.crc import Crc
from airreid.digital.list_decoder import LIST_SIZES, ListDecoder, flip_patterns
from airreid.digital.polar import transform

GOLDEN = json.loads((Path(__file__).parent / "sionna.json").read_text())["decisions"]


def bit_llr(alpha: np.ndarray, u: list[int]) -> float:
    """LLR of input bit len(u), those before it given: Arikan's recursion, exact."""
    if len(alpha) == 1:
        return float(alpha[0])
    half = len(alpha) // 2
    a, b = alpha[:half], alpha[half:]
    if len(u) < half:
        return bit_llr(np.logaddexp(0.0, a + b) - np.logaddexp(a, b), u)
    x = transform(np.array(u[:half], np.uint8))
    return bit_llr(b + np.where(x, -a, a), u[half:])


def bit_by_bit(
    alpha: np.ndarray, mask: np.ndarray, list_size: int
) -> list[tuple[float, list[int]]]:
    """All paths that plain list decoding keeps, best first: (metric, input bits)."""
    paths: list[tuple[float, list[int]]] = [(0.0, [])]
    for free in mask:
        longer = []
        for metric, u in paths:
            llr = bit_llr(alpha, u)
            longer += [
                (metric + np.logaddexp(0.0, (2 * bit - 1) * llr), [*u, bit])
                for bit in ((0, 1) if free else (0,))
            ]
        paths = sorted(longer)[:list_size]
    return paths


def by_parts(alpha: np.ndarray, mask: np.ndarray, list_size: int) -> list[tuple[float, list[int]]]:
    """The same with the parts' whole choices tried: every path's every word, the best kept."""

    def words(part: np.ndarray) -> list[np.ndarray]:
        inputs = np.zeros((2 ** int(part.sum()), len(part)), np.uint8)
        inputs[:, part] = list(product((0, 1), repeat=int(part.sum())))
        return list(transform(inputs))

    def visit(
        part: np.ndarray, paths: list[tuple[float, np.ndarray]]
    ) -> list[tuple[float, int, np.ndarray]]:
        """(metric, path it came from, codeword of the part) of what is kept."""
        size = len(part)
        parity = size > 1 and not part[0] and part[1:].all()
        if not part.any() or part.all() or parity or (part[-1] and part.sum() == 1):
            candidates = [
                (metric + np.logaddexp(0.0, (2.0 * word - 1.0) * llrs).sum(), path, word)
                for path, (metric, llrs) in enumerate(paths)
                for word in words(part)
            ]
            return sorted(candidates, key=lambda path: path[0])[:list_size]
        half = size // 2
        checks = [
            (m, np.logaddexp(0.0, x[:half] + x[half:]) - np.logaddexp(x[:half], x[half:]))
            for m, x in paths
        ]
        left = visit(part[:half], checks)
        sums = [
            (m, paths[path][1][half:] + np.where(word, -1, 1) * paths[path][1][:half])
            for m, path, word in left
        ]
        right = visit(part[half:], sums)
        return [(m, left[path][1], np.concatenate([left[path][2] ^ w, w])) for m, path, w in right]

    best = sorted(visit(mask, [(0.0, alpha)]), key=lambda path: path[0])
    return [(metric, transform(word).tolist()) for metric, _, word in best]


def compare(
    alpha: np.ndarray,
    mask: np.ndarray,
    list_size: int,
    expected: list[tuple[float, list[int]]],
) -> None:
    codewords, metric = ListDecoder(mask, list_size).decode(alpha[None])
    np.testing.assert_allclose(metric[0], [m for m, _ in expected], atol=1e-9)
    inputs = transform(codewords[0])
    for i, (value, u) in enumerate(expected):
        close = [m for m, _ in expected if abs(m - value) < 1e-7]
        if len(close) == 1:  # else a tie, and either may come first or have been dropped
            assert inputs[i].tolist() == u


@pytest.mark.parametrize("list_size", [1, 2, 4, 8])
@pytest.mark.parametrize("length", [8, 16, 32, 64])
def test_as_bit_by_bit_where_no_free_bits_are_neighbours(length: int, list_size: int) -> None:
    """Then every part but single bits is frozen or one repeated bit, and all must agree."""
    rng = np.random.default_rng(length + list_size)
    for _ in range(2 if length == 64 else 12):
        mask = np.array([pair for _ in range(length // 2) for pair in _pair(rng)])
        alpha = rng.normal(1.0, 1.5, length) * rng.choice([0.5, 2.0, 8.0])
        compare(alpha, mask, list_size, bit_by_bit(alpha, mask, list_size))


def _pair(rng: np.random.Generator) -> tuple[bool, bool]:
    return ((False, False), (False, True), (False, True), (True, False))[rng.integers(4)]


@pytest.mark.parametrize("list_size", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("length", [4, 8, 16, 32])
def test_as_trying_all_words_of_each_part(length: int, list_size: int) -> None:
    rng = np.random.default_rng(length * list_size)
    weight = np.array([i.bit_count() for i in range(length)])
    parts = 0
    while parts < 25:
        mask = np.zeros(length, bool)
        size = int(rng.integers(1, length + 1))
        mask[np.argsort(-(weight + rng.random(length) * rng.choice([0.1, 3.0])))[:size]] = True
        if _largest_part(mask) > 9:
            continue
        parts += 1
        alpha = rng.normal(1.0, 1.5, length) * rng.choice([0.5, 2.0, 8.0])
        compare(alpha, mask, list_size, by_parts(alpha, mask, list_size))


def _largest_part(part: np.ndarray) -> int:
    """Free bits of the largest part that is decided at once."""
    if part.all() or not part.any() or part[1:].all() or part.sum() == part[-1]:
        return int(part.sum())
    half = len(part) // 2
    return max(_largest_part(part[:half]), _largest_part(part[half:]))


@pytest.mark.parametrize(("length", "size"), [(4, 3), (8, 4), (16, 4), (32, 3), (64, 4)])
def test_a_list_of_all_messages_is_exhaustive_search(length: int, size: int) -> None:
    rng = np.random.default_rng(length)
    for _ in range(20):
        mask = np.zeros(length, bool)
        mask[rng.choice(length, size, replace=False)] = True
        alpha = rng.normal(0.5, 2.0, length)
        u = np.zeros((2**size, length), np.uint8)
        u[:, mask] = list(product((0, 1), repeat=size))
        words = transform(u)
        likelihood = np.logaddexp(0.0, (2.0 * words - 1.0) * alpha).sum(axis=1)
        order = np.argsort(likelihood)
        codewords, metric = ListDecoder(mask, 16).decode(alpha[None])
        np.testing.assert_array_equal(codewords[0], words[order])
        np.testing.assert_allclose(metric[0], likelihood[order], atol=1e-9)


@pytest.mark.parametrize(("length", "size"), [(4, 2), (8, 3), (16, 4), (32, 3), (64, 4)])
def test_bits_that_come_again_as_exhaustive_search(length: int, size: int) -> None:
    rng = np.random.default_rng(length)
    for trial in range(20):
        places = rng.permutation(length)[: 2 * size - 1]
        sources = np.sort(places)[:size]
        later = [place for place in places.tolist() if place not in sources]
        copies = np.array([[rng.choice(sources), place] for place in later], np.int64)
        mask = np.zeros(length, bool)
        mask[sources] = True
        alpha = rng.normal(0.5, 2.0, (2, length))
        u = np.zeros((2**size, length), np.uint8)
        u[:, sources] = list(product((0, 1), repeat=size))
        u[:, copies[:, 1]] = u[:, copies[:, 0]]
        words = transform(u)
        codewords, metric = ListDecoder(mask, 16, copies).decode(alpha)
        for row in range(2):
            likelihood = np.logaddexp(0.0, (2.0 * words - 1.0) * alpha[row]).sum(axis=1)
            order = np.argsort(likelihood)
            np.testing.assert_array_equal(codewords[row], words[order], str(trial))
            np.testing.assert_allclose(metric[row], likelihood[order], atol=1e-9)


def test_copies_that_cannot_be() -> None:
    mask = np.array([False, True, False, False])
    for copies in ([[1, 0]], [[1, 1]], [[0, 1]]):
        with pytest.raises(ValueError, match="a bit comes again later"):
            ListDecoder(mask, 4, np.array(copies))


@pytest.mark.parametrize("list_size", [1, 4, 8])
def test_no_less_likely_than_bit_by_bit_in_most_blocks(list_size: int) -> None:
    """With free neighbours the lists may differ; whole parts must not do worse."""
    rng = np.random.default_rng(list_size)
    mask = np.array([i.bit_count() for i in range(32)]) + np.arange(32) / 64 > 2.6
    better = worse = 0
    for _ in range(40):
        alpha = rng.normal(1.0, 1.4, 32) * 1.5
        best = bit_by_bit(alpha, mask, list_size)[0][0]
        metric = ListDecoder(mask, list_size).decode(alpha[None])[1][0, 0]
        better += metric < best - 1e-9
        worse += metric > best + 1e-9
    assert worse <= better + 1
    assert worse <= 4


@cache
def _optimal(list_size: int, size: int, parity: int | None) -> list[np.ndarray]:
    """The cheapest sets of flips for many random reliabilities, least reliable first."""
    rng = np.random.default_rng(size)
    subsets = [
        set(c)
        for n in range(size + 1)
        for c in combinations(range(size), n)
        if parity is None or n % 2 == parity
    ]
    flags = np.array([[i in s for i in range(size)] for s in subsets], float)
    optima = []
    for spread in (0.05, 1.0, 4.0):
        for _ in range(60):
            cost = np.sort(rng.random(size) ** spread)
            optima.append((cost, np.sort(flags @ cost)[:list_size]))
    return optima


@pytest.mark.parametrize("list_size", LIST_SIZES)
@pytest.mark.parametrize("parity", [None, 0, 1])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 8, 10])
def test_flip_patterns_hold_the_cheapest(list_size: int, parity: int | None, size: int) -> None:
    table = flip_patterns(list_size, size, parity)
    assert table.shape[1] <= size
    assert len(np.unique(table, axis=0)) == len(table)
    if parity is not None:
        assert (table.sum(axis=1) % 2 == parity).all()
    for cost, best in _optimal(list_size, size, parity):
        cheapest = np.sort(table @ cost[: table.shape[1]])[:list_size]
        np.testing.assert_allclose(cheapest, best)


@pytest.mark.parametrize("list_size", [2, 4, 8])
@pytest.mark.parametrize("parity", [None, 0, 1])
@pytest.mark.parametrize("size", [3, 6, 8])
def test_no_flip_pattern_is_superfluous(list_size: int, parity: int | None, size: int) -> None:
    """Every set of which fewer than ``list_size`` others are never dearer, and no other one."""
    sets = [
        c
        for n in range(size + 1)
        for c in combinations(range(size), n)
        if parity is None or n % 2 == parity
    ]

    def never_dearer(flips: tuple[int, ...], other: tuple[int, ...]) -> bool:
        """Pairs each flip of ``one``, the dearest first, with one of ``other`` as dear."""
        pairs = zip(flips[::-1], other[::-1], strict=False)
        return len(flips) <= len(other) and all(a <= b for a, b in pairs)

    wanted = {s for s in sets if sum(never_dearer(o, s) for o in sets) - 1 < list_size}
    table = flip_patterns(list_size, size, parity)
    assert {tuple(np.flatnonzero(row).tolist()) for row in table} == wanted


@pytest.mark.parametrize("list_size", LIST_SIZES)
@pytest.mark.parametrize("size", [4, 8, 16, 64, 1024])
def test_both_parities_have_patterns_of_one_shape(list_size: int, size: int) -> None:
    shapes = [flip_patterns(list_size, size, odd).shape for odd in (0, 1)]
    assert shapes[0] == shapes[1]


def test_a_batch_is_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    mask = np.array([i.bit_count() for i in range(128)]) + np.arange(128) / 128 > 4.2
    decoder = ListDecoder(mask, 8)
    alpha = rng.normal(1.0, 1.3, (30, 128))
    codewords, metric = decoder.decode(alpha)
    assert codewords.shape == (30, 8, 128)
    assert (np.diff(metric, axis=1) >= 0).all()
    for row in range(30):
        single, value = decoder.decode(alpha[row : row + 1])
        np.testing.assert_array_equal(single[0], codewords[row])
        np.testing.assert_allclose(value[0], metric[row], rtol=1e-12)
    # Every word of the list is a codeword, and no two are the same.
    assert not transform(codewords)[..., ~mask].any()
    assert all(len(np.unique(words, axis=0)) == 8 for words in codewords)
    likelihood = np.logaddexp(0.0, (2.0 * codewords - 1.0) * alpha[:, None]).sum(axis=2)
    np.testing.assert_allclose(metric, likelihood, rtol=1e-9)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda c: f"N{4 * len(c['mask'])} L{c['list_size']}")
def test_sionna_decides_the_same(case: dict) -> None:
    raw = np.frombuffer(bytes.fromhex(case["mask"]), np.uint8)
    mask = np.unpackbits(raw).astype(bool)
    crc = Crc(case["payload_bits"], 11)
    for block in case["blocks"]:
        alpha = np.array([block["llrs"].split()], float)
        packed = np.frombuffer(bytes.fromhex(block["message"]), np.uint8)
        theirs = np.unpackbits(packed, count=int(mask.sum()))
        words, _ = ListDecoder(mask, case["list_size"]).decode(alpha)
        messages = transform(words[0])[:, mask]
        passed = crc.passes(messages)
        if crc.passes(theirs):
            assert messages[passed.argmax()].tolist() == theirs.tolist()
        assert passed.any() == crc.passes(theirs)


def test_a_list_size_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="list size 3; use one of"):
        ListDecoder(np.ones(4, bool), 3)
