"""Accuracy on the demo's people: the demo bundle, PCA, and colour histograms.

    python -m benchmarks.demo_accuracy --run runs/demo

Needs the run folder of ``airreid train run demo`` for the features that PCA is fitted
on. Writes docs/results/{demo.json,demo.png,digital.png}.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.bundle import default_bundle_path, load_bundle
from airreid.curve_style import GREY, NO_CODE, line_of, save
from airreid.evaluation.comparison import pca_comparison
from airreid.evaluation.retrieval_features import RetrievalFeatures, no_channel_bound
from airreid.images import load, to_crop
from airreid.inference import BackboneRunner
from benchmarks.digital_accuracy import digital_rows
from benchmarks.digital_accuracy import draw as draw_digital
from simulation.people import People, synthetic

SNRS_DB = (-10.0, -8.0, -6.0, -3.0, 0.0, 5.0, 10.0, 20.0)
DIGITAL_SNRS_DB = (
    -10.0,
    -8.0,
    -6.0,
    -5.0,
    -4.0,
    -3.0,
    -2.0,
    -1.0,
    0.0,
    1.0,
    2.0,
    3.0,
    5.0,
    7.0,
    10.0,
    20.0,
)
DIGITAL_SEEDS = tuple(range(5))
SEEDS = tuple(range(20))
OUT = Path(__file__).resolve().parent.parent / "docs" / "results"


def _grey_world(crop: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Scales each channel of a crop to the same mean: undoes white balance and gain."""
    middle = crop[:, 16:-16].astype(np.float64)
    return np.asarray(middle / middle.mean((0, 1)))


def mean_colours(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns the mean colour of each of 12 horizontal bands, after grey-world: (36,)."""
    bands = np.array_split(_grey_world(crop), 12, axis=0)
    colours = np.concatenate([band.mean((0, 1)) for band in bands])
    return np.asarray(colours - colours.mean(), dtype=np.float32)


def histogram(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns roots of 8x8x8 colour histograms of six bands, after grey-world: (6 * 512,)."""
    levels = np.clip(_grey_world(crop) * 3, 0, 7).astype(np.int64)
    code = [
        (band[..., 0] * 64 + band[..., 1] * 8 + band[..., 2]).ravel()
        for band in np.array_split(levels, 6, axis=0)
    ]
    shares = [np.bincount(band, minlength=512) / band.size for band in code]
    return np.sqrt(np.concatenate(shares)).astype(np.float32)


COLOUR_BASELINES = {"histogram": histogram, "mean colours": mean_colours}


def measure(run: Path) -> dict[str, Any]:
    bundle = load_bundle(default_bundle_path())
    [fitted] = run.glob(f"features-{bundle.backbone.space_id}.npy")
    training_features: NDArray[np.float32] = np.load(fitted)
    with TemporaryDirectory() as folder:
        people = synthetic(100, Path(folder))
        runner = BackboneRunner(bundle, bundle.backbone, 2)
        crops = {crop.path: to_crop(load(crop.path)) for crop in [*people.gallery, *people.queries]}
    features = {path: runner.features(crop[None])[0] for path, crop in crops.items()}
    data = _gallery(people, features)
    colours = {
        name: no_channel_bound(
            _gallery(people, {path: describe(crop) for path, crop in crops.items()})
        ).top1
        for name, describe in COLOUR_BASELINES.items()
    }
    compared = pca_comparison(bundle, data, training_features, SNRS_DB, SEEDS)
    rows = [row.model_dump() for row in compared]
    for row in rows:
        print(
            f"{row['scheme']} {row['snr_db']:+g} dB  "
            f"top-1 {row['top1']:.3f} ± {row['top1_half_width']:.3f}  "
            f"PCA {row['pca_top1']:.3f} ± {row['pca_half_width']:.3f}"
        )
    return {
        "people": people.name,
        "gallery_images": len(people.gallery),
        "queries": len(people.queries),
        "noise_seeds": len(SEEDS),
        "bundle_id": bundle.bundle_id,
        "noiseless_top1": no_channel_bound(data).top1,
        "colour_top1": colours,
        "rows": rows,
        "digital_rows": digital_rows(bundle, data, DIGITAL_SNRS_DB, DIGITAL_SEEDS, _say),
    }


def _say(row: dict[str, Any]) -> None:
    print(
        f"{row['scheme']} {row['link']} {row['snr_db']:+g} dB  top-1 {row['top1']:.3f} ± "
        f"{row['top1_half_width'] or 0:.3f}  outage {row['outage']:.3f}"
    )


def _gallery(people: People, features: dict[Path, NDArray[np.float32]]) -> RetrievalFeatures:
    gallery, queries = people.labels()
    return RetrievalFeatures(
        np.stack([features[crop.path] for crop in people.gallery]),
        gallery,
        np.stack([features[crop.path] for crop in people.queries]),
        queries,
    )


def draw(result: dict[str, Any], path: Path) -> None:
    """Draws a panel a scheme: the scheme and PCA of the same bandwidth, with intervals."""
    from matplotlib.figure import Figure

    schemes = list(dict.fromkeys(row["scheme"] for row in result["rows"]))
    figure = Figure(figsize=(3.4 * len(schemes), 3.4), dpi=130, layout="constrained")
    for axes, scheme in zip(
        figure.subplots(1, len(schemes), sharey=True, squeeze=False)[0], schemes, strict=True
    ):
        rows = [row for row in result["rows"] if row["scheme"] == scheme]
        x = [row["snr_db"] for row in rows]
        for key, half, label, look in (
            ("top1", "top1_half_width", scheme, scheme),
            ("pca_top1", "pca_half_width", "PCA, sent as it is", "pca"),
        ):
            axes.errorbar(
                x,
                [row[key] for row in rows],
                [row[half] for row in rows],
                label=label,
                **line_of(look).keywords,
            )
        axes.axhline(result["noiseless_top1"], color=GREY, linestyle="--", label=NO_CODE)
        colours_alone = max(result["colour_top1"].values())
        axes.axhline(colours_alone, color="black", linestyle=":", label="colours only")
        axes.set(title=scheme, xlabel="SNR (dB)", ylim=(0, 1.02))
        axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=7)
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of 'train run demo'")
    result = measure(parser.parse_args().run)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "demo.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    draw(result, OUT / "demo.png")
    bound = result["noiseless_top1"]
    draw_digital(result["rows"], result["digital_rows"], 256, bound, OUT / "digital.png")
    print(f"no channel {result['noiseless_top1']:.3f}, colours only {result['colour_top1']}")


if __name__ == "__main__":
    main()
