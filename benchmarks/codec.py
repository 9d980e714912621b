"""The digital scheme's two coders by themselves: arithmetic coding and polar decoding.

The arithmetic coder is measured on a prior of 256 dimensions with 33 symbols each, whose
probabilities are those of a rounded Gaussian of standard deviation 2; the decoder on
blocks of n = 256 coded bits at an SNR where about one in a hundred is lost.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.digital import arithmetic
from airreid.digital.link import CodedLink
from airreid.digital.polar_design import design_code
from airreid.digital.prior import TOTAL, Prior, quantise
from airreid.signal import awgn, noise_variance
from benchmarks.rows import Row, in_turns, row

METHOD = "one vector or block a call, one thread; medians"
SYMBOLS, SPREAD, SPAN = 256, 2.0, 16
BITS, USES, SNR_DB, LIST = 128, 256, 2.5, 8
CODER_MS, DECODER_MS = 1.0, 8.0
ROUNDS, QUICK_ROUNDS = 20, 8
_EACH, _DIFFERENT = 10, 32


def prior() -> Prior:
    """Makes a rounded Gaussian of each dimension."""
    edges = np.arange(-SPAN, SPAN + 2) - 0.5
    below = np.array([0.5 * (1 + math.erf(x / SPREAD / math.sqrt(2))) for x in edges])
    table = quantise(np.append(np.diff(below), below[0] + 1 - below[-1]))
    return Prior(low=(-SPAN,) * SYMBOLS, counts=(table,) * SYMBOLS)


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Measures milliseconds a vector and a block."""
    return _coder(rounds) + _decoder(rounds)


def _coder(rounds: int) -> list[Row]:
    table, rng = prior(), np.random.default_rng(0)
    latents = np.rint(SPREAD * rng.standard_normal((_DIFFERENT, SYMBOLS))).astype(np.int64)
    words = [arithmetic.encode(latent, table) for latent in latents]
    for latent, bits in zip(latents, words, strict=True):
        if not np.array_equal(arithmetic.decode(bits, table), latent):
            raise AssertionError("the arithmetic coder does not give back what it was given")
    excess = float(
        np.mean([len(b) - table.code_length(v) for v, b in zip(latents, words, strict=True)])
    )
    note = (
        f"{SYMBOLS} symbols, {np.mean([len(bits) for bits in words]):.0f} bits on average, "
        f"{excess:+.2f} bits to the ideal length"
    )
    sent, heard = cycle(latents), cycle(words)
    ours: dict[str, Callable[[], object]] = {
        "encode": lambda: arithmetic.encode(next(sent), table),
        "decode": lambda: arithmetic.decode(next(heard), table),
    }
    theirs = _constriction(table, latents)
    turns = in_turns(ours | theirs, rounds, _EACH)
    peer = "constriction range coder, words of 32 bits" if theirs else ""
    return [
        row(
            f"arithmetic coder, {name}",
            "ms a vector",
            1e3 * turns.seconds(name),
            1e3 * turns.seconds(f"their {name}") if theirs else None,
            peer,
            spread=turns.spread(name),
            repetitions=turns.count(name),
            limit=CODER_MS,
            limit_of="ours",
            better="less",
            note=note,
        )
        for name in ours
    ]


def _constriction(table: Prior, latents: NDArray[np.int64]) -> dict[str, Callable[[], object]]:
    """Codes the same vectors by the constriction library, where it is installed."""
    if importlib.util.find_spec("constriction") is None:
        return {}
    stream: Any = importlib.import_module("constriction").stream
    shares = np.asarray(table.counts[0][:-1], np.float64) / TOTAL
    model = stream.model.Categorical(shares / shares.sum(), perfect=False)
    indices = [(latent + SPAN).astype(np.int32) for latent in latents]

    def encode(symbols: NDArray[np.int32]) -> NDArray[np.uint32]:
        coder = stream.queue.RangeEncoder()
        coder.encode(symbols, model)
        compressed: NDArray[np.uint32] = coder.get_compressed()
        return compressed

    sent, heard = cycle(indices), cycle([encode(symbols) for symbols in indices])
    return {
        "their encode": lambda: encode(next(sent)),
        "their decode": lambda: stream.queue.RangeDecoder(next(heard)).decode(model, SYMBOLS),
    }


def _decoder(rounds: int) -> list[Row]:
    link, rng = CodedLink(design_code(BITS, USES, 11, 1), list_size=LIST), np.random.default_rng(0)
    payload = rng.integers(0, 2, (_DIFFERENT, BITS), dtype=np.uint8)
    noise = rng.standard_normal((_DIFFERENT, USES), dtype=np.float32)
    received, variance = awgn(link.send(payload), noise, SNR_DB), noise_variance(SNR_DB)
    right = (link.receive(received, variance).payload == payload).all(axis=1).mean()
    blocks = cycle(range(_DIFFERENT))

    def one_block() -> object:
        index = next(blocks)
        return link.receive(received[index : index + 1], variance)

    turns = in_turns(
        {"one": one_block, "many": lambda: link.receive(received, variance)}, rounds, 4
    )
    name = f"polar decoder, list {LIST}, n = {link.code.coded_bits}"
    note = f"{BITS} bits at {SNR_DB:g} dB, {right:.0%} of {_DIFFERENT} blocks right"
    single, many = 1e3 * turns.seconds("one"), 1e3 * turns.seconds("many") / _DIFFERENT
    common: dict[str, Any] = {"limit": DECODER_MS, "limit_of": "ours", "better": "less"}
    return [
        row(
            f"{name}, one block",
            "ms a block",
            single,
            spread=turns.spread("one"),
            repetitions=turns.count("one"),
            note=note,
            **common,
        ),
        row(
            f"{name}, {_DIFFERENT} blocks together",
            "ms a block",
            many,
            single,
            "one block a call",
            spread=turns.spread("many"),
            repetitions=turns.count("many"),
            **common,
        ),
    ]
