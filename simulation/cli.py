"""``airreid simulate``: the whole system on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.progress import Progress as Bars
from rich.progress import TaskID

from airreid.bundle import Bundle, default_bundle_path, load_bundle
from airreid.console import note, progress_bars
from airreid.datasets.cli import tell_left_out
from airreid.errors import InputError
from airreid.evaluation.cli import phases
from airreid.json_output import JsonTargets, check_json, prints_json, write_json
from airreid.nested.stopping import ACCEPTED_LOSS, StoppingSettings
from airreid.payload import Link
from airreid.scheme import links_of, piece_of
from airreid.scheme_info import DigitalInfo, NestedInfo, SchemeInfo
from simulation import report as reports
from simulation.people import People, from_folders, picture_count, synthetic
from simulation.plan import SimulationPlan, SimulationProgress, SimulationResult, SweepPoint
from simulation.run import run

IDENTITIES, QUICK_IDENTITIES = 100, 40
SNRS_DB = (-10.0, -6.0, -3.0, 0.0, 5.0, 10.0, 20.0)


class DigitalLink(Enum):
    """A link of the digital schemes."""

    IDEAL = "ideal"
    CODED = "coded"


class _ProgressBars(SimulationProgress):
    """Progress bars on standard error, one a phase."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def phase(self, name: str, steps: int) -> None:
        self._task = self._bars.add_task(name, total=steps)

    def step(self) -> None:
        if self._task is not None:
            self._bars.advance(self._task)

    def point(self, point: SweepPoint) -> None:
        if self._task is not None:
            name = point.scheme if point.link == "analog" else f"{point.scheme} {point.link}"
            text = f"streaming queries  {name} {point.snr_db:+g} dB top-1 {point.top1:.3f}"
            self._bars.update(self._task, description=text)


def command(
    scheme: Annotated[
        list[str] | None,
        typer.Option(
            help="Scheme to try; may be repeated. If left out: all of the bandwidth that most "
            "schemes of the bundle have. 'all' for every one."
        ),
    ] = None,
    link: Annotated[
        list[DigitalLink] | None,
        typer.Option(help="Link of the digital schemes; may be repeated. Both if left out."),
    ] = None,
    snr: Annotated[
        list[float] | None, typer.Option(help="SNR in dB; may be repeated.", show_default=False)
    ] = None,
    bandwidth: Annotated[
        list[str] | None,
        typer.Option(
            help="Channel uses of nested schemes; may be repeated. A number, or auto: piece by "
            "piece until the access point has heard enough, also of digital schemes; or report: at "
            "once, as it advised last; of digital schemes the scheme that the link carries. If "
            "left out: nested ones auto without --scheme, else all."
        ),
    ] = None,
    accepted_loss: Annotated[
        float, typer.Option(min=0, max=1, help="Loss in top-1 that may save air, with auto.")
    ] = ACCEPTED_LOSS,
    most_uses: Annotated[
        int,
        typer.Option(
            min=0, max=65536, help="Uses of a block at most, repeated, with auto; 0: the scheme's."
        ),
    ] = 0,
    bundle: Annotated[Path | None, typer.Option(help="Model bundle; the demo's if left out.")] = (
        None
    ),
    gallery: Annotated[
        Path | None, typer.Option(help="Your own gallery, <identity>/<camera>/<image>.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(help="Your own queries, <identity>/<camera>/<image>.")
    ] = None,
    identities: Annotated[
        int | None,
        typer.Option(
            min=2, max=5000, help="Synthetic people, without --gallery.", show_default="100"
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**64 - 1, help="Seed of the channel's noise.")
    ] = 0,
    window: Annotated[int, typer.Option(min=1, max=256, help="Unanswered queries at a time.")] = 4,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Threads per network.")] = 1,
    quick: Annotated[
        bool,
        typer.Option(
            help="40 people and three curves: the usual scheme, and a digital one of its bandwidth "
            "over both links. Half a minute."
        ),
    ] = False,
    report: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("report"),
    pictures: Annotated[
        bool, typer.Option(help="Draw answers.png, which shows some of the people.")
    ] = True,
    as_json: JsonTargets = None,
) -> None:
    """Start a channel and an access point, enrol a gallery, stream queries, measure.

    Every answer crosses two processes. The same experiment is computed again without
    them, and the table says how many rankings agree.
    """
    if (gallery is None) != (queries is None):
        raise InputError("give both --gallery and --queries, or neither")
    loaded = load_bundle(bundle or default_bundle_path())
    loaded.require_schemes()
    links: tuple[Link, ...] = tuple(
        dict.fromkeys(digital_link.value for digital_link in link or DigitalLink)
    )
    plan = SimulationPlan(
        schemes=_quick_schemes(loaded) if quick and not scheme else _chosen(loaded, scheme or []),
        links=links,
        snrs_db=tuple(dict.fromkeys(snr or SNRS_DB)),
        seed=seed,
        window=window,
        threads=threads,
        bandwidths=_bandwidths(loaded, scheme, links, bandwidth or []),
        digital_in_pieces="auto" in (bandwidth or []),
        stopping=StoppingSettings(accepted_loss=accepted_loss, most_uses=most_uses),
    )
    for name in plan.schemes:
        loaded.scheme(name)
    for value in plan.snrs_db:
        if not -60 <= value <= 100:
            raise InputError(f"--snr {value:g}: use -60 to 100 dB")
    report.mkdir(parents=True, exist_ok=True)
    check_json(*as_json or ())
    count = identities or (QUICK_IDENTITIES if quick else IDENTITIES)
    with ExitStack() as stack:
        bars = stack.enter_context(progress_bars())
        shown = _ProgressBars(bars)
        if gallery is not None and queries is not None:
            people = from_folders(gallery, queries, phases(bars))
            tell_left_out(people.left_out)
        else:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="airreid-people-")))
            shown.phase("drawing synthetic people", picture_count(count))
            people = synthetic(count, folder, shown.step)
        result = run(loaded, people, plan, shown)
        bars.stop()
        written = reports.write(report, loaded, people, plan, result, pictures)
        document = reports.as_json(loaded, people, plan, result)
    out = write_json(as_json, document)
    if not prints_json(as_json):
        for line in _told(people, result):
            typer.echo(line)
    for path in [*written, *out]:
        note(f"wrote {path}")


