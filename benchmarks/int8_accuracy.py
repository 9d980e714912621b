"""Cost of quantising: top-1 of an int8 graph beside the fp32 graph that it is made of.

    python -m benchmarks.int8_accuracy RUN/graphs/backbone.fp32.onnx --data synthetic \
        --protocol demo-700

The same queries are searched with both, without code or channel. The difference is paired
(McNemar), with its 95 % interval. int8 is calibrated on images of the subset ``train``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airreid.datasets.dataset import DataSet
from airreid.datasets.open import open_data
from airreid.datasets.pixels import pixels
from airreid.datasets.reader import BOXES, Boxes
from airreid.evaluation.features import default_cache, every
from airreid.evaluation.retrieval_features import (
    RetrievalFeatures,
    no_channel_bound,
    paired_difference,
)
from airreid.quantisation.static import quantise
from training.export.backbone import prove_int8
from training.runs.graph_features import extract

CALIBRATION = 512
"""Images that int8 is calibrated on, as in the recipes."""


def compare(
    fp32: Path, data: DataSet, cache: Path, int8: Path | None = None, images: int = CALIBRATION
) -> dict[str, Any]:
    """Measures top-1 and mAP of both graphs, and their difference in points.

    ``int8``: the twin, if it has been made; else it is made of ``images`` training images.
    ``cache`` holds decoded images. Raises :class:`airreid.errors.ParityError` when the
    twin's features are far from those of fp32.
    """
    with TemporaryDirectory() as folder:
        small = int8 or Path(folder) / "int8.onnx"
        sample = np.asarray(pixels(every(data["train"], images), cache))
        if int8 is None:
            quantise(fp32, small, sample)
        close = prove_int8(fp32, small, sample[:32])
        full, ours = (_features(path, data, cache) for path in (fp32, small))
    exact, quick = no_channel_bound(full), no_channel_bound(ours)
    difference, half = paired_difference(quick, exact)
    return {
        "data": data.label,
        "queries": len(full.queries),
        "gallery_images": len(full.gallery),
        "calibration_images": None if int8 else len(sample),
        "fp32_top1": round(exact.top1, 4),
        "int8_top1": round(quick.top1, 4),
        "fp32_map": round(exact.mean_ap, 4),
        "int8_map": round(quick.mean_ap, 4),
        "int8_minus_fp32_points": round(100 * difference, 2),
        "half_width_points": round(100 * half, 2),
        "feature_cosine": round(close, 5),
    }


def _features(graph: Path, data: DataSet, cache: Path) -> RetrievalFeatures:
    features: dict[str, NDArray[np.float32]] = {
        name: extract(graph, pixels(data[name], cache)) for name in ("query", "gallery")
    }
    queries, gallery = data.test_labels()
    return RetrievalFeatures(features["gallery"], gallery, features["query"], queries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fp32", type=Path, help="fp32 graph, such as a run's graphs/*.fp32.onnx")
    parser.add_argument("--int8", type=Path, help="its twin; made if left out")
    parser.add_argument("--data", default="synthetic", help="folder, .mat file or 'synthetic'")
    parser.add_argument("--protocol", help="one of the data set's; its first if left out")
    parser.add_argument("--boxes", choices=BOXES, help="CUHK03's boxes")
    parser.add_argument("--images", type=int, default=CALIBRATION, help="for calibration")
    given = parser.parse_args()
    boxes: Boxes | None = given.boxes
    data = open_data(given.data, given.protocol, boxes)
    result = compare(given.fp32, data, default_cache(), given.int8, given.images)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
