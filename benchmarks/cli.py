"""``airreid bench``: parts of the system measured by themselves."""

from __future__ import annotations

import json
import tempfile
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from airreid.bundle import default_bundle_path, load_bundle
from airreid.console import progress_bars
from airreid.digital.crc import CrcBits
from airreid.digital.link import CodedLink
from airreid.digital.list_decoder import LIST_SIZES
from airreid.digital.polar_design import design_code
from airreid.errors import InputError
from airreid.json_output import (
    STDOUT,
    JsonTargets,
    check_json,
    prints_json,
    versioned,
    write_json,
)
from airreid.signal import SNR_DB_MAX, SNR_DB_MIN
from benchmarks import commands, suite
from benchmarks.evaluation import evaluation_command
from benchmarks.link import CLIFF_BLER, LinkPoint, cliff, measure, settings, write
from benchmarks.pieces import pieces_command
from benchmarks.rows import read
from benchmarks.site_step import site_command
from benchmarks.training_cli import training_command

app = typer.Typer(no_args_is_help=True)


class Modulation(Enum):
    """Levels of a symbol."""

    AUTO = "auto"
    BPSK = "bpsk"
    PAM4 = "4pam"
    PAM8 = "8pam"
    PAM16 = "16pam"


class IndexKind(Enum):
    """Index kinds of the gallery."""

    AUTO = "auto"
    FLAT = "flat"
    SQ8 = "sq8"


_BITS_PER_SYMBOL = {
    Modulation.AUTO: None,
    Modulation.BPSK: 1,
    Modulation.PAM4: 2,
    Modulation.PAM8: 3,
    Modulation.PAM16: 4,
}


app.command("edge")(commands.edge)
app.command("path")(commands.path)
app.command("start")(commands.start)
app.command("codec")(commands.codec)
app.command("channel")(commands.channel)
app.command("evaluation")(evaluation_command)
app.command("train")(training_command)
app.command("site")(site_command)
app.command("pieces")(pieces_command)


@app.callback()
def _bench() -> None:
    """Measure parts of the system by themselves."""


