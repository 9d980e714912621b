"""Payloads of one query on the air: symbols, or bits that claim channel uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from airreid import wire
from airreid.errors import InputError
from airreid.noise import PIECES_MAX
from airreid.v1 import uplink_pb2

Link = Literal["analog", "ideal", "coded"]
LINKS: tuple[Link, ...] = ("analog", "ideal", "coded")
BLOCK_BANDWIDTHS = 4
"""Bandwidths that the pieces of a coded block take at most, before they come again."""
_BITS_MAX = 1 << 16


@dataclass(frozen=True)
class Analog:
    """Float32 symbols (B,) of a JSCC scheme, or whole pieces of a block of a nested one."""

    symbols: NDArray[np.float32]
    link: Link = "analog"
    piece: int = 0
    """Real channel uses of a piece; 0: the block is not in pieces."""
    first_piece: int = 0
    """Number of the first piece in ``symbols``, counted on where pieces come again."""


@dataclass(frozen=True)
class Ideal:
    """Bits (k,) that a capacity-achieving code carries in ``uses`` real uses, or not."""

    bits: NDArray[np.uint8]
    uses: int
    lost: bool = False
    link: Link = "ideal"


@dataclass(frozen=True)
class Coded:
    """Float32 PAM symbols (B,) of a block of the scheme's payload size number ``size``, or whole
    pieces of one."""

    symbols: NDArray[np.float32]
    size: int
    link: Link = "coded"
    piece: int = 0
    """Real channel uses of a piece; 0: the block is not in pieces."""
    first_piece: int = 0
    """Number of the first piece in ``symbols``, counted on where pieces come again."""


@dataclass(eq=False)
class HeardCoded:
    """Pieces of one coded block as they are heard, and what they say of the codeword together."""

    size: int
    """Number of the payload size."""
    piece: int
    """Real channel uses of a piece."""
    link: Link = "coded"
    next_piece: int = 0
    """Number of the piece that must come next."""
    fresh: list[tuple[NDArray[np.float32], float]] = field(default_factory=list)
    """Symbols of whole pieces, and their SNR in dB, that ``llrs`` lacks."""
    llrs: NDArray[np.float64] | None = None
    """ln P(0) / P(1) of every bit of the codeword, (N,); None where nothing was decoded yet."""

    @property
    def uses(self) -> int:
        """Real channel uses heard, repeated ones included."""
        return self.next_piece * self.piece

    @property
    def nbytes(self) -> int:
        """Bytes of the symbols and log-likelihood ratios."""
        held = 0 if self.llrs is None else self.llrs.nbytes
        return held + sum(symbols.nbytes for symbols, _ in self.fresh)

    def add(self, payload: Coded, snr_db: float) -> None:
        """Adds whole pieces as received at an SNR.

        Raises :class:`InputError` for pieces of another block, and for any but the next ones.
        """
        if (payload.piece, payload.size) != (self.piece, self.size):
            raise InputError(
                f"pieces of {payload.piece} uses of payload size {payload.size}; those before had "
                f"{self.piece} and {self.size}"
            )
        if payload.first_piece != self.next_piece:
            raise InputError(f"piece {payload.first_piece} came where {self.next_piece} is due")
        self.fresh.append((payload.symbols, snr_db))
        self.next_piece += len(payload.symbols) // self.piece


Payload = Analog | Ideal | Coded
Heard = Payload | HeardCoded
"""A payload as a receiver has it."""


def put(payload: Payload, request: uplink_pb2.QueryRequest) -> None:
    """Writes a payload into a request."""
    match payload:
        case Analog():
            request.analog.symbols = wire.to_bytes(payload.symbols)
            request.analog.piece_uses = payload.piece
            request.analog.first_piece = payload.first_piece
        case Coded():
            request.coded.symbols = wire.to_bytes(payload.symbols)
            request.coded.size_index = payload.size
            request.coded.piece_uses = payload.piece
            request.coded.first_piece = payload.first_piece
        case Ideal():
            request.ideal.bits = np.packbits(payload.bits).tobytes()
            request.ideal.bit_count = len(payload.bits)
            request.ideal.uses = payload.uses
            request.ideal.lost = payload.lost


def link_of(request: uplink_pb2.QueryRequest) -> Link | None:
    """Returns the link that a request's payload is for; None without a payload."""
    return request.WhichOneof("payload")


