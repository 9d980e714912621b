"""One run from a public network and a site's crops to a bundle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from airreid.adopt.elsewhere import check_elsewhere, check_site
from airreid.adopt.images import open_images, readable_images
from airreid.adopt.network import load_network
from airreid.adopt.pipeline import Adoption, adopt
from airreid.bundle import Bundle, load_bundle
from airreid.codecs.selection import TrainedCode
from airreid.datasets.dataset import DataSet
from airreid.errors import AirReidError, InputError
from airreid.model_card import ModelCard, RecipeRecord, SiteRecord
from airreid.picture_files import left_out_note
from airreid.retrieval import people_half_width
from training.engine.distributed import Distributed, device_of
from training.engine.progress import Report
from training.recipes.load import parse_recipe
from training.recipes.recipe import Recipe
from training.recipes.site_steps import NestedStep, NetworkStep, Share, SiteStep
from training.runs.atomic_file import save_text
from training.runs.folder import claim, machine_and_versions
from training.runs.place import held
from training.site.bundle import Backed, Built, backed, build, put_in_place
from training.site.context import SiteContext
from training.site.heads import closed_form, train_nested
from training.site.learning import Learned, learn
from training.site.measuring import (
    Measured,
    measure_elsewhere,
    measure_home,
    named_apart,
    rows,
    settings,
)
from training.site.people import check_told_apart, people_of, watched
from training.site.plan import store_plan
from training.site.preflight import Preflight, as_settings, check, jscc_bandwidths
from training.site.report import table, write_report
from training.site.watching import Watcher

_FINISHED = "site.json"


@dataclass(frozen=True)
class SiteRun:
    """Everything that learning a site is asked for."""

    recipe: Recipe
    network: Path
    source: str
    """Images of the site: a folder, or what else ``open_data`` takes."""
    out: Path
    cache: Path | None = None
    elsewhere: tuple[DataSet, ...] = ()
    tracks: Path | None = None
    """Folder of tracks beside the source's identities."""
    origin: str | None = None
    """Source of the network's weights, for the model card."""


@dataclass(frozen=True)
class SiteResult:
    """The bundle, and the lines that tell how it came about."""

    bundle: Bundle
    lines: tuple[str, ...]


def train_site(run: SiteRun, report: Report) -> SiteResult:
    """Trains codes on a network's features, and leaves a bundle in ``out/bundle``.

    A run that was stopped goes on where its last checkpoint is. Raises :class:`InputError` for
    images that cannot teach anything, before anything is trained.
    """
    _check_single_process()
    for data in run.elsewhere:
        check_site(data)
    network, nested = run.recipe.steps[:2]
    assert isinstance(network, NetworkStep)
    assert isinstance(nested, NestedStep)
    jscc_bandwidths(network.name, network.schemes)  # its errors come first
    load_network(run.network)
    run = replace(run, elsewhere=named_apart(run.elsewhere))
    context = _context(run, report)
    for data in run.elsewhere:
        check_elsewhere(data, context.joint_images)
    finished = _finished(run, context)
    checked = Preflight() if finished else check(run.network, context)
    with held(run.out):
        _claim(run, context)
        return finished or _trained(run, checked, context)


def _trained(run: SiteRun, checked: Preflight, context: SiteContext) -> SiteResult:
    """Does what is not done yet, in a folder that is the run's alone."""
    network, nested, step = (context.recipe.steps[place] for place in (0, 1, -1))
    assert isinstance(network, NetworkStep)
    assert isinstance(nested, NestedStep)
    network = network.model_copy(update={"schemes": checked.schemes})
    steps = (network, *context.recipe.steps[1:])
    context = replace(context, recipe=context.recipe.model_copy(update={"steps": steps}))
    bandwidths = jscc_bandwidths(network.name, network.schemes)
    (run.out / _FINISHED).unlink(missing_ok=True)  # its bundle is about to be another one
    if checked.plan is not None:
        store_plan(run.out, step.name, checked.plan)
    joint = isinstance(step, SiteStep)
    public = backed(_public(run, network, context), context)
    check_told_apart(public.features, context.labels, context.images.fit, context.only_tracks)
    start = closed_form(nested, public.features, bandwidths[-1], context)
    heads = train_nested(nested, start, bandwidths, public.features, context, again=not joint)
    site, code, trained = public, heads.code, None
    if isinstance(step, SiteStep):
        trained = learn(step, public, heads.watched, checked, context)
        site, code = trained.network, TrainedCode(*[trained.head.code()] * 2)
    built = build(site, code, run.out / ".bundle.part", context)
    return _finish(run, context, public, site, built, trained)


