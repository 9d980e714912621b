"""Links by edge id: the settings that a block meets, and its request as they leave it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from airreid.channels.models import USES_MAX
from airreid.channels.outcome import packet_outcome, power_db
from airreid.channels.settings import NAME_MAX, LinkSettings, changed
from airreid.errors import InputError
from airreid.noise import PIECES_MAX, NoiseStream
from airreid.payload import Symbols, link_of, symbols_of
from airreid.v1 import uplink_pb2
from channel_sim.prefetch import PrefetchedLink
from channel_sim.stats import LinkStats, Stats

_WIRE = np.dtype("<f4")
OWN_MAX = 1024
"""Links that may have settings of their own."""
TRACE_ROWS_MAX = 4_000_000
"""Rows of all links' traces together, 16 bytes each; a trace that links share counts once."""
_PREFETCHED_MAX = 256
"""Links whose next blocks are drawn ahead: the last that sent, each at most some 100 KB."""


class Links:
    """The default settings and those of single links, by edge id."""

    def __init__(self, default: LinkSettings) -> None:
        self._started_with = default
        self.default = default
        self.own: dict[str, LinkSettings] = {}
        self.stats = Stats()
        self._prefetched: OrderedDict[str, PrefetchedLink] = OrderedDict()

    def set(self, link: str, settings: LinkSettings) -> None:
        """Sets a link; the default for an empty name.

        Raises :class:`InputError` for a name that no edge can have, when ``OWN_MAX`` links have
        settings, and when their traces have more than ``TRACE_ROWS_MAX`` rows.
        """
        self._check_traces(link, settings)
        if not link:
            self.default = settings
            self._forget_traces()
            return
        if len(link) > NAME_MAX:
            raise InputError(f"link: a name has at most {NAME_MAX} characters")
        if link not in self.own and len(self.own) >= OWN_MAX:
            raise InputError(
                f"link {link}: {OWN_MAX} links have settings of their own; reset some first"
            )
        self.own[link] = settings
        self._forget_traces()

    def _check_traces(self, link: str, settings: LinkSettings) -> None:
        """Raises :class:`InputError` when all traces have too many rows with these settings."""
        if settings.snr_trace is None:
            return
        others = [each.snr_trace for name, each in self.own.items() if name != link]
        default = self.default.snr_trace if link else None
        traces = [trace for trace in (*others, default, settings.snr_trace) if trace is not None]
        rows = sum(len(trace.blocks) for trace in {id(trace): trace for trace in traces}.values())
        if rows > TRACE_ROWS_MAX:
            raise InputError(
                f"link {link or 'default'}: the traces of all links would have {rows} rows, more "
                f"than {TRACE_ROWS_MAX}; give a shorter one, or reset other links first"
            )

    def _forget_traces(self) -> None:
        """Forgets blocks drawn ahead under traces that no link has any more."""
        for name, drawn in list(self._prefetched.items()):
            if drawn.settings.snr_trace is not None and drawn.settings is not self.settings(name):
                del self._prefetched[name]

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
        self._forget_traces()
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
        if link_of(request) == "ideal":
            report.snr_db = _carry(request, self._link(link, settings), stats)
            return
        block = symbols_of(request)
        length = 0 if block is None else len(block.symbols)
        if block is None or not length or length % 4 or length > 4 * USES_MAX:
            report.snr_db = settings.snr_db
            stats.count_untouched()
            return
        symbols = np.frombuffer(block.symbols, _WIRE).astype(np.float32, copy=False)
        if not block.piece_uses:
            outcome = self._link(link, settings).send(symbols, request.id.sequence)
        elif _whole_pieces(len(symbols), block):
            outcome = self._link(link, settings).send_pieces(
                symbols, request.id.sequence, block.first_piece, block.piece_uses
            )
        else:
            report.snr_db = settings.snr_db
            stats.count_untouched()
            return
        snr_db = outcome.report_db + power_db(outcome.power)
        report.snr_db = snr_db
        block.symbols = outcome.received.astype(_WIRE, copy=False).tobytes()
        stats.count_symbols(length // 4, outcome, snr_db)

    def _link(self, link: str, settings: LinkSettings) -> PrefetchedLink:
        if len(link) > NAME_MAX:
            return PrefetchedLink(settings, NoiseStream(settings.seed, link))
        prefetched = self._prefetched.get(link)
        if prefetched is None or prefetched.settings is not settings:
            if prefetched is not None and prefetched.settings.seed == settings.seed:
                stream = prefetched.stream
            else:
                stream = NoiseStream(settings.seed, link)
            prefetched = self._prefetched[link] = PrefetchedLink(settings, stream)
            if len(self._prefetched) > _PREFETCHED_MAX:
                self._prefetched.popitem(last=False)
        self._prefetched.move_to_end(link)
        return prefetched


def _whole_pieces(uses: int, block: Symbols) -> bool:
    """Says whether a block that claims to be in pieces is, with numbers that pieces can have."""
    pieces, rest = divmod(uses, block.piece_uses)
    return not rest and block.first_piece + pieces <= PIECES_MAX


def _carry(request: uplink_pb2.QueryRequest, link: PrefetchedLink, stats: LinkStats) -> float:
    """Takes the bits of an ideal packet away unless a capacity-achieving code carries them.

    Bits that are there count, whatever number the packet gives. Returns the report's SNR.
    """
    packet = request.ideal
    bits = max(packet.bit_count, 8 * (len(packet.bits) - 1) + 1 if packet.bits else 0)
    outcome = packet_outcome(link.settings, link.stream, request.id.sequence, bits, packet.uses)
    if not outcome.arrives:
        packet.bits = b""
        packet.lost = True
    stats.count_packet(outcome.gain_power, packet.lost, outcome.report_db)
    return outcome.report_db
