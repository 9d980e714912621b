"""Model card as a page: what a bundle's manifest says, for reading."""

from __future__ import annotations

from pathlib import Path

from airreid.bundle import Manifest
from airreid.model_card import Accuracy, ExtensionRecord, ModelCard, RecipeRecord, SiteRecord
from airreid.retrieval import people_half_width
from airreid.scheme_info import JsccInfo, NestedInfo
from airreid.signal import SNR_DB_MAX

_EACH = ", each counted as one trial"
_NOT_MEASURED = "Not measured: no people were held out. `airreid evaluate` measures it."


def write_card(folder: Path, manifest: Manifest) -> Path:
    """Writes ``README.md`` into a bundle's folder."""
    path = folder / "README.md"
    path.write_text("\n".join(_lines(manifest)) + "\n", encoding="utf-8")
    return path


def _lines(manifest: Manifest) -> list[str]:
    card = manifest.provenance
    runs: tuple[ModelCard, ...] = card.runs or (card,)
    lines = [f"# {manifest.name}", "", f"Licence: {card.licence or 'not stated'}.", ""]
    lines += [_trained(run) for run in runs]
    lines += [_added(extension) for extension in card.extended]
    lines += ["", "| backbone | precision | feature | space |", "| --- | --- | --- | --- |"]
    for info in manifest.backbones:
        lines.append(f"| {info.id} | {info.precision} | {info.feature_dim} | {info.space_id} |")
    lines += ["", "| scheme | uses | trained for | space |", "| --- | --- | --- | --- |"]
    for scheme in manifest.schemes:
        purpose = "bits"
        if isinstance(scheme, JsccInfo | NestedInfo):
            purpose = _snr(*scheme.snr_db_train)
        lines.append(f"| {scheme.id} | {scheme.bandwidth} | {purpose} | {scheme.space_id} |")
    accuracy = _accuracy(card.accuracy) if card.site is None else _site(card.site)
    return [*lines, "", "## Accuracy", "", *accuracy]


def _site(site: SiteRecord) -> list[str]:
    """Top-1 before and after the training, each with its interval and the number of people."""
    lines = [_NOT_MEASURED]
    if site.after:
        lines = [
            f"{site.protocol}. Top-1 on {site.tested_people} people who were not trained on; ± is "
            f"half of the 95 % interval over people{_EACH}.{_by_guessing(site)}",
            "",
            "| | as given | here |",
            "| --- | --- | --- |",
        ]
    for name, after in site.after.items():
        given = site.before.get(name)
        before = "" if given is None else _over_people(given, site.tested_people)
        lines.append(f"| {name} | {before} | {_over_people(after, site.tested_people)} |")
    for place, rates in site.elsewhere.items():
        people = site.elsewhere_people.get(place)
        count = "" if people is None else f", {people} people"
        through = "" if site.channel == "awgn" else f", channel {site.channel}"
        lines += ["", f"At {place}{count}, where nothing was trained{through}:", ""]
        lines += [f"- {name}: {_over_people(rate, people)}" for name, rate in rates.items()]
    return lines


def _by_guessing(site: SiteRecord) -> str:
    return "" if site.guessing is None else f" Guessing finds {site.guessing:.1%}."


def _trained(run: ModelCard) -> str:
    recipe = run.recipe or RecipeRecord()
    return (
        f"- recipe `{recipe.name or '?'}`, seed {_known(recipe.seed)}; "
        f"images: {_known(run.data)}; started from: {_known(run.initial_weights)}"
    )


def _added(extension: ExtensionRecord) -> str:
    return (
        f"- added to bundle {extension.from_bundle}: {', '.join(extension.schemes)}; "
        f"recipe `{extension.recipe.name or '?'}`, seed {_known(extension.recipe.seed)}; "
        f"images: {extension.codec_data}"
    )


def _known(value: object) -> object:
    return "?" if value is None else value


def _snr(low: float, high: float) -> str:
    if low >= SNR_DB_MAX:
        return "no noise"
    return f"{low:g} dB" if low == high else f"{low:g} to {high:g} dB"


def _accuracy(accuracy: Accuracy | None) -> list[str]:
    if accuracy is None:
        return [_NOT_MEASURED]
    lines = [f"{accuracy.protocol}.", ""] if accuracy.protocol is not None else []
    counts = [row.people for row in accuracy.over_the_air]
    counts += [row.people for row in accuracy.digital]
    if any(counts):
        lines += [f"± is half of the 95 % interval over people{_EACH}.", ""]
    if accuracy.over_the_air:
        lines += [
            "| scheme | SNR dB | people | top-1 | PCA |",
            "| --- | --- | --- | --- | --- |",
            *(
                f"| {row.scheme} | {row.snr_db:+g} | {_known(row.people)} "
                f"| {_over_people(row.top1, row.people, row.top1_half_width)} "
                f"| {_over_people(row.pca_top1, row.people, row.pca_half_width)} |"
                for row in accuracy.over_the_air
            ),
            "",
        ]
    if accuracy.digital:
        lines += [
            "| digital scheme | bits | people | top-1 | PCA of as many bits |",
            "| --- | --- | --- | --- | --- |",
            *(
                f"| {row.scheme} | {row.bits_mean:.1f} | {_known(row.people)} "
                f"| {_over_people(row.top1, row.people)} "
                f"| {_over_people(row.pca_top1, row.people)} |"
                for row in accuracy.digital
            ),
        ]
    return lines


def _over_people(rate: float, people: int | None, over_noise: float | None = None) -> str:
    """A rate with its interval over people, over the noise in a card that does not count them."""
    return _interval(rate, over_noise if people is None else people_half_width(rate, people))


def _interval(value: float, half_width: float | None) -> str:
    return f"{value:.3f}" if half_width is None else f"{value:.3f} ± {half_width:.3f}"
