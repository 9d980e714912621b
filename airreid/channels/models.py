"""Channel models as pure functions over blocks: no clock, no order of arrival, no torch.

The fate of block n of a link is a function of (settings, seed, link, n) and the bandwidth,
drawn before the symbols are seen (:func:`draw_realisation`):

    received = kept * (residual_gain * symbols) + noise

``residual_gain`` is complex: two consecutive real uses (2i, 2i + 1) are I and Q of one complex
use, and a block has one gain for all of them. Of an odd bandwidth the last use goes
alone: it is I of a use whose Q is not sent, and the receiver keeps the real part.

- **awgn**: residual_gain 1, noise N(0, sigma^2), sigma^2 = 10^(-SNR/10).
- **rayleigh**, **rician** without channel knowledge: residual_gain h, E|h|^2 = 1, the same
  noise; the receiver is told the average SNR. With it (``csi``): the received block over
  h, that is residual_gain 1 and noise n/h; it is told |h|^2 SNR. An equaliser that divides by
  next to nothing would pass all bounds: a gain so small that |h|^2 SNR is below -60 dB
  (the least SNR that a report may say) counts as the gain that gives -60 dB.
- **impulsive**: Bernoulli-Gaussian noise; the total noise power is what the SNR says.
- **erasure**: an erased use carries noise alone (kept = 0); the others are AWGN at the
  SNR. The receiver is not told which.

An ideal packet goes by ``effective_db`` and ``usable``: its bits arrive if and only if
``k <= usable C(effective)``. Under fading that is |h|^2 SNR, with or without knowledge of
h at the receiver. Of an erasure link the uses that are not erased count (the ideal code
knows which). Impulsive noise counts as Gaussian noise of its total power, which is the
least capacity that noise of a power can have: a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from airreid.channels.fading import Gains
from airreid.channels.registry import channel_model
from airreid.channels.settings import LinkSettings
from airreid.noise import PIECES_MAX, NoiseStream, Purpose
from airreid.signal import SNR_DB_MIN, noise_variance

Floats = NDArray[np.float64]
USES_MAX = 1 << 16
"""Longest block that has a realisation; every scheme's is far shorter."""


@dataclass(frozen=True)
class Conditions:
    """SNR and gain of n blocks, whatever their bandwidth; arrays (n,)."""

    snr_db: Floats
    """Before fading: fixed, random or from a trace."""
    gain: Gains
    """Complex; 1 without fading."""
    effective_db: Floats
    """|gain|^2 SNR, at least ``SNR_DB_MIN``."""
    report_db: Floats
    """Told to the receiver: effective, or without channel knowledge the average."""


@dataclass(frozen=True)
class Realisation(Conditions):
    """Everything about n blocks of B real uses but their symbols."""

    residual_gain: Gains
    """(n,): gain that a complex use arrives with; 1 where the receiver has equalised."""
    noise: NDArray[np.float32]
    """(n, B): noise that is added, after equalisation."""
    noise_energy: Floats
    """(n,): sum of squares of the noise at the antenna, before equalisation."""
    erased: NDArray[np.bool_]
    """(n, B), of an erasure link; otherwise (n, 0)."""
    impulses: NDArray[np.int64]
    """(n,): real uses that an impulse hit."""


def conditions(settings: LinkSettings, stream: NoiseStream, first: int, count: int) -> Conditions:
    """Draws SNR and gain of blocks ``first .. first + count - 1``, not single uses' noise."""
    snr_db = _snr_db(settings, stream, first, count)
    draw_gain = channel_model(settings.model).gain
    if draw_gain is None:
        return Conditions(snr_db, np.ones(count, np.complex128), snr_db, snr_db)
    gain = draw_gain(settings, stream, first, count)
    power = np.maximum(np.square(np.abs(gain)), np.finfo(np.float64).tiny)
    effective = np.maximum(snr_db + 10.0 * np.log10(power), SNR_DB_MIN)
    return Conditions(snr_db, gain, effective, effective if settings.csi else snr_db)


def draw_realisation(
    settings: LinkSettings, stream: NoiseStream, first: int, count: int, bandwidth: int
) -> Realisation:
    """Draws the fate of blocks ``first .. first + count - 1`` of ``bandwidth`` real uses.

    Raises ``ValueError`` for negative numbers and a bandwidth of 0.
    """
    return _realise(
        settings, conditions(settings, stream, first, count), stream, first, count, bandwidth
    )


def draw_pieces(
    settings: LinkSettings, stream: NoiseStream, block: int, first: int, count: int, piece: int
) -> Realisation:
    """Draws the fate of pieces ``first .. first + count - 1``, ``piece`` uses each, of a block.

    SNR and gain are the block's, the same for all its pieces; noise is that of each piece by its
    number, whatever message it comes in.
    """
    whole = conditions(settings, stream, block, 1)
    met = Conditions(*(np.repeat(getattr(whole, field.name), count) for field in fields(whole)))
    return _realise(settings, met, stream.pieces(), PIECES_MAX * block + first, count, piece)


