"""``airreid bench pieces``: blocks that come piece by piece beside whole blocks of as many uses.

Both go to one access point process, in turns, from a client that has their symbols ready. Answers
are counted per second of the access point's processor time, so that the client and whatever else
runs on the machine count for nothing. Whole blocks have as many uses as those in pieces on average:
the time of one lies between those of the two numbers of pieces next to it. Then cameras wait for
their answers over a slow link (:mod:`benchmarks.pieces_wait`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from grpc import aio

from airreid.bundle import Bundle, default_bundle_path, load_bundle
from airreid.errors import LinkError
from airreid.json_output import JsonTargets, check_json, prints_json, write_json
from airreid.nested.pieces import pieces_of
from airreid.noise import NoiseStream
from airreid.offline import transmit_pieces
from airreid.payload import Analog, get, put
from airreid.proxies import DIRECT
from airreid.scheme_info import NestedInfo
from airreid.v1 import common_pb2, uplink_pb2
from benchmarks import rows
from benchmarks.idle_streams import QUERY
from benchmarks.pieces_wait import SlowLink, measure_waits
from benchmarks.processes import cpu_seconds
from benchmarks.rows import Row, row
from benchmarks.uplink import Load, access_point, make_gallery

METHOD = "in turns; medians of the rounds; answers per second of the server's processor time"
SCHEME = "jscc-nested-256"
LIMIT = 0.7
"""Share of the answers per second of whole blocks that was asked for."""
if TYPE_CHECKING:
    Call = aio.StreamStreamCall[bytes, bytes]


@dataclass(frozen=True)
class _Sent:
    """Blocks of one pass that were answered."""

    answers: int
    uses: float
    """Mean channel uses of a block."""
    messages: float
    """Mean messages of a block."""


class _Camera:
    """A client that sends blocks as received at an SNR, and the pieces that are asked for."""

    def __init__(self, bundle: Bundle, blocks: list[uplink_pb2.QueryRequest], snr_db: float):
        info = bundle.scheme(SCHEME)
        assert isinstance(info, NestedInfo)
        self.info, self._blocks, self._snr_db = info, blocks, snr_db
        self._whole = [get(block, info.bandwidth) for block in blocks]
        self._noise = NoiseStream(0, "bench")
        self._passes = 0

    def message(self, number: int, first_piece: int, uses: int, in_pieces: bool) -> bytes:
        """Makes a message with pieces of block ``number``."""
        whole = self._whole[number % len(self._whole)]
        assert isinstance(whole, Analog)
        request = uplink_pb2.QueryRequest()
        request.CopyFrom(self._blocks[number % len(self._blocks)])
        request.more_available = in_pieces
        request.id.edge_id, request.id.spool_id = "bench", str(self._passes)
        request.id.sequence = number + 1
        pieces = pieces_of(whole, first_piece, uses)
        put(transmit_pieces(pieces, self._snr_db, self._noise, number), request)
        request.channel.model, request.channel.snr_db = "awgn", self._snr_db
        return request.SerializeToString()

    async def send(self, target: str, count: int, window: int, uses: int | None) -> _Sent:
        """Sends blocks of ``uses``, or in pieces for None."""
        self._passes += 1
        begin = uses or self.info.piece
        ready = {
            (number, first): self.message(number, first, begin, uses is None)
            for number in range(count)
            for first in (range(self.info.bandwidth // self.info.piece) if uses is None else (0,))
        }
        waiting = list(range(count))
        uses_heard, messages = list[int](), 0

        async def worker(call: Call, answers: asyncio.Queue[bytes]) -> None:
            nonlocal messages
            while waiting:
                number = waiting.pop()
                first, wanted = 0, begin
                while wanted:
                    data = ready.get((number, first)) if wanted == begin else None
                    if data is None:
                        data = self.message(number, first, wanted, uses is None)
                    inbox[number + 1] = answers
                    async with writing:  # one write at a time is allowed
                        await call.write(data)
                    messages += 1
                    answer = uplink_pb2.QueryResponse.FromString(await answers.get())
                    if answer.status.code != common_pb2.CODE_OK and not answer.more_wanted:
                        raise LinkError(f"block {number}: {answer.status.message}")
                    first, wanted = answer.uses_heard // self.info.piece, answer.more_wanted
                uses_heard.append(answer.uses_heard)

        inbox: dict[int, asyncio.Queue[bytes]] = {}
        writing = asyncio.Lock()
        async with aio.insecure_channel(target, options=[DIRECT]) as channel:
            method: aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(QUERY)
            call = method()

            async def read() -> None:
                async for data in call:
                    inbox[uplink_pb2.QueryResponse.FromString(data).id.sequence].put_nowait(data)

            reader = asyncio.create_task(read())
            try:
                await asyncio.gather(*(worker(call, asyncio.Queue()) for _ in range(window)))
                await call.done_writing()
                await reader
            finally:
                call.cancel()
                reader.cancel()
        return _Sent(count, float(np.mean(uses_heard)), messages / count)


def pieces_command(
    entries: Annotated[int, typer.Option(min=256, help="Entries of the gallery.")] = 10_000,
    snr: Annotated[float, typer.Option(help="SNR of every block in dB.")] = 0.0,
    blocks: Annotated[int, typer.Option(min=16, help="Blocks of a turn.")] = 400,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Turns of each.")] = 5,
    window: Annotated[int, typer.Option(min=1, max=64, help="Unanswered blocks.")] = 4,
    round_trip_ms: Annotated[float, typer.Option(min=0, help="Of the slow link.")] = 20.0,
    symbol_rate: Annotated[float, typer.Option(min=1, help="Of the slow link, 1/s.")] = 10_000.0,
    as_json: JsonTargets = None,
) -> None:
    """Measure blocks in pieces beside whole ones: answers of the access point, and waits."""
    check_json(*as_json or ())
    echo = partial(typer.echo, err=prints_json(as_json))
    slow = SlowLink(round_trip_ms, symbol_rate)
    measured = measure(entries, snr, blocks, rounds, window, slow)
    for figure in measured:
        echo(
            f"{figure.name}: {figure.ours:g} {figure.unit}, {figure.peer_name}: {figure.peer:g}; "
            f"ratio {figure.ratio:g}; {figure.note}"
        )
    write_json(as_json, rows.report(METHOD, measured).model_dump(mode="json"))


def measure(
    entries: int, snr_db: float, blocks: int, rounds: int, window: int, slow: SlowLink
) -> list[Row]:
    """Returns the rows: answers per second of processor time, and the mean wait for one."""
    bundle = load_bundle(default_bundle_path())
    load = Load(entries=entries, scheme=SCHEME)
    with TemporaryDirectory() as folder:
        whole_blocks = make_gallery(Path(folder), bundle, load)
        camera = _Camera(bundle, whole_blocks, snr_db)
        bandwidth, piece = camera.info.bandwidth, camera.info.piece
        with access_point(Path(folder)) as (target, pid):

            def run(count: int, uses: int | None) -> _Sent:
                return asyncio.run(camera.send(target, count, window, uses))

            sample = run(blocks, None)  # makes the index, too
            low = min(int(sample.uses) // piece * piece, bandwidth - piece)
            costs: dict[int | None, list[float]] = {None: [], low: [], low + piece: []}
            for _ in range(rounds):
                for uses, turns in costs.items():
                    before = cpu_seconds(pid)
                    run(blocks, uses)
                    turns.append(max(1e-3, cpu_seconds(pid) - before) / blocks)
            few = min(blocks, 100)
            pieces, whole = measure_waits(target, whole_blocks, bandwidth, snr_db, few, slow)
    cost, low_cost, high_cost = (float(np.median(turns)) for turns in costs.values())
    as_many = low_cost + (high_cost - low_cost) * (sample.uses - low) / piece
    about = f"{SCHEME}, {entries} entries, {snr_db:+g} dB"
    return [
        row(
            f"answers in pieces, {about}, window {window}",
            "answers/s of processor time",
            1 / cost,
            1 / as_many,
            f"whole blocks of {sample.uses:.0f} uses",
            limit=LIMIT,
            repetitions=rounds,
            spread=round(float(np.quantile(costs[None], 0.9)) / cost, 3),
            note=f"{sample.messages:.1f} messages a block; the peer between {low} and "
            f"{low + piece} uses",
        ),
        row(
            f"wait for an answer, {about}",
            "ms",
            pieces.milliseconds,
            whole.milliseconds,
            f"whole blocks of {bandwidth} uses",
            better="less",
            limit=1.0,
            repetitions=few,
            note=f"{slow.round_trip_ms:g} ms round trip, {slow.symbol_rate:g} symbols/s; "
            f"{pieces.uses:.0f} uses a block",
        ),
    ]
