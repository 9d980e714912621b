"""The radio inside training: the models of ``airreid.channels.models``, differentiable in torch.

Real blocks x (N, B) of mean power 1 per use; uses 2i and 2i + 1 are I and Q of one complex
use, and a block has one complex gain h, E|h|^2 = 1, for all of them. Of an odd bandwidth
the last use is I of a use whose Q is not sent; the receiver keeps the real part. Noise z
is N(0, 1) per real use, and SNR in dB stands for sigma^2 = 10^(-SNR/10):

- **awgn**: ``y = x + sigma z``.
- **rayleigh**, **rician** without channel knowledge: ``y = h x + sigma z``; with it (csi)
  ``y = x + sigma z / h``. A gain so small that |h|^2 SNR is below ``SNR_DB_MIN`` counts
  as the gain that gives ``SNR_DB_MIN``, when it is divided by.
- **impulsive**: Bernoulli-Gaussian noise whose mean power is what the SNR says.
- **erasure**: an erased use carries noise alone; the others are AWGN at the SNR.

What is drawn (:class:`Draws`) is apart from what is done with it (:meth:`Channel.apply_draws`),
so that the tests can hold both against the simulator. Gains of different blocks are
independent: a batch has no order in time, hence no Doppler. Noise, gains and erasures do
not depend on x, so gradients with respect to x are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from airreid.channels.registry import channel_model
from airreid.errors import InputError
from airreid.registry import Registry
from airreid.signal import POWER, SNR_DB_MAX, SNR_DB_MIN
from airreid.validation import validated

_TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True)
class Draws:
    """Conditions that N blocks of B real uses meet, whatever is sent in them."""

    snr_db: Tensor
    """float64 (N,): before fading. What a receiver without csi is told."""
    noise: Tensor
    """(N, B), in the dtype of the symbols: of variance 1, at the antenna."""
    gain: Tensor | None = None
    """complex128 (N,); None without fading."""
    hit: Tensor | None = None
    """bool (N, B): uses that an impulse hit; None for another model."""
    erased: Tensor | None = None
    """bool (N, B): uses that are erased; None for another model."""


TorchDraw = Callable[["Channel", tuple[int, int], torch.Generator], dict[str, Tensor]]
"""(channel, (N, B), generator) -> the fields of :class:`Draws` that a model adds, made on the
generator's device."""
_DRAWS: Registry[TorchDraw] = Registry("channel model in torch")


def register_torch_model(name: str, draw: TorchDraw) -> None:
    """Adds the torch twin of a channel model of that name.

    What it draws must be distributed as the model's own draws are. Raises
    :class:`ValueError` for a name that is taken.
    """
    _DRAWS.register(name, draw)


