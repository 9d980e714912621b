"""The options of ``airreid channel`` that make a link's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from airreid.channels.settings import SNR_FIELDS
from airreid.channels.traces import read_trace
from airreid.errors import InputError

Model = Annotated[str | None, typer.Option(help="awgn, rayleigh, rician, impulsive or erasure.")]
Snr = Annotated[float | None, typer.Option(help="SNR per real channel use, in dB.")]
SnrRange = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LOW HIGH", help="SNR of each block at random between two, in dB."),
]
TraceFile = Annotated[
    Path | None, typer.Option(help="SNR of each block from a CSV file: snr_db or block,snr_db.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of the noise.")]
Csi = Annotated[
    bool | None,
    typer.Option(
        "--csi/--no-csi",
        help="Fading: the receiver knows each block's gain, or is told the average SNR alone.",
    ),
]
Doppler = Annotated[
    float | None,
    typer.Option(help="Fading: Doppler frequency times time between blocks; 0: independent."),
]
KFactor = Annotated[float | None, typer.Option(help="rician: K in dB.")]
ImpulseProbability = Annotated[
    float | None, typer.Option(help="impulsive: that an impulse hits a complex use.")
]
ImpulseRatio = Annotated[
    float | None, typer.Option(help="impulsive: noise of a hit use over that of others, in dB.")
]
ErasureProbability = Annotated[
    float | None, typer.Option(help="erasure: that a channel use is erased.")
]
ErasureUnit = Annotated[
    str | None, typer.Option(help="erasure: complex (I and Q together) or real.")
]


def given(trace: Path | None, **fields: object) -> dict[str, object]:
    """The fields that were given on the command line, a trace read.

    Raises :class:`InputError` for a file that is no trace, and for more than one SNR.
    """
    found = {name: value for name, value in fields.items() if value is not None}
    if trace is not None:
        found["snr_trace"] = read_trace(trace)
    if len([name for name in SNR_FIELDS if name in found]) > 1:
        raise InputError("give one of --snr, --snr-range and --trace")
    return found
