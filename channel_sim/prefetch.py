"""Realisations of a link's next blocks, drawn before they come: faster, and the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airreid.channels import models
from airreid.channels.settings import LinkSettings
from airreid.noise import NoiseStream

_SYMBOLS_AHEAD = 1 << 14
_BLOCKS_AHEAD = 64
"""A window holds no more symbols and no more blocks than these."""
_WINDOWS = 2
"""Bandwidths of one link that are drawn ahead at the same time."""


class BlockOutcome(NamedTuple):
    """One block as received, and what it met."""

    received: NDArray[np.float32]
    """(B,)"""
    power: float
    """Mean square of the symbols as sent."""
    report_db: float
    """SNR of the receiver's report, for a block of power 1."""
    gain_power: float
    """|h|^2."""
    signal_energy: float
    """Sum of squares at the antenna: after the gain and erasures, before equalisation."""
    noise_energy: float
    erased: int
    impulses: int


class _Window:
    """Consecutive blocks of one bandwidth; their numbers as lists, which are read faster."""

    def __init__(
        self, settings: LinkSettings, stream: NoiseStream, first: int, count: int, bandwidth: int
    ) -> None:
        self.first, self.count = first, count
        self.radio = radio = models.draw_realisation(settings, stream, first, count, bandwidth)
        self.fades = bool(radio.erased.size) or bool((radio.residual_gain != 1).any())
        self.report_db: list[float] = radio.report_db.tolist()
        self.gain_power: list[float] = np.square(np.abs(radio.gain)).tolist()
        self.noise_energy: list[float] = radio.noise_energy.tolist()
        self.erased: list[int] = radio.erased.sum(axis=1).tolist()
        self.impulses: list[int] = radio.impulses.tolist()

    def faded(self, row: int, symbols: NDArray[np.float32]) -> NDArray[np.float32]:
        rows, radio = slice(row, row + 1), self.radio
        faded = models.fade(symbols[None], radio.residual_gain[rows], radio.erased[rows])
        return faded.reshape(-1)


class PrefetchedLink:
    """Link under some settings. As long as its blocks come in order, more and more of
    them are drawn at once; a block out of order is drawn alone."""

    def __init__(self, settings: LinkSettings, stream: NoiseStream) -> None:
        self.settings = settings
        self.stream = stream
        self._windows: dict[int, _Window] = {}

    def send(self, symbols: NDArray[np.float32], block: int) -> BlockOutcome:
        """Sends one block of symbols (B,), at most ``models.USES_MAX``, through the link."""
        bandwidth = len(symbols)
        window = self._windows.get(bandwidth)
        if window is None or not 0 <= block - window.first < window.count:
            window = self._draw(window, block, bandwidth)
        row = block - window.first
        gain_power = window.gain_power[row]
        sent = energy = float(np.vdot(symbols, symbols))
        if window.fades:
            symbols = window.faded(row, symbols)
            energy = float(np.vdot(symbols, symbols))
        else:
            energy *= gain_power
        return BlockOutcome(
            symbols + window.radio.noise[row],
            sent / bandwidth,
            window.report_db[row],
            gain_power,
            energy,
            window.noise_energy[row],
            window.erased[row],
            window.impulses[row],
        )

    def send_pieces(
        self, symbols: NDArray[np.float32], block: int, first: int, piece: int
    ) -> BlockOutcome:
        """Sends whole pieces of a block, ``piece`` uses each, the first of them number ``first``.

        Each meets its own noise, whatever message it comes in.
        """
        rows = symbols.reshape(-1, piece)
        radio = models.draw_pieces(self.settings, self.stream, block, first, len(rows), piece)
        arrived = models.fade(rows, radio.residual_gain, radio.erased)
        gain_power = float(np.square(np.abs(radio.gain[0])))
        sent = energy = float(np.vdot(symbols, symbols))
        if arrived is rows:
            energy *= gain_power
        else:
            energy = float(np.vdot(arrived, arrived))
        return BlockOutcome(
            (arrived + radio.noise).reshape(-1),
            sent / len(symbols),
            float(radio.report_db[0]),
            gain_power,
            energy,
            float(radio.noise_energy.sum()),
            int(radio.erased.sum()),
            int(radio.impulses.sum()),
        )

    def _draw(self, before: _Window | None, block: int, bandwidth: int) -> _Window:
        size = 1
        if before is not None and 0 <= block - before.first - before.count <= before.count:
            size = max(1, min(2 * before.count, _BLOCKS_AHEAD, _SYMBOLS_AHEAD // bandwidth))
        elif before is None and len(self._windows) >= _WINDOWS:
            self._windows.clear()
        window = _Window(self.settings, self.stream, block, size, bandwidth)
        self._windows[bandwidth] = window
        return window
