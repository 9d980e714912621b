"""The model card as a page: what a bundle's manifest says, for reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airreid.bundle import Manifest
from airreid.scheme_info import JsccInfo
from airreid.signal import SNR_DB_MAX

_NOT_MEASURED = "Not measured: no people were held out. `airreid evaluate` measures it."


def write_card(folder: Path, manifest: Manifest) -> Path:
    """Writes ``README.md`` into a bundle's folder."""
    path = folder / "README.md"
    path.write_text("\n".join(_lines(manifest)) + "\n", encoding="utf-8")
    return path


def _lines(manifest: Manifest) -> list[str]:
    card = manifest.provenance.model_dump(mode="json")
    runs: list[dict[str, Any]] = card.get("runs", [card])
    lines = [f"# {manifest.name}", "", f"Licence: {card.get('licence', 'not stated')}.", ""]
    for run in runs:
        recipe = run.get("recipe", {})
        lines.append(
            f"- recipe `{recipe.get('name', '?')}`, seed {recipe.get('seed', '?')}; "
            f"images: {run.get('data', '?')}; started from: {run.get('initial_weights', '?')}"
        )
    lines += ["", "| backbone | precision | feature | space |", "| --- | --- | --- | --- |"]
    for info in manifest.backbones:
        lines.append(f"| {info.id} | {info.precision} | {info.feature_dim} | {info.space_id} |")
    lines += ["", "| scheme | uses | trained for | space |", "| --- | --- | --- | --- |"]
    for scheme in manifest.schemes:
        meant = _snr(*scheme.snr_db_train) if isinstance(scheme, JsccInfo) else "bits"
        lines.append(f"| {scheme.id} | {scheme.bandwidth} | {meant} | {scheme.space_id} |")
    return [*lines, "", "## Accuracy", "", *_accuracy(card.get("accuracy"))]


def _snr(low: float, high: float) -> str:
    if low >= SNR_DB_MAX:
        return "no noise"
    return f"{low:g} dB" if low == high else f"{low:g} to {high:g} dB"


def _accuracy(accuracy: dict[str, Any] | None) -> list[str]:
    if not accuracy:
        return [_NOT_MEASURED]
    lines = [f"{accuracy['protocol']}.", ""] if "protocol" in accuracy else []
    if accuracy.get("over_the_air"):
        lines += [
            "| scheme | SNR dB | top-1 | PCA |",
            "| --- | --- | --- | --- |",
            *(
                f"| {row['scheme']} | {row['snr_db']:+g} "
                f"| {row['top1']:.3f} ± {row['top1_half_width']:.3f} "
                f"| {row['pca_top1']:.3f} ± {row['pca_half_width']:.3f} |"
                for row in accuracy["over_the_air"]
            ),
            "",
        ]
    if accuracy.get("digital"):
        lines += [
            "| digital scheme | bits | top-1 | PCA of as many bits |",
            "| --- | --- | --- | --- |",
            *(
                f"| {row['scheme']} | {row['bits_mean']:.1f} | {row['top1']:.3f} "
                f"| {row['pca_top1']:.3f} |"
                for row in accuracy["digital"]
            ),
        ]
    return lines
