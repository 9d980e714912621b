"""Rules that fuse the frames of a track, compared over the air.

    python -m benchmarks.track_rules --cache FOLDER

The people and the features of benchmarks.matching: 500 enrolled, 150 of them and 150
impostors seen again, 8 frames each, in an order drawn anew for each noise seed. For every
rule: top-1 of the known, and the share of the known who are right and above the score that
5 % of the impostors reach. Writes docs/results/track_rules.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accesspoint.matching.trials import OverTheAir
from airreid.bundle import default_bundle_path, load_bundle
from airreid.scheme_kinds import open_scheme
from airreid.signal import unit_rows
from benchmarks.matching import DOCS, ENROLLED, FRAMES, KNOWN, SEED, load_people

SCHEMES = ("jscc-ae-64", "jscc-ae-256", "jscc-fc-256")
TRACKS = KNOWN
CASES = {
    "-10 dB": (-10.0,) * FRAMES,
    "-5 dB": (-5.0,) * FRAMES,
    "0 dB": (0.0,) * FRAMES,
    "-10 to 0 dB": tuple(np.linspace(-10, 0, FRAMES).tolist()),
    "-15 to 10 dB": tuple(np.linspace(-15, 10, FRAMES).tolist()),
}
NOISE_SEEDS = (0, 1, 2)
Array = NDArray[np.float32]
Weights = Callable[[NDArray[np.float64]], NDArray[np.float64]]

MEANS: dict[str, Weights] = {
    "mean": np.ones_like,
    "sqrt(s / (1 + s))": lambda s: np.sqrt(s / (1 + s)),
    "s / (1 + s)": lambda s: s / (1 + s),
    "s": lambda s: s,
}
"""Weighted means of embeddings of length 1; s the linear SNR."""


def scores_by_rule(frames: Array, snrs_db: NDArray[np.float64], gallery: Array) -> dict[str, Array]:
    """Returns the best score of each subject by each rule: frames (P, T, D) and their SNRs
    (P, T), gallery (subjects, entries, D) -> (P, subjects)."""
    units = unit_rows(frames)
    linear = 10.0 ** (snrs_db / 10.0)

    def best(embeddings: Array) -> Array:
        flat = unit_rows(embeddings).reshape(-1, embeddings.shape[-1])
        scores = flat @ gallery.reshape(-1, gallery.shape[2]).T
        shape = (*embeddings.shape[:-1], *gallery.shape[:2])
        return np.asarray(scores.reshape(shape).max(axis=-1))

    by_rule = {
        name: best((units * weights(linear)[..., None].astype(np.float32)).sum(axis=1))
        for name, weights in MEANS.items()
    }
    each = best(units)
    return by_rule | {"mean of scores": each.mean(axis=1), "best score": each.max(axis=1)}


def receive(sender: OverTheAir, tracks: Array, snrs_db: NDArray[np.float64], first: int) -> Array:
    """Sends tracks (P, F, D), each frame at its own SNR (P, F): (P, F, embedding)."""
    flat, frame_snrs_db = tracks.reshape(-1, tracks.shape[2]), snrs_db.ravel()
    out: Array | None = None
    for i, snr_db in enumerate(sorted(set(frame_snrs_db.tolist()))):
        rows = np.flatnonzero(frame_snrs_db == snr_db)
        got = sender.receive(flat[rows], snr_db, first + i * len(flat)).embeddings
        out = np.empty((len(flat), got.shape[1]), np.float32) if out is None else out
        out[rows] = got
    assert out is not None
    return out.reshape(*tracks.shape[:2], -1)


def measure(cache: Path) -> list[dict[str, Any]]:
    bundle = load_bundle(default_bundle_path())
    entries, *others = load_people(bundle, cache)
    groups = [part[: TRACKS * FRAMES].reshape(TRACKS, FRAMES, -1) for part in others]
    rows = []
    for scheme_id in SCHEMES:
        scheme = open_scheme(bundle, bundle.scheme(scheme_id), threads=1)
        gallery = unit_rows(scheme.gallery(entries)).reshape(ENROLLED, 4, -1)
        for case, snrs in CASES.items():
            figures: dict[tuple[int, str], list[tuple[float, float]]] = {}
            for seed in NOISE_SEEDS:
                sender = OverTheAir(scheme, "analog", seed)
                rng = np.random.default_rng(seed)
                order = np.stack([rng.permutation(FRAMES) for _ in range(TRACKS)])
                snrs_db = np.asarray(snrs)[order]
                got = [receive(sender, part, snrs_db, i * 10**6) for i, part in enumerate(groups)]
                for count in (1, 2, 4, 8):
                    known, impostors = (
                        scores_by_rule(part[:, :count], snrs_db[:, :count], gallery) for part in got
                    )
                    for rule, scores in known.items():
                        limit = np.quantile(impostors[rule].max(axis=1), 0.95)
                        right = scores.argmax(axis=1) == np.arange(TRACKS)
                        above = right & (scores.max(axis=1) > limit)
                        figures.setdefault((count, rule), []).append((right.mean(), above.mean()))
            for (count, rule), values in figures.items():
                top1, true_match = np.mean(values, axis=0).round(3).tolist()
                about = {"scheme": scheme_id, "snr": case, "frames": count, "rule": rule}
                rows.append({**about, "top1": top1, "true_match": true_match})
        print(scheme_id, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="of benchmarks.matching")
    rows = measure(parser.parse_args().cache)
    lines = ",\n".join(json.dumps(row) for row in rows)
    text = f'{{"people": "synthetic(seed={SEED})", "rows": [\n{lines}\n]}}\n'
    (DOCS / "results" / "track_rules.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