Symbols = uplink_pb2.AnalogBlock | uplink_pb2.CodedBlock
"""Block of symbols in a request."""


def symbols_of(request: uplink_pb2.QueryRequest) -> Symbols | None:
    """Returns the block of symbols in a request, not a copy of it; None without one."""
    match link_of(request):
        case "analog":
            return request.analog
        case "coded":
            return request.coded
    return None


def first_piece_of(request: uplink_pb2.QueryRequest) -> int:
    """Returns the number of the first piece in a request; 0 also where there are none."""
    block = symbols_of(request)
    return 0 if block is None else block.first_piece


def get(request: uplink_pb2.QueryRequest, bandwidth: int) -> Payload:
    """Reads a request's payload for a scheme of this bandwidth.

    Raises :class:`InputError` for a payload that is missing, of another length, not
    finite, or that claims other channel uses.
    """
    scheme = request.scheme_id
    match link_of(request):
        case "analog" if request.analog.piece_uses:
            block = request.analog
            symbols = _pieces(block, bandwidth, scheme)
            return Analog(symbols, piece=block.piece_uses, first_piece=block.first_piece)
        case "analog":
            return Analog(wire.from_bytes(request.analog.symbols, bandwidth, f"{scheme} symbols"))
        case "coded" if request.coded.piece_uses:
            coded = request.coded
            symbols = _pieces(coded, BLOCK_BANDWIDTHS * bandwidth, scheme)
            return Coded(
                symbols, coded.size_index, piece=coded.piece_uses, first_piece=coded.first_piece
            )
        case "coded":
            symbols = wire.from_bytes(request.coded.symbols, bandwidth, f"{scheme} symbols")
            return Coded(symbols, request.coded.size_index)
        case "ideal":
            return _ideal(request.ideal, bandwidth, scheme)
    raise InputError(f"{scheme}: the block has no payload")


def _pieces(block: Symbols, uses_max: int, scheme: str) -> NDArray[np.float32]:
    """Reads the symbols of whole pieces, at most as many as make a block."""
    uses, rest = divmod(len(block.symbols), 4)
    if rest or not uses or uses % block.piece_uses or uses > uses_max:
        raise InputError(
            f"{scheme} symbols: {len(block.symbols)} bytes are no whole pieces of "
            f"{block.piece_uses} float32 values, {uses_max} at most"
        )
    if block.first_piece > PIECES_MAX - uses // block.piece_uses:
        raise InputError(f"{scheme}: piece {block.first_piece}; a block has {PIECES_MAX} at most")
    return wire.from_bytes(block.symbols, uses, f"{scheme} symbols")


def _ideal(packet: uplink_pb2.IdealPacket, bandwidth: int, scheme: str) -> Ideal:
    if packet.uses != bandwidth:
        raise InputError(
            f"{scheme}: the packet claims {packet.uses} channel uses; the scheme has {bandwidth}"
        )
    if packet.bit_count > _BITS_MAX:
        raise InputError(f"{scheme}: {packet.bit_count} bits; at most {_BITS_MAX} may be sent")
    if packet.lost:
        return Ideal(np.zeros(0, np.uint8), packet.uses, lost=True)
    if len(packet.bits) != -(-packet.bit_count // 8):
        raise InputError(f"{scheme}: {len(packet.bits)} bytes for {packet.bit_count} bits")
    bits = np.unpackbits(np.frombuffer(packet.bits, np.uint8))
    if bits[packet.bit_count :].any():
        raise InputError(f"{scheme}: the packet's last byte is not filled up with zeros")
    return Ideal(bits[: packet.bit_count], packet.uses)
