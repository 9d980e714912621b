"""A channel in this process: any model, any SNR, the very noise of the wire."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from airreid.api.checks import (
    check_bandwidth,
    check_link_name,
    check_numbers,
    float_rows,
    real_array,
)
from airreid.api.model import Blocks, Floats
from airreid.channels.models import Realisation, apply, rotate
from airreid.channels.outcome import packet_outcome, power_db
from airreid.channels.settings import LinkSettings, changed, link_settings
from airreid.errors import InputError
from airreid.noise import NoiseStream
from airreid.offline import LINK_NAME
from airreid.payload import Ideal, Payload


@dataclass(frozen=True, eq=False)
class Report:
    """A channel's report on N blocks: the SNR that the receiver is told, and the gain.

    Example:
        >>> import airreid, numpy as np
        >>> sent = np.ones((3, 256), np.float32)
        >>> _, report = airreid.channel("rician", snr_db=5, csi=False).transmit(sent)
        >>> report.model, report.snr_db
        ('rician', array([5., 5., 5.]))
        >>> report.gain.shape, report.gain.dtype
        ((3,), dtype('complex128'))
    """

    model: str
    """Channel model: ``awgn``, ``rayleigh``, ..."""
    snr_db: NDArray[np.float64]
    """(N,): SNR per real channel use in dB; after the gain where the receiver knows it."""
    gain: NDArray[np.complex128]
    """(N,): complex gain that a block arrives with; 1 without fading, and where the receiver
    knows the gain and has equalised."""
    first_block: int
    """Number of the first block."""

    def __len__(self) -> int:
        return len(self.snr_db)

    def pull_back(self, gradient: NDArray[np.floating]) -> Floats:
        """Returns the gradient at the sent symbols, float32 (N, B), from that at the received.

        Received is ``gain * sent + noise``, so the gradient is turned by the gain's conjugate;
        where all gains are 1 it passes straight through. Erased uses pass theirs on too.

        Raises:
            airreid.InputError: for a gradient of another number of blocks.

        Example:
            >>> import airreid, numpy as np
            >>> sent = np.ones((2, 4), np.float32)
            >>> _, report = airreid.channel("awgn").transmit(sent)
            >>> report.pull_back(np.full((2, 4), 0.5))[0]
            array([0.5, 0.5, 0.5, 0.5], dtype=float32)
        """
        values = np.ascontiguousarray(real_array(gradient, "gradient"), np.float32)
        if values.ndim != 2 or len(values) != len(self):
            raise InputError(f"gradient of shape {values.shape} for {len(self)} blocks")
        return values if (self.gain == 1).all() else rotate(values, np.conj(self.gain))


class Channel:
    """A simulated radio link; :func:`channel` makes one.

    The noise of a block is a function of (seed, link, block number, bandwidth): the same call
    gives the same noise, on every machine, and over the wire. Give ``first_block`` for fresh
    noise.

    Example:
        >>> import airreid
        >>> radio = airreid.channel("awgn", snr_db=0, seed=1)
        >>> radio
        channel('awgn', snr_db=0.0, seed=1, link='offline')
        >>> radio.changed(snr_db=3).settings.snr_db
        3.0
    """

    def __init__(self, settings: LinkSettings, link: str = LINK_NAME) -> None:
        check_link_name(link)
        self.settings = settings
        """Model, SNR, seed and the model's own settings."""
        self.link = link
        """Name of the link: the edge id of the camera whose noise this is."""

    def __repr__(self) -> str:
        model, *rest = self.settings.described().items()
        words = ", ".join(f"{name}={value!r}" for name, value in rest)
        return f"channel({model[1]!r}, {words}, link={self.link!r})"

    def changed(self, link: str | None = None, **changes: object) -> Channel:
        """A channel with another link name or some settings changed: ``snr_db=3``, ``seed=1``.

        Raises:
            airreid.InputError: naming a setting that cannot be used.

        Example:
            >>> import airreid
            >>> airreid.channel("rayleigh").changed(seed=4, link="cam-7").link
            'cam-7'
        """
        settings = changed(self.settings, changes) if changes else self.settings
        return Channel(settings, self.link if link is None else link)

    @overload
    def transmit(
        self, blocks: Blocks, first_block: int = 0, link: str | None = None, **changes: object
    ) -> tuple[Blocks, Report]: ...
    @overload
    def transmit(
        self,
        blocks: NDArray[np.floating],
        first_block: int = 0,
        link: str | None = None,
        **changes: object,
    ) -> tuple[Floats, Report]: ...

    def transmit(
        self,
        blocks: Blocks | NDArray[np.floating],
        first_block: int = 0,
        link: str | None = None,
        **changes: object,
    ) -> tuple[Blocks | Floats, Report]:
        """Sends blocks over the channel: (received, report).

        Args:
            blocks: What :meth:`Model.encode` returned, or symbols, float (N, B) with mean
                power 1 a row.
            first_block: Number of the first block, 0 to 2^64 - 1; the others follow it.
            link: Name of the link, for this call.
            changes: Settings that hold for this call alone: ``seed=1``, ``snr_db=-3``.

        Returns:
            Received blocks, or symbols float32 (N, B), as they were given; and the report.
            Blocks of the ideal link arrive whole or are marked as lost.

        Raises:
            airreid.InputError: for symbols that are not finite or not (N, B), block numbers
                outside these bounds, and a setting that cannot be used.

        Example:
            >>> import airreid, numpy as np
            >>> radio = airreid.channel("awgn", snr_db=0, seed=1)
            >>> sent = np.ones((4, 256), np.float32)
            >>> received, report = radio.transmit(sent)
            >>> received.shape, received.dtype, report.snr_db
            ((4, 256), dtype('float32'), array([0., 0., 0., 0.]))
            >>> again, _ = radio.transmit(sent[2:], first_block=2)
            >>> bool((again == received[2:]).all())
            True
        """
        if link is not None or changes:
            return self.changed(link, **changes).transmit(blocks, first_block)
        if isinstance(blocks, Blocks) and blocks.link == "ideal":
            return self._packets(blocks, check_numbers(first_block, len(blocks)))
        symbols = checked_symbols(blocks)
        first_block = check_numbers(first_block, len(symbols))
        numbers = np.arange(len(symbols), dtype=np.uint64) + np.uint64(first_block)
        if not len(symbols):
            report = Report(self.settings.model, np.empty(0), np.empty(0, complex), first_block)
            return (blocks if isinstance(blocks, Blocks) else symbols), report
        stream = NoiseStream(self.settings.seed, self.link)
        received, radio = apply(self.settings, symbols, stream, numbers)
        report = self._report(symbols, radio, first_block)
        return (blocks.with_symbols(received) if isinstance(blocks, Blocks) else received), report

    def _report(self, symbols: Floats, radio: Realisation, first_block: int) -> Report:
        power = np.square(symbols, dtype=np.float64).mean(axis=1)
        above = np.array([power_db(value) for value in power.tolist()])
        return Report(
            self.settings.model, radio.report_db + above, radio.residual_gain, first_block
        )

    def _packets(self, blocks: Blocks, first_block: int) -> tuple[Blocks, Report]:
        stream = NoiseStream(self.settings.seed, self.link)
        payloads: list[Payload] = []
        levels: list[float] = []
        for number, packet in enumerate(blocks.payloads, first_block):
            assert isinstance(packet, Ideal)
            outcome = packet_outcome(self.settings, stream, number, len(packet.bits), packet.uses)
            lost = replace(packet, bits=packet.bits[:0], lost=True)
            payloads.append(packet if outcome.arrives else lost)
            levels.append(outcome.report_db)
        report = Report(
            self.settings.model,
            np.asarray(levels, np.float64),
            np.ones(len(levels), np.complex128),
            first_block,
        )
        return replace(blocks, payloads=tuple(payloads)), report