def _realise(
    settings: LinkSettings,
    met: Conditions,
    stream: NoiseStream,
    first: int,
    count: int,
    bandwidth: int,
) -> Realisation:
    """Draws the noise of single uses under conditions that are known."""
    model = channel_model(settings.model)
    noise = stream.blocks(first, count, bandwidth)
    sigma = np.sqrt(noise_variance(met.snr_db)).astype(np.float32)
    noise = np.ascontiguousarray(sigma[:, None] * noise)
    residual_gain = np.ones(count, np.complex128)
    erased = np.zeros((count, 0), np.bool_)
    impulses = np.zeros(count, np.int64)
    if model.impulses is not None:
        hit, scale = model.impulses(settings, stream, first, count, bandwidth)
        noise *= scale
        impulses = hit.sum(axis=1)
    if model.erasures is not None:
        erased = model.erasures(settings, stream, first, count, bandwidth)
    energy = np.einsum("ij,ij->i", noise, noise, dtype=np.float64)
    if model.gain is not None:
        if settings.csi:
            noise = _equalised(noise, met)
        else:
            residual_gain = met.gain
    return Realisation(
        **{field.name: getattr(met, field.name) for field in fields(met)},
        residual_gain=residual_gain,
        noise=noise,
        noise_energy=energy,
        erased=erased,
        impulses=impulses,
    )


def fade(
    symbols: NDArray[np.float32], residual_gain: Gains, erased: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Returns the signal part of what is received, ``kept * (residual_gain * symbols)``:
    float32 (n, B).

    residual_gain (n,) and erased (n, B), or (n, 0) for none, of a :class:`Realisation`. Symbols
    that are not finite stay so, erased or not.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        if erased.size:
            return np.where(erased & np.isfinite(symbols), np.float32(0), symbols)
        if (residual_gain != 1).any():
            return rotate(symbols, residual_gain)
    return symbols


def apply(
    settings: LinkSettings,
    symbols: NDArray[np.float32],
    stream: NoiseStream,
    blocks: NDArray[np.uint64],
) -> tuple[NDArray[np.float32], Realisation]:
    """Sends blocks through a link: symbols (n, B), their numbers (n,) -> received (n, B).

    Block by block, in any order and all at once, the service receives the very same
    values. Numbers that follow one another are drawn together, so they cost least. The
    realisation says what each block met: see :attr:`Conditions.report_db`.
    """
    sent = np.ascontiguousarray(symbols, np.float32)
    numbers = np.asarray(blocks, np.uint64)
    if sent.ndim != 2 or numbers.shape != sent.shape[:1] or not sent.size:
        raise ValueError(f"symbols {sent.shape} with block numbers {numbers.shape}")
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[:1]) != 1)
    runs = zip(starts.tolist(), [*starts[1:].tolist(), len(numbers)], strict=True)
    parts = [
        draw_realisation(settings, stream, int(numbers[start]), end - start, sent.shape[1])
        for start, end in runs
    ]
    radio = parts[0]
    if len(parts) > 1:
        names = [field.name for field in fields(radio)]
        radio = Realisation(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        )
    return fade(sent, radio.residual_gain, radio.erased) + radio.noise, radio


def rotate(values: NDArray[np.float32], gain: Gains) -> NDArray[np.float32]:
    """Multiplies real uses (n, B), taken in pairs as complex ones, by ``gain`` (n,): (n, B)."""
    count, bandwidth = values.shape
    padded = np.zeros((count, bandwidth + bandwidth % 2), np.float32)
    padded[:, :bandwidth] = values
    product = padded.view(np.complex64) * gain.astype(np.complex64)[:, None]
    return np.ascontiguousarray(product.view(np.float32)[:, :bandwidth])


def _equalised(noise: NDArray[np.float32], met: Conditions) -> NDArray[np.float32]:
    """Divides noise by the gain, which counts as no less than ``SNR_DB_MIN`` allows: (n, B)."""
    amplitude = 10.0 ** ((met.effective_db - met.snr_db) / 20.0)
    phase = np.conj(met.gain) / np.maximum(np.abs(met.gain), np.finfo(np.float64).tiny)
    turned = rotate(noise, np.asarray(phase / amplitude, np.complex128))
    if noise.shape[1] % 2:
        # The real part of circular noise is distributed like the noise unturned.
        turned[:, -1] = noise[:, -1] / amplitude
    return turned


def _snr_db(settings: LinkSettings, stream: NoiseStream, first: int, count: int) -> Floats:
    if settings.snr_range_db is not None:
        low, high = settings.snr_range_db
        words = stream.words(Purpose.SNR, first, count, 1)[:, 0] >> np.uint64(11)
        return low + (high - low) * (words.astype(np.float64) * 2.0**-53)
    if settings.snr_trace is not None:
        blocks = np.arange(count, dtype=np.uint64) + np.uint64(first)
        return settings.snr_trace.at(blocks)
    return np.full(count, settings.snr_db)