class Channel(nn.Module):
    """One model with its settings; ``forward(x, generator)`` gives received and SNR."""

    def __init__(
        self,
        model: str = "awgn",
        snr_db: float | tuple[float, float] = 10.0,
        *,
        csi: bool = True,
        k_factor_db: float = 6.0,
        impulse_probability: float = 0.01,
        impulse_ratio_db: float = 20.0,
        erasure_probability: float = 0.1,
        erasure_unit: Literal["complex", "real"] = "complex",
        parameters: Mapping[str, float] | None = None,
    ) -> None:
        """``snr_db``: of all blocks, or the bounds that each block's is drawn between,
        uniform in dB. Settings of other models than ``model`` are not looked at; meaning
        and bounds are those of ``airreid.channels.settings.LinkSettings``. ``parameters``:
        those of a model that an extension brings.

        Raises :class:`InputError` for a value out of bounds.
        """
        super().__init__()
        low, high = snr_db if isinstance(snr_db, tuple) else (snr_db, snr_db)
        self.model_parameters = validated(channel_model(model).parameters, parameters or {})
        _DRAWS.get(model)
        if erasure_unit not in ("complex", "real"):
            raise InputError(f"erasure_unit: {erasure_unit!r} is neither complex nor real")
        _check("snr_db", low, SNR_DB_MIN, SNR_DB_MAX)
        _check("snr_db", high, low, SNR_DB_MAX)
        _check("k_factor_db", k_factor_db, -40, 40)
        _check("impulse_probability", impulse_probability, 0, 1)
        _check("impulse_ratio_db", impulse_ratio_db, 0, 40)
        _check("erasure_probability", erasure_probability, 0, 1)
        self.model = model
        self.snr_db = (float(low), float(high))
        self.csi = csi
        self.k_factor_db = k_factor_db
        self.impulse_probability = impulse_probability
        self.impulse_ratio_db = impulse_ratio_db
        self.erasure_probability = erasure_probability
        self.erasure_unit = erasure_unit

    def forward(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Symbols (N, B) -> received (N, B) in their dtype, effective SNR in dB (N,) float64.

        The same generator state gives the same noise for every model and SNR. See
        :meth:`apply_draws` for the SNR. Raises ``ValueError`` if x is not floating point
        of shape (N, B).
        """
        return self.apply_draws(x, self.draw(x, generator))

    def draw(self, like: Tensor, generator: torch.Generator) -> Draws:
        """Conditions for blocks of the shape, dtype and device of ``like`` (N, B).

        Random numbers are made on the generator's device. Raises ``ValueError`` as
        :meth:`forward` does.
        """
        if like.ndim != 2 or not like.is_floating_point():
            raise ValueError(f"symbols of shape {tuple(like.shape)} and {like.dtype}")
        count, bandwidth = like.shape
        low, high = self.snr_db
        uniform = _rand((count,), generator)
        snr_db = (low + (high - low) * uniform).to(like.device)
        noise = torch.randn(
            like.shape, generator=generator, dtype=like.dtype, device=generator.device
        ).to(like.device)
        drawn = _DRAWS.get(self.model)(self, (count, bandwidth), generator)
        return Draws(
            snr_db, noise, **{name: value.to(like.device) for name, value in drawn.items()}
        )

    def apply_draws(self, x: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Symbols (N, B) that meet ``draws`` -> received (N, B), effective SNR in dB (N,).

        The effective SNR is ``|h|^2 SNR``, at least ``SNR_DB_MIN``; without fading the SNR.
        Of an erasure link it is that of the uses that are not erased. A receiver with csi
        is told it; one without is told ``draws.snr_db``.
        """
        sigma = (POWER * 10.0 ** (-draws.snr_db / 10.0)).sqrt().to(x.dtype)
        noise = sigma[:, None] * draws.noise
        if draws.gain is not None:
            return self._faded(x, noise, draws.snr_db, draws.gain)
        if draws.hit is not None:
            noise = noise * self._impulse_scale(draws.hit).to(x.dtype)
        if draws.erased is not None:
            x = torch.where(draws.erased, torch.zeros_like(x), x)
        return x + noise, draws.snr_db

    def _faded(
        self, x: Tensor, noise: Tensor, snr_db: Tensor, gain: Tensor
    ) -> tuple[Tensor, Tensor]:
        size = gain.abs()
        power = size.square().clamp_min(_TINY)
        effective = (snr_db + 10.0 * power.log10()).clamp_min(SNR_DB_MIN)
        if not self.csi:
            return rotate(x, gain) + noise, effective
        amplitude = 10.0 ** ((effective - snr_db) / 20.0)
        turned = rotate(noise, gain.conj() / size.clamp_min(_TINY) / amplitude)
        if x.shape[1] % 2:
            # The real part of circular noise is distributed like the noise unturned.
            last = noise[:, -1:] / amplitude[:, None].to(x.dtype)
            turned = torch.cat([turned[:, :-1], last], dim=1)
        return x + turned, effective

    def _impulse_scale(self, hit: Tensor) -> Tensor:
        """float64, like ``hit``: the square roots of R s where hit and of s where not, with
        ``(1 - p) s + p R s = 1``; R the ratio of the noise powers, p the probability."""
        ratio, p = 10.0 ** (self.impulse_ratio_db / 10.0), self.impulse_probability
        quiet = 1.0 / (1.0 - p + p * ratio)
        return torch.where(hit, (quiet * ratio) ** 0.5, quiet**0.5)

    def extra_repr(self) -> str:
        low, high = self.snr_db
        snr = f"{low:g} dB" if low == high else f"{low:g} to {high:g} dB"
        return f"{self.model}, {snr}"


def rotate(values: Tensor, factor: Tensor) -> Tensor:
    """Multiplies real uses (N, B), in pairs as complex ones, by ``factor`` (N,), complex.

    The last use of an odd bandwidth counts as ``v + 0j``, and of the product the real part.
    """
    re = factor.real.to(values.dtype)[:, None]
    im = factor.imag.to(values.dtype)[:, None]
    padded = nn.functional.pad(values, (0, values.shape[1] % 2))
    i, q = padded[:, 0::2], padded[:, 1::2]
    product = torch.stack([re * i - im * q, re * q + im * i], dim=2).flatten(1)
    return product[:, : values.shape[1]]


def _rayleigh(
    channel: Channel, shape: tuple[int, int], generator: torch.Generator
) -> dict[str, Tensor]:
    """Gains ``h = (a + jb) / sqrt 2``, a and b N(0, 1), as in ``airreid.channels.fading``."""
    parts = torch.randn(
        (shape[0], 2), generator=generator, dtype=torch.float64, device=generator.device
    )
    return {"gain": torch.complex(parts[:, 0], parts[:, 1]) * 0.5**0.5}


def _rician(
    channel: Channel, shape: tuple[int, int], generator: torch.Generator
) -> dict[str, Tensor]:
    """Gains ``sqrt(K/(K+1)) + sqrt(1/(K+1)) h`` of Rayleigh gains h."""
    k = 10.0 ** (channel.k_factor_db / 10.0)
    scattered = _rayleigh(channel, shape, generator)["gain"]
    return {"gain": (k / (k + 1.0)) ** 0.5 + (1.0 / (k + 1.0)) ** 0.5 * scattered}


def _impulsive(
    channel: Channel, shape: tuple[int, int], generator: torch.Generator
) -> dict[str, Tensor]:
    return {"hit": _events(shape, channel.impulse_probability, 2, generator)}


def _erasure(
    channel: Channel, shape: tuple[int, int], generator: torch.Generator
) -> dict[str, Tensor]:
    unit = 2 if channel.erasure_unit == "complex" else 1
    return {"erased": _events(shape, channel.erasure_probability, unit, generator)}


register_torch_model("awgn", lambda channel, shape, generator: {})
register_torch_model("rayleigh", _rayleigh)
register_torch_model("rician", _rician)
register_torch_model("impulsive", _impulsive)
register_torch_model("erasure", _erasure)


def _rand(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draws uniformly in [0, 1), float64, on the generator's device."""
    return torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device)


def _events(
    shape: tuple[int, int], probability: float, together: int, generator: torch.Generator
) -> Tensor:
    """bool (N, B): each run of ``together`` uses True at once, with ``probability``."""
    count, bandwidth = shape
    happens = _rand((count, -(-bandwidth // together)), generator) < probability
    return happens.repeat_interleave(together, dim=1)[:, :bandwidth]


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also for NaN
        raise InputError(f"{name}: {value:g} is not between {low:g} and {high:g}")
