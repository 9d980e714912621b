"""Cells of the polar link: messages of the digital schemes that held-out people choose."""

from __future__ import annotations

from typing import Any

from airreid.evaluation.study.cells import Cell, StudyCurve
from airreid.evaluation.study.rates import best_rate
from training.study.digital_cells import coded_curve, fits
from training.study.settings import StudySettings

EVERY_SNR = 256
"""Bandwidth at which one rate is measured at every SNR: that of the paper's Figure 4b."""


def coded_cell(
    digital: dict[str, Cell], bandwidth: int, settings: StudySettings
) -> tuple[list[StudyCurve], dict[str, Any]]:
    """Chooses a scheme for each SNR on held-out people, and measures it there.

    At the bandwidth :data:`EVERY_SNR` the scheme for 0 dB is measured at all SNRs. The facts say
    which scheme was chosen for which SNR, and each one's bits and losses.
    """
    usable = {name: cell.latents for name, cell in digital.items() if fits(cell.latents, bandwidth)}
    if not usable:
        return [], {"chosen": {}, "why": "no scheme's messages fit this bandwidth"}
    chosen = {
        f"{snr_db:g}": best_rate(usable, bandwidth, snr_db, "coded") for snr_db in settings.snrs_db
    }
    curves, schemes = [], {}
    for name in sorted(set(chosen.values())):
        everywhere = bandwidth == EVERY_SNR and name == chosen.get("0")
        snrs_db = tuple(
            snr_db for snr_db in settings.snrs_db if everywhere or chosen[f"{snr_db:g}"] == name
        )
        curve, schemes[name] = coded_curve(
            name, usable[name], bandwidth, snrs_db, settings.noise_seeds
        )
        curves.append(curve)
    return curves, {"chosen": chosen, "schemes": schemes}