def _told(people: People, result: SimulationResult) -> list[str]:
    return [
        *_table(result),
        f"{people.name}: {len(people.queries)} queries against {len(people.gallery)} "
        f"gallery images; without code or channel top-1 is {result.noiseless_top1:.3f}; "
        f"image to feature {result.encode_ms_p50:.1f} ms. SNR in dB, 95 % interval of top-1 over "
        "the people, bits of payload, p50 and p99 in ms.",
        *_side_information(result),
        *_saved_air(result),
    ]


def _table(result: SimulationResult) -> list[str]:
    """Aligned lines that survive a pipe; SNR in dB, p50 and p99 in milliseconds."""
    width = max(len(_name(point)) for point in result.points)
    head = f"{'scheme':<{width}} {'link':<6} {'B':>4} {'SNR':>5} {'top-1':>6} {'95 %':>9} "
    head += f"{'top-5':>6}"
    head += f" {'mAP':>6} {'bits':>6} {'q/s':>5} {'p50':>6} {'p99':>6} {'outage':>6} {'replay':>9}"
    lines = [head]
    for p in result.points:
        bits = f"{p.payload_bits:.1f}" if p.payload_bits else "-"
        lines.append(
            f"{_name(p):<{width}} {p.link:<6} {p.uses_mean:>4.0f} {p.snr_db:>+5g} "
            f"{p.top1:>6.3f} {_short(p.top1_low)}-{_short(p.top1_high)} "
            f"{p.top5:>6.3f} {p.map:>6.3f} {bits:>6} {p.queries_per_second:>5.0f} "
            f"{p.latency_ms_p50:>6.1f} {p.latency_ms_p99:>6.1f} {p.outage_rate:>6.3f} "
            f"{f'{p.replay_identical}/{p.queries}':>9}"
        )
    return lines


def _name(point: SweepPoint) -> str:
    if point.way == "report" or (point.way == "pieces" and point.link == "coded"):
        return f"{point.scheme} {point.way}"
    return point.scheme