def _check_single_process() -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("recipe site trains in one process; run it without torchrun")


def _context(run: SiteRun, report: Report) -> SiteContext:
    recipe = run.recipe
    cache = run.cache or run.out / "cache"
    images = open_images(run.source, tracks=run.tracks)
    people_of(images, run.source)  # its errors come before every image is decoded
    images = readable_images(images, cache, report.phase)
    if note := left_out_note(images.left_out):
        report.note(note)
    people = people_of(images, run.source)
    labels = people.labels
    split = watched(labels, recipe.seed)
    watcher = None if split is None else Watcher(labels, split, recipe.seed)
    return SiteContext(
        recipe=recipe,
        images=replace(images, everything=images.fit),  # who is tested is never fitted on
        labels=labels,
        only_tracks=people.only_tracks,
        split=split,
        watcher=watcher,
        out=run.out,
        cache=cache,
        report=report,
        distributed=Distributed(device_of(recipe.engine.device)),
    )


def _claim(run: SiteRun, context: SiteContext) -> None:
    """Marks the run's folder as its own; see :func:`claim` for what it raises."""
    digest = hashlib.sha256(run.network.read_bytes()).hexdigest()
    data = {"train": context.images.fit.digest(), "network": digest[:16]}
    if context.images.tracks is not None:
        data["tracks"] = context.images.tracks.digest()
    claim(run.out, run.recipe, data)


def _finished(run: SiteRun, context: SiteContext) -> SiteResult | None:
    """Returns the result of an earlier call that came to its end with the same share and tests.

    None where there is none, or where its bundle is not whole.
    """
    out = run.out
    try:
        stored = json.loads((out / _FINISHED).read_text(encoding="utf-8"))
        bundle = load_bundle(out / "bundle")
        before = parse_recipe((out / "recipe.json").read_text(encoding="utf-8"), "recipe.json")
    except (OSError, ValueError, AirReidError):
        return None
    if bundle.bundle_id != stored.get("bundle") or _tests(run, context) != stored.get("tests"):
        return None
    if stored.get("share", _share(before)) != _share(run.recipe):
        return None
    return SiteResult(bundle, tuple(stored["lines"]))


def _tests(run: SiteRun, context: SiteContext) -> list[list[str]]:
    """Names what a run is measured on: each data set's label, and digests of its images."""
    home = () if context.images.test is None else (context.images.test,)
    return [
        [data.label, *(data[part].digest() for part in ("query", "gallery"))]
        for data in (*home, *run.elsewhere)
    ]


def _share(recipe: Recipe) -> Share | None:
    """Share of the trained weights that a recipe asks for; None without a joint stage."""
    step = recipe.steps[-1]
    return step.share if isinstance(step, SiteStep) else None


def _public(run: SiteRun, step: NetworkStep, context: SiteContext) -> Bundle:
    """Returns the bundle of the network as it was given, with codes in closed form."""
    folder = run.out / "public"
    if folder.exists():
        return load_bundle(folder)
    adoption = Adoption(
        network=run.network,
        images=context.images,
        out=folder,
        schemes=step.schemes,
        output=step.output,
        size=step.size,
        preprocessing=step.preprocessing,
        cache=context.cache,
        int8=False,
    )
    with as_settings(step):
        adopt(adoption, context.report.phase)
    return load_bundle(folder)


def _finish(
    run: SiteRun,
    context: SiteContext,
    public: Backed,
    site: Backed,
    built: Built,
    trained: Learned | None,
) -> SiteResult:
    """Measures before and after, writes card and report, and puts the bundle in its place."""
    chosen = settings(context)
    home: Measured | None = None
    if context.images.test is not None:
        test = context.images.test
        home = measure_home(public.bundle, built.bundle, test, chosen, context.report)
    elsewhere = [
        measure_elsewhere(
            [(public.bundle, public.features), (built.bundle, site.features)],
            context.images.fit,
            data,
            chosen,
            context.report,
        )
        for data in run.elsewhere
    ]
    card = _card(run, context, trained, home, elsewhere)
    bundle = put_in_place(built, card, run.out / "bundle")
    lines = [*_told(context, built, trained), *_tables(context, home, elsewhere)]
    written = write_report(home, elsewhere, run.out / "report")
    lines += [f"wrote {path}" for path in written]
    stored = {
        "bundle": bundle.bundle_id,
        "tests": _tests(run, context),
        "share": _share(run.recipe),
        "lines": lines,
    }
    save_text(run.out / _FINISHED, json.dumps(stored, indent=2))
    return SiteResult(bundle, tuple(lines))


