"""The project's own channel models; :mod:`airreid.channels.models` says what they do."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airreid.channels import fading, impairments
from airreid.channels.registry import ChannelModel, Mask, register_channel_model
from airreid.noise import NoiseStream

if TYPE_CHECKING:
    from airreid.channels.settings import LinkSettings


@lru_cache(maxsize=512)
def _slow(stream: NoiseStream, doppler: float) -> fading.SlowFading:
    return fading.SlowFading(stream, doppler)


def _rayleigh(settings: LinkSettings, stream: NoiseStream, first: int, count: int) -> fading.Gains:
    if settings.doppler:
        return _slow(stream, settings.doppler).gains(first, count)
    return fading.independent(stream, first, count)


def _rician(settings: LinkSettings, stream: NoiseStream, first: int, count: int) -> fading.Gains:
    return fading.rician(_rayleigh(settings, stream, first, count), settings.k_factor_db)


def _impulses(
    settings: LinkSettings, stream: NoiseStream, first: int, count: int, bandwidth: int
) -> tuple[Mask, NDArray[np.float32]]:
    probability = settings.impulse_probability
    hit = impairments.impulses(stream, first, count, bandwidth, probability)
    return hit, impairments.impulsive_scale(hit, probability, settings.impulse_ratio_db)


def _erasures(
    settings: LinkSettings, stream: NoiseStream, first: int, count: int, bandwidth: int
) -> Mask:
    probability, unit = settings.erasure_probability, settings.erasure_unit
    return impairments.erasures(stream, first, count, bandwidth, probability, unit)


for _model in (
    ChannelModel("awgn", "AWGN: white noise"),
    ChannelModel(
        "rayleigh", "Rayleigh: fading, no line of sight", ("csi", "doppler"), gain=_rayleigh
    ),
    ChannelModel(
        "rician",
        "Rician: fading, line of sight",
        ("csi", "doppler", "k_factor_db"),
        gain=_rician,
    ),
    ChannelModel(
        "impulsive",
        "Impulsive: bursts of noise",
        ("impulse_probability", "impulse_ratio_db"),
        impulses=_impulses,
    ),
    ChannelModel(
        "erasure",
        "Erasure: lost channel uses",
        ("erasure_probability", "erasure_unit"),
        erasures=_erasures,
    ),
):
    register_channel_model(_model)