def _bandwidths(
    bundle: Bundle, wanted: list[str] | None, links: Collection[str], bandwidths: list[str]
) -> tuple[str | None, ...]:
    """Checks the option, which is auto where neither it nor a scheme is asked for.

    Raises :class:`InputError` where a bandwidth cannot be sent.
    """
    if not bandwidths:
        return (None,) if wanted else ("auto",)
    chosen = [bundle.scheme(scheme_id) for scheme_id in _chosen(bundle, wanted or [])]
    for bandwidth in bandwidths:
        _check_bandwidth(bandwidth, chosen, links)
    return tuple(dict.fromkeys(bandwidths))


def _check_bandwidth(bandwidth: str, schemes: list[SchemeInfo], links: Collection[str]) -> None:
    if bandwidth not in ("auto", "report") and not (bandwidth.isascii() and bandwidth.isdigit()):
        raise InputError(f"--bandwidth {bandwidth}: give auto, report or a number of channel uses")
    nested = [info for info in schemes if isinstance(info, NestedInfo)]
    for info in nested if bandwidth.isdigit() else ():
        if int(bandwidth) % info.piece or not 0 < int(bandwidth) <= info.bandwidth:
            raise InputError(
                f"--bandwidth {bandwidth}: {info.id} has pieces of {info.piece} uses; give a "
                f"multiple of {info.piece} up to {info.bandwidth}"
            )
    digital = [info for info in schemes if isinstance(info, DigitalInfo)]
    if bandwidth == "auto":
        digital = [info for info in digital if piece_of(info)]
    if digital and not nested and not bandwidth.isdigit() and "coded" not in links:
        lacks = "pieces" if bandwidth == "auto" else "rates to choose from"
        raise InputError(
            f"--bandwidth {bandwidth}: the ideal link has no {lacks}; give --link coded"
        )
    if not nested and not (digital and not bandwidth.isdigit()):
        raise InputError(
            f"--bandwidth {bandwidth}: none of the schemes can be cut; give --scheme a nested one"
        )


def _short(rate: float) -> str:
    """Four characters of a rate: ``.943``, ``1.00``."""
    return f"{rate:.2f}" if rate >= 0.9995 else f"{rate:.3f}"[1:]


def _quick_schemes(bundle: Bundle) -> tuple[str, ...]:
    """The usual scheme, and the plainest digital one of its bandwidth, where there is one."""
    usual = bundle.scheme(bundle.usual_scheme_id)
    digital = [
        info.id
        for info in bundle.manifest.schemes
        if info.bandwidth == usual.bandwidth and links_of(info)[0] != "analog"
    ]
    return (usual.id, *sorted(digital, key=len)[:1]) if digital else (usual.id,)


def _chosen(bundle: Bundle, wanted: list[str]) -> tuple[str, ...]:
    """The schemes to run: see the option's help."""
    if "all" in wanted:
        return tuple(bundle.scheme_ids)
    if wanted:
        return tuple(dict.fromkeys(wanted))
    schemes = bundle.manifest.schemes
    [(bandwidth, _)] = Counter(info.bandwidth for info in schemes).most_common(1)
    return tuple(info.id for info in schemes if info.bandwidth == bandwidth)


def _side_information(result: SimulationResult) -> list[str]:
    """Lines on side information, which digital receivers are told beside the symbols."""
    lines = {
        (_name(p), p.link): f"{_name(p)} {p.link}: "
        + (f"{p.payload_bits:.1f} payload bits on average, " if p.payload_bits else "")
        + (f"{p.crc_bits} check bits, and " if p.crc_bits else "")
        + f"{p.side_bits} bits of side information that cross the air beside the block"
        for p in result.points
        if p.side_bits
    }
    return list(lines.values())


def _saved_air(result: SimulationResult) -> list[str]:
    """Lines on schemes whose blocks took fewer or more uses than their bandwidth."""
    return [
        f"{_name(p)} at {p.snr_db:+g} dB: {p.uses_mean:.0f} channel uses on average (B above) "
        f"in place of {p.bandwidth} ({p.uses_mean / p.bandwidth:.2f}), 95 % took {p.uses_p95:.0f} "
        f"at most; downlink beside the answer: {p.downlink_bits:.0f} bits a query "
        f"{'for reports on the link' if p.way == 'report' else 'to ask for more'}"
        for p in result.points
        if p.uses_mean != p.bandwidth
    ]
