"""Sums over what was really done to the blocks of each link, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from airreid.channels.models import Realisation, fade
from airreid.channels.settings import NAME_MAX
from channel_sim.prefetch import BlockOutcome

LINKS_MAX = 256
"""Links that are counted by name; blocks of any further link, and of one whose name is longer
than ``NAME_MAX``, go to ``OTHERS``."""
OTHERS = "(others)"


@dataclass
class LinkStats:
    """Sums over the blocks of one link."""

    blocks: int = 0
    packets: int = 0
    """Ideal packets among the blocks ..."""
    lost: int = 0
    """... and those of them that were lost."""
    unusable: int = 0
    """Blocks passed on as they came, or with values that are not finite."""
    uses: int = 0
    signal_energy: float = 0.0
    noise_energy: float = 0.0
    faded: int = 0
    """Blocks in ``gain_power``: all but those passed on as they came."""
    gain_power: float = 0.0
    last_snr_db: float = 0.0
    erased: int = 0
    impulses: int = 0

    @property
    def measured_snr_db(self) -> float | None:
        """Returns signal over noise energy in dB at the antenna; None before the first symbols."""
        if self.signal_energy <= 0 or self.noise_energy <= 0:
            return None
        return 10 * math.log10(self.signal_energy / self.noise_energy)

    @property
    def mean_gain(self) -> float:
        """Returns the mean of |h|^2; 0 without blocks."""
        return self.gain_power / self.faded if self.faded else 0.0

    def count_symbols(self, uses: int, outcome: BlockOutcome, report_db: float) -> None:
        """Counts a block of ``uses`` real uses; its energies count if they are finite."""
        self.blocks += 1
        self.faded += 1
        self.gain_power += outcome.gain_power
        self.last_snr_db = report_db
        if not math.isfinite(outcome.signal_energy):
            self.unusable += 1
            return
        self.uses += uses
        self.signal_energy += outcome.signal_energy
        self.noise_energy += outcome.noise_energy
        self.erased += outcome.erased
        self.impulses += outcome.impulses

    def count_realisation(
        self, symbols: NDArray[np.float32], radio: Realisation, report_db: float
    ) -> None:
        """Counts blocks of finite symbols (n, B), as sent, that met ``radio``.

        ``report_db``: SNR of the last one's report.
        """
        gain_power = np.square(np.abs(radio.gain))
        faded = fade(symbols, radio.residual_gain, radio.erased)
        energy = np.square(faded, dtype=np.float64).sum(axis=1)
        energy *= np.where(radio.residual_gain == 1, gain_power, 1.0)  # at the antenna
        self.blocks += len(symbols)
        self.faded += len(symbols)
        self.gain_power += float(gain_power.sum())
        self.last_snr_db = report_db
        self.uses += symbols.size
        self.signal_energy += float(energy.sum())
        self.noise_energy += float(radio.noise_energy.sum())
        self.erased += int(radio.erased.sum())
        self.impulses += int(radio.impulses.sum())

    def add(self, other: LinkStats) -> None:
        """Adds the sums of blocks that came after these."""
        for field in fields(self):
            if field.name != "last_snr_db":
                total = getattr(self, field.name) + getattr(other, field.name)
                setattr(self, field.name, total)
        self.last_snr_db = other.last_snr_db

    def count_packet(self, gain_power: float, lost: bool, report_db: float) -> None:
        """Counts an ideal packet."""
        self.blocks += 1
        self.packets += 1
        self.faded += 1
        self.gain_power += gain_power
        self.lost += lost
        self.last_snr_db = report_db

    def count_untouched(self) -> None:
        """Counts a block that was passed on as it came."""
        self.blocks += 1
        self.unusable += 1


class Stats:
    """Sums of all links, by edge id."""

    def __init__(self) -> None:
        self._links: dict[str, LinkStats] = {}
        self.upstream_errors = 0
        self.streams = 0

    def of(self, link: str) -> LinkStats:
        """Returns the sums that a link's blocks go into."""
        sums = self._links.get(link)
        if sums is None:
            full = len(self._links) >= LINKS_MAX or len(link) > NAME_MAX
            sums = self._links.setdefault(OTHERS if full else link, LinkStats())
        return sums

    def items(self) -> list[tuple[str, LinkStats]]:
        """Returns names and sums in order of their first block; ``OTHERS`` last."""
        rows = list(self._links.items())
        return sorted(rows, key=lambda row: row[0] == OTHERS)