def _card(
    run: SiteRun,
    context: SiteContext,
    trained: Learned | None,
    home: Measured | None,
    elsewhere: Sequence[Measured],
) -> ModelCard:
    images, split, tracks = context.images.fit, context.split, context.images.tracks
    after = {} if home is None else rows(home.after)
    record = SiteRecord(
        people=len(images.identities),
        images=len(images),
        tracks=0 if tracks is None else len(tracks.identities),
        held_out_people=0 if split is None else split.people,
        joint=trained is not None and trained.why_frozen is None,
        why_frozen=None if trained is None else trained.why_frozen,
        epochs=None if trained is None else trained.epochs,
        share=None if trained is None else trained.share,
        tested_people=0 if home is None else home.people,
        protocol=None if home is None else home.protocol,
        guessing=None if home is None else round(home.guessing, 4),
        before={} if home is None else rows(home.before),
        after=after,
        people_half_width=(
            {}
            if home is None
            else {name: people_half_width(rate, home.people) for name, rate in after.items()}
        ),
        elsewhere={
            result.label: {
                f"{when} {name}": rate
                for when, points in (("before", result.before), ("after", result.after))
                for name, rate in rows(points).items()
            }
            for result in elsewhere
        },
        channel=context.radio.model,
        elsewhere_people={result.label: result.people for result in elsewhere},
    )
    made_with = machine_and_versions()
    scipy, onnx = version("scipy"), version("onnx")
    return ModelCard(
        licence="the network's is its authors'; what was trained is yours",
        data=f"{images.name}, digest {images.digest()}",
        codec_data=f"{images.name}, digest {images.digest()}",
        initial_weights=run.origin or f"{run.network.name}, trained by others",
        recipe=RecipeRecord.model_validate_json(context.recipe.model_dump_json()),
        machine=made_with.machine,
        versions={**made_with.versions, "onnx": onnx, "scipy": scipy},
        site=record,
    )


def _told(context: SiteContext, built: Built, trained: Learned | None) -> list[str]:
    images, split, tracks = context.images.fit, context.split, context.images.tracks
    who = "tracks, each of one camera" if context.only_tracks else "people"
    lines = [f"trained on {len(images)} images of {len(images.identities)} {who}"]
    if tracks is not None and trained is not None:
        lines[0] += f", and {len(tracks)} of {len(tracks.identities)} tracks of one camera each"
    if trained is not None:
        lines.append(trained.words)
    if context.only_tracks:
        lines.append(
            "nobody is known by two cameras, so the training was not watched, and every code is "
            "PCA, fitted to the network's features; measure with --also and labelled people"
        )
    elif split is None:
        lines.append(
            "too few people to hold ten out and choose by: every code is PCA, fitted to the "
            "network's features"
        )
    else:
        cameras = f" and {split.cameras} cameras" if split.cameras else ""
        lines.append(
            f"codes chosen on {split.people} of these people{cameras}, not trained on, through "
            f"{context.radio.words}"
        )
    for head in built.heads:
        rates = ", ".join(
            f"{name} {sum(values) / len(values):.3f}"
            for name, values in head.choice.held_out.items()
        )
        held_out = f"  (held out, mean over SNRs: {rates})" if rates else ""
        lines.append(f"{head.info.id:<16} {head.words}{held_out}")
    if built.int8 is not None:
        lines.append(f"int8             {built.int8.words}")
    return lines


def _tables(
    context: SiteContext, home: Measured | None, elsewhere: Sequence[Measured]
) -> list[str]:
    if home is None:
        lines = ["", f"no accuracy on other people: {context.images.why_no_test}"]
    else:
        lines = ["", *table(home)]
    for result in elsewhere:
        lines += ["", "at another site, where nothing was trained:", *table(result)]
    return lines