@app.command("all")
def all_(
    only: Annotated[
        list[str] | None,
        typer.Option(help="Run this one alone, keep the other rows; may be repeated."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for results.json and RESULTS.md.")] = suite.HERE,
) -> None:
    """Run every benchmark in turn, each in its own process; write the measured tables."""
    for name in only or []:
        if name not in suite.PARTS:
            raise InputError(f"--only {name}: use one of {', '.join(suite.PARTS)}")
    out.mkdir(parents=True, exist_ok=True)
    report, parts = suite.run_all(only or suite.PARTS, typer.echo, out / suite.RESULTS)
    for path in suite.save(out, report, parts):
        typer.echo(f"wrote {path}")
    missed = [row for row in report.rows if row.met is False]
    typer.echo(f"{len(report.rows)} rows, {len(missed)} do not reach what is asked of them")
    for row in missed:
        typer.echo(f"  {row.key}: {row.ours:g} {row.unit}, ratio {row.ratio}; asked {row.limit:g}")
    if report.missing:
        raise typer.Exit(1)


@app.command("check")
def check(
    baseline: Annotated[Path, typer.Option(help="The results to compare with.")] = suite.HERE
    / suite.RESULTS,
) -> None:
    """Run the quick rows and compare their ratios with the baseline's; exit with 1 if one fell."""
    compared = suite.check(read(baseline), typer.echo)
    for ratio in sorted(compared, key=lambda ratio: ratio.fell):
        word = "FELL" if ratio.fell else "ok"
        typer.echo(f"{word:<5} {ratio.key}: {ratio.now:g} now, {ratio.baseline:g} before")
    fell = sum(ratio.fell for ratio in compared)
    typer.echo(f"{len(compared)} ratios compared, {fell} fell beyond their tolerance")
    if fell:
        raise typer.Exit(1)


@app.command("link")
def command(
    bits: Annotated[int, typer.Option(min=1, max=8192, help="Payload bits k, without the CRC.")],
    uses: Annotated[int, typer.Option(min=1, max=8192, help="Real channel uses B.")],
    modulation: Annotated[
        Modulation, typer.Option(help="auto: the one that needs the least SNR.")
    ] = Modulation.AUTO,
    crc: Annotated[int, typer.Option(help="CRC bits: 11 or 24.")] = 11,
    list_size: Annotated[int, typer.Option("--list", help="Paths of the list decoder.")] = 8,
    blocks: Annotated[int, typer.Option(min=1, max=10_000_000, help="Blocks per SNR.")] = 2000,
    snr: Annotated[
        list[float] | None,
        typer.Option(help="SNR in dB; may be repeated. If left out: down the cliff."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of payloads and noise.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for link.json and link.png.")] = Path("report"),
    as_json: JsonTargets = None,
) -> None:
    """Measure the coded link: block error rate against SNR beside what no code can beat."""
    if crc not in (11, 24):
        raise InputError(f"--crc {crc}: use 11 or 24")
    if list_size not in LIST_SIZES:
        raise InputError(f"--list {list_size}: use one of {', '.join(map(str, LIST_SIZES))}")
    for value in snr or []:
        if not SNR_DB_MIN <= value <= SNR_DB_MAX:
            raise InputError(f"--snr {value:g}: use {SNR_DB_MIN:g} to {SNR_DB_MAX:g} dB")
    crc_bits: CrcBits = 11 if crc == 11 else 24
    code = design_code(bits, uses, crc_bits, _BITS_PER_SYMBOL[modulation])
    out.mkdir(parents=True, exist_ok=True)
    check_json(*as_json or ())
    echo = partial(typer.echo, err=prints_json(as_json))
    link, rows = CodedLink(code, list_size=list_size), list[LinkPoint]()
    with progress_bars() as bars:
        for value in sorted(set(snr)) if snr else cliff(code):
            task = bars.add_task(f"{value:+g} dB", total=blocks)
            rows.append(measure(link, value, blocks, seed, partial(bars.advance, task)))
            if not snr and rows[-1].bler < CLIFF_BLER:
                break
    about = settings(code, list_size, blocks, seed)
    echo(
        f"\nk = {bits} bits in B = {uses} real uses: {about['modulation']}, CRC-{crc}, polar code "
        f"N = {code.mother_length} ({code.matching}), list {list_size}; "
        f"Shannon limit {rows[0].shannon_db:.2f} dB\n"
    )
    for line in _table(rows):
        echo(line)
    echo("\nBLER: lost or wrong. gap: SNR above the best codes of this length at this BLER.")
    written = write(out, about, rows)
    written += write_json(as_json, json.loads(written[0].read_bytes()))
    for path in written:
        echo(f"wrote {path}")


@app.command("uplink")
def uplink(
    streams: Annotated[int, typer.Option(min=1, max=2000, help="Cameras at once.")] = 200,
    seconds: Annotated[float, typer.Option(min=1, help="How long they send.")] = 60.0,
    entries: Annotated[int, typer.Option(min=256, help="Entries of the gallery.")] = 10_000,
    scheme: Annotated[str, typer.Option(help="A JSCC scheme of the demo bundle.")] = "jscc-ae-64",
    window: Annotated[int, typer.Option(min=1, max=256, help="Unanswered blocks each.")] = 4,
    idle: Annotated[
        int, typer.Option(min=0, max=2000, help="Streams beside these that send nothing.")
    ] = 0,
    peer: Annotated[
        bool, typer.Option("--peer", help="A synchronous server under the same load as well.")
    ] = False,
    as_json: JsonTargets = None,
) -> None:
    """Measure an access point under many cameras: answers, waits, shares, memory."""
    from benchmarks import uplink as part
    from benchmarks.uplink import Load, measure

    check_json(*as_json or ())
    echo = partial(typer.echo, err=prints_json(as_json))
    load = Load(
        streams=streams, seconds=seconds, entries=entries, scheme=scheme, window=window, idle=idle
    )
    with progress_bars() as bars:
        task = bars.add_task("streaming", total=int(seconds) * (1 + peer))
        reports = measure(load, peer, partial(bars.advance, task))
    for report in reports:
        echo(
            f"{report.server}: {report.items_per_second:g} answers/s, p50 {report.p50_ms:g} ms, "
            f"p99 {report.p99_ms:g} ms; {report.wrong} wrong, {report.lost} lost, "
            f"{report.broken} broken; "
            f"slowest stream {report.slowest_over_median:.2f} of the median; "
            f"memory {report.rss_mib[-1] if report.rss_mib else 0:g} MiB, {report.rss_growth:+.1%}"
        )
    for path in write_json(as_json, part.document(load, reports)):
        echo(f"wrote {path}")


@app.command("soak")
def soak_command(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long.")] = 30.0,
    streams: Annotated[int, typer.Option(min=1, max=1000, help="Cameras at once.")] = 300,
    kill_seconds: Annotated[float, typer.Option(min=1, help="Time between two kills.")] = 60.0,
    step_seconds: Annotated[
        float, typer.Option(min=1, help="Time between two clock steps.")
    ] = 45.0,
    folder: Annotated[
        Path | None,
        typer.Option(help="Empty folder; a disk with under 2 GiB free is filled for a while."),
    ] = None,
    as_json: JsonTargets = None,
) -> None:
    """Run everything at once for long, with kills and clock steps: nothing is lost or doubled."""
    from benchmarks import soak, soak_load

    check_json(*as_json or ())
    if folder is not None and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--folder {folder}: is no empty folder; make one")
    settings = soak_load.Settings(
        minutes=minutes, streams=streams, kill_seconds=kill_seconds, step_seconds=step_seconds
    )
    with tempfile.TemporaryDirectory(prefix="airreid-soak-") as scratch, progress_bars() as bars:
        task = bars.add_task("soaking", total=1.0)
        report = soak.run(
            settings, folder or Path(scratch), lambda share: bars.update(task, completed=share)
        )
    write_json([STDOUT, *(as_json or ())], versioned(soak.SCHEMA, report))
    if report["faults"]:
        raise typer.Exit(1)


@app.command("gallery")
def gallery_command(
    entries: Annotated[int, typer.Option(min=100, max=10_000_000, help="Entries to enrol.")],
    queries: Annotated[int, typer.Option(min=20, max=100_000, help="Queries to time.")] = 1000,
    index: Annotated[
        IndexKind, typer.Option(help="auto: exact to 20,000 entries, 8 bits beyond.")
    ] = IndexKind.AUTO,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the made-up people.")] = 0,
    folder: Annotated[
        Path | None, typer.Option(help="Empty folder for the gallery; a temporary one if left out.")
    ] = None,
    as_json: JsonTargets = None,
) -> None:
    """Measure the gallery: search beside plain FAISS on one core, recall, memory, start."""
    from accesspoint.gallery.settings import GallerySettings  # FAISS is slow to load
    from benchmarks import gallery

    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise InputError(f"--folder {folder}: is not empty; name one that can be filled")
    check_json(*as_json or ())
    echo = partial(typer.echo, err=prints_json(as_json))
    loaded = load_bundle(default_bundle_path())
    with tempfile.TemporaryDirectory(prefix="airreid-bench-") as scratch, progress_bars() as bars:
        place = folder or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        task = bars.add_task("enrolling", total=entries)
        result = gallery.measure(
            loaded,
            place,
            entries,
            queries,
            seed,
            GallerySettings(index=index.value),
            partial(bars.advance, task),
        )
    for line in gallery.table(result):
        echo(line)
    for path in write_json(as_json, gallery.document(result, queries, seed)):
        echo(f"wrote {path}")


def _table(rows: list[LinkPoint]) -> list[str]:
    """Formats aligned lines that survive a pipe."""
    lines = [
        f"{'SNR dB':>7} {'blocks':>7} {'BLER':>8} {'95 % interval':>19} {'undetected':>10} "
        f"{'best dB':>8} {'gap dB':>7} {'encode ms':>9} {'decode ms':>9}"
    ]
    for row in rows:
        best = "-" if row.normal_approx_db is None else f"{row.normal_approx_db:.2f}"
        gap = "-" if row.gap_db is None else f"{row.gap_db:.2f}"
        lines.append(
            f"{row.snr_db:>+7g} {row.blocks:>7} {row.bler:>8.2g} "
            f"{f'{row.bler_low:.2g} to {row.bler_high:.2g}':>19} {row.undetected:>10} "
            f"{best:>8} {gap:>7} {row.encode_ms:>9.2f} {row.decode_ms:>9.2f}"
        )
    return lines
