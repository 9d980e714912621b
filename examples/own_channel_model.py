"""A fading model of one's own, Nakagami-m: registered, then used by its name.

An installed package does the same under the entry point ``airreid.extensions``, and ``airreid
channel serve --model nakagami --parameter m=2`` knows it too (docs/extending.md).
"""

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.special import gammaincinv

import airreid
from airreid.channels.registry import ChannelModel, register_channel_model
from airreid.channels.settings import LinkSettings
from airreid.noise import NoiseStream, Purpose
from airreid.validation import FiniteModel


class Nakagami(FiniteModel):
    """Shape m of the fading: 1 is Rayleigh, more is milder."""

    m: Annotated[float, Field(ge=0.5, le=100)] = 1.0


def gains(settings: LinkSettings, stream: NoiseStream, first: int, count: int) -> np.ndarray:
    """Gains h of blocks first, first + 1, ...: |h|^2 ~ Gamma(m, 1/m), E|h|^2 = 1."""
    words = stream.words(Purpose.GAIN, first, count, 2) >> np.uint64(11)
    uniform = (words.astype(np.float64) + 0.5) * 2.0**-53  # of (seed, link, block) alone
    m = settings.model_parameters.m
    return np.sqrt(gammaincinv(m, uniform[:, 0]) / m) * np.exp(2j * np.pi * uniform[:, 1])


label = "Nakagami: fading of any depth"
register_channel_model(ChannelModel("nakagami", label, ("csi",), Nakagami, gain=gains))
people, queries = airreid.synthetic_people(20)
gallery = airreid.Gallery(airreid.Model(scheme_id="jscc-ae-256"))
gallery.add(*people)
features = gallery.model.features(queries.images)
for m in (0.5, 1, 2, 10):
    radio = airreid.channel("nakagami", snr_db=-6, parameters={"m": m})
    result = airreid.evaluate(gallery, features, queries.subjects, queries.cameras, radio)
    print(f"m = {m:4g}: rank-1 {result.top1.value:.3f} ± {result.top1.half_width:.3f}")
