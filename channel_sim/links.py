"""Links by edge id: whose settings a block meets, and what that does to its request."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from airreid.digital.bounds import ideal_arrives
from airreid.errors import InputError
from airreid.noise import NoiseStream
from airreid.signal import POWER
from airreid.v1 import uplink_pb2
from channel_sim.models import USES_MAX, conditions, erasures
from channel_sim.prefetch import Ahead
from channel_sim.settings import LinkSettings, changed
from channel_sim.stats import NAME_MAX, LinkStats, Stats

POWER_TOLERANCE = 1e-3
_WIRE = np.dtype("<f4")
OWN_MAX = 1024
"""Links that may have settings of their own."""
_DRAWN_AHEAD = 256
"""Links whose next blocks are drawn ahead: the last that sent, each at most some 100 KB."""


class Links:
    """The default settings and those of single links, by edge id."""

    def __init__(self, default: LinkSettings) -> None:
        self._started_with = default
        self.default = default
        self.own: dict[str, LinkSettings] = {}
        self.stats = Stats()
        self._ahead: OrderedDict[str, Ahead] = OrderedDict()

    def set(self, link: str, settings: LinkSettings) -> None:
        """Settings of a link; of the default for an empty name.

        Raises :class:`InputError` for a name that no edge can have, and when ``OWN_MAX``
        links have settings.
        """
        if not link:
            self.default = settings
            return
        if len(link) > NAME_MAX:
            raise InputError(f"link: a name has at most {NAME_MAX} characters")
        if link not in self.own and len(self.own) >= OWN_MAX:
            raise InputError(
                f"link {link}: {OWN_MAX} links have settings of their own; reset some first"
            )
        self.own[link] = settings

    def change(self, link: str, changes: Mapping[str, object]) -> LinkSettings:
        """Changes some fields; returns all. Raises :class:`InputError`."""
        settings = changed(self.settings(link), changes)
        self.set(link, settings)
        return settings

    def reset(self, link: str) -> LinkSettings:
        """Takes a link's own settings away; returns those that it follows now. The default
        (an empty name) goes back to what it was at first."""
        if link:
            self.own.pop(link, None)
        else:
            self.default = self._started_with
        return self.settings(link)

    def settings(self, link: str) -> LinkSettings:
        return self.own.get(link, self.default)

    def transmit(self, request: uplink_pb2.QueryRequest) -> None:
        """Sends the request's block through its link, in place, and stamps the report.

        The noise is that of a block of power 1. The report says the SNR that the block
        really had: an edge that does not keep the power constraint does not hide it.
        An ideal packet arrives whole or is lost, as capacity says. A payload that is not
        an array of float32, or longer than any block, is passed on untouched: the
        receiver answers it with what is wrong. Values that are not finite stay so. A
        block of zeros has no SNR; the report says that of a block of power 1. A message
        that only says which blocks are settled meets no radio.
        """
        if request.settled_only:
            return
        link = request.id.edge_id
        settings, stats = self.settings(link), self.stats.of(link)
        report = request.channel
        report.model = settings.model
        kind = request.WhichOneof("payload")
        if kind == "ideal":
            report.snr_db = _carry(request, self._link(link, settings), stats)
            return
        block = request.coded if kind == "coded" else request.analog
        length = len(block.symbols) if kind else 0
        if not length or length % 4 or length > 4 * USES_MAX:
            report.snr_db = settings.snr_db
            stats.count_untouched()
            return
        symbols = np.frombuffer(block.symbols, _WIRE).astype(np.float32, copy=False)
        met = self._link(link, settings).send(symbols, request.id.sequence)
        snr_db = met.report_db + power_db(met.power)
        report.snr_db = snr_db
        block.symbols = met.received.astype(_WIRE, copy=False).tobytes()
        stats.count_symbols(length // 4, met, snr_db)

    def _link(self, link: str, settings: LinkSettings) -> Ahead:
        if len(link) > NAME_MAX:
            return Ahead(settings, NoiseStream(settings.seed, link))
        found = self._ahead.get(link)
        if found is None or found.settings is not settings:
            same_seed = found is not None and found.settings.seed == settings.seed
            stream = found.stream if found and same_seed else NoiseStream(settings.seed, link)
            found = self._ahead[link] = Ahead(settings, stream)
            if len(self._ahead) > _DRAWN_AHEAD:
                self._ahead.popitem(last=False)
        self._ahead.move_to_end(link)
        return found


def power_db(power: float) -> float:
    """Decibels that a block of mean power ``power`` adds to its SNR: 0 for power 1, within
    ``POWER_TOLERANCE``, and for a block without energy or without finite values."""
    if abs(power - POWER) > POWER_TOLERANCE and 0 < power < math.inf:
        return 10 * math.log10(power / POWER)
    return 0.0


def _carry(request: uplink_pb2.QueryRequest, link: Ahead, stats: LinkStats) -> float:
    """The ideal link: takes the bits away unless a capacity-achieving code carries them.

    Bits that are there count, whatever number the packet gives. Returns the report's SNR.
    """
    packet, block = request.ideal, request.id.sequence
    met = conditions(link.settings, link.stream, block, 1)
    usable = packet.uses
    if link.settings.model == "erasure" and 0 < usable <= USES_MAX:
        usable -= int(erasures(link.settings, link.stream, block, 1, usable).sum())
    bits = max(packet.bit_count, 8 * (len(packet.bits) - 1) + 1 if packet.bits else 0)
    if not ideal_arrives(bits, usable, float(met.effective_db[0])):
        packet.bits = b""
        packet.lost = True
    report_db = float(met.report_db[0])
    stats.count_packet(abs(complex(met.gain[0])) ** 2, packet.lost, report_db)
    return report_db