def channel(
    model: str = "awgn",
    snr_db: float | None = None,
    seed: int = 0,
    link: str = LINK_NAME,
    **settings: object,
) -> Channel:
    """Makes a simulated radio link.

    Args:
        model: ``awgn``, ``rayleigh``, ``rician``, ``impulsive``, ``erasure``, or one of your
            own (:mod:`airreid.channels.registry`).
        snr_db: SNR per real channel use in dB, before fading; 10 if left out.
        seed: Seed of the noise, 0 to 2^64 - 1.
        link: Name of the link, an edge id over the wire. Different links have independent
            noise; that of ``airreid evaluate`` is ``offline``.
        settings: What else the model has (docs/channel.md): ``csi``, ``doppler``,
            ``k_factor_db``, ``impulse_probability``, ``impulse_ratio_db``,
            ``erasure_probability``, ``erasure_unit``; or in place of ``snr_db``:
            ``snr_range_db``, ``snr_trace``. Numbers of a model of your own:
            ``parameters={"m": 2}``.

    Raises:
        airreid.InputError: naming a setting that cannot be used.

    Example:
        >>> import airreid
        >>> airreid.channel("rayleigh", snr_db=5, seed=1)
        channel('rayleigh', snr_db=5.0, seed=1, csi=True, doppler=0.0, link='offline')
        >>> airreid.channel("rayleigh", snr_db=500)
        Traceback (most recent call last):
        ...
        airreid.errors.InputError: link snr_db: Input should be less than or equal to 100
    """
    given = settings if snr_db is None else {"snr_db": snr_db, **settings}
    return Channel(link_settings(model=model, seed=seed, **given), link)


def checked_symbols(blocks: Blocks | NDArray[np.floating]) -> Floats:
    """Returns symbols as float32 (N, B). Raises :class:`InputError` for what is none."""
    symbols = float_rows(blocks.symbols if isinstance(blocks, Blocks) else blocks, "symbols")
    check_bandwidth(symbols.shape[1])
    return symbols
