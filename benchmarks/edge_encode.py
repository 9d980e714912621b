"""Edge encoding: PyTorch eager fp32, ONNX Runtime fp32, and the int8 backbone we ship.

    python -m benchmarks.edge_encode

The three take turns, a few calls each, so that a machine whose speed drifts slows all
of them alike; the figure is the ratio of medians. Speed does not depend on the
weights, so PyTorch and fp32 run an untrained ResNet-50 of the same shape.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from airreid.bundle import default_bundle_path, load_bundle
from airreid.inference import BackboneRunner, Network
from training.export import export_onnx
from training.models.backbone import Backbone

HERE = Path(__file__).parent
ROUNDS = {1: 12, 8: 6}
CALLS = {1: 8, 8: 3}
"""Calls in a row each time it is somebody's turn; the first is not counted."""
SETTLE_SECONDS = 0.1
"""Pause between turns: the threads of the one before spin for a while."""


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(threads: int) -> list[dict[str, Any]]:
    """Rows of images per second for batches of 1 and 8."""
    torch.set_num_threads(threads)
    bundle = load_bundle(default_bundle_path())
    network = Backbone(bn_neck=True).eval()
    rows = []
    with TemporaryDirectory() as folder, torch.inference_mode():
        path = Path(folder) / "fp32.onnx"
        with torch.inference_mode(False):
            export_onnx(network, torch.zeros((2, 256, 128, 3), dtype=torch.uint8), path)
        exported = Network(path, threads)
        shipped = BackboneRunner(bundle, bundle.backbone, threads)
        for batch, rounds in ROUNDS.items():
            crops = np.random.default_rng(0).integers(0, 256, (batch, 256, 128, 3), dtype=np.uint8)
            tensor = torch.from_numpy(crops)
            calls: dict[str, Callable[[], object]] = {
                "PyTorch eager fp32": lambda t=tensor: network(t),  # type: ignore[misc]
                "ONNX Runtime fp32": lambda c=crops: exported(c),  # type: ignore[misc]
                "int8 (ours)": lambda c=crops: shipped.features(c),  # type: ignore[misc]
            }
            times: dict[str, list[float]] = {name: [] for name in calls}
            for _ in range(rounds):
                for name, call in calls.items():
                    time.sleep(SETTLE_SECONDS)
                    call()
                    times[name] += [_seconds(call) for _ in range(CALLS[batch])]
            speed = {name: batch / float(np.median(taken)) for name, taken in times.items()}
            spread = {
                name: float(np.percentile(taken, 90) / np.median(taken))
                for name, taken in times.items()
            }
            ours = speed["int8 (ours)"]
            rows += [
                {
                    "name": f"edge encode, batch {batch}",
                    "unit": "images/s",
                    "ours": round(ours, 1),
                    "peer": round(speed[peer], 1),
                    "peer_name": peer,
                    "ratio": round(ours / speed[peer], 2),
                    "limit": 4.0 if peer.startswith("PyTorch") and batch == 1 else None,
                    "p90_over_median": round(spread["int8 (ours)"], 2),
                }
                for peer in list(calls)[:2]
            ]
    return rows


def main() -> None:
    threads = os.cpu_count() or 1
    rows = measure(threads)
    result = {
        "machine": {
            "processor": platform.machine(),
            "cores": threads,
            "versions": {name: version(name) for name in ("torch", "onnxruntime", "numpy")},
            "method": "in turns, several calls each, the first not counted; medians",
        },
        "rows": rows,
    }
    (HERE / "results.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    lines = [
        "# Measured",
        "",
        f"{threads} cores, {platform.machine()}; `make bench`. {result['machine']['method']}.",  # type: ignore[index]
        "",
        "| what | unit | ours | peer | | ratio | at least |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        limit = "" if row["limit"] is None else f"{row['limit']:g}×"
        lines.append(
            f"| {row['name']} | {row['unit']} | {row['ours']} | {row['peer']} "
            f"| {row['peer_name']} | {row['ratio']}× | {limit} |"
        )
    (HERE / "RESULTS.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
