"""False-match rate of an access point beside the rate that it states, and its cost.

    python -m benchmarks.matching --cache FOLDER

500 synthetic people are enrolled from two cameras and calibrated on; a third camera then
sees 150 of them and 400 impostors, 8 frames each. The features, which take minutes, are
kept in FOLDER. Writes docs/results/matching.json and docs/images/matching.png.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accesspoint.matching.calibrate import Calibration, calibrate, senders
from accesspoint.matching.calibration_settings import CalibrationSettings
from accesspoint.matching.decision import decide
from accesspoint.matching.policy import FEATURES, MatchPolicy
from accesspoint.matching.rates import lower_bound, mean_share, upper_bound
from accesspoint.matching.tracks import FusedTrack, TrackFusion, TrackSettings
from accesspoint.matching.trials import Enrolled, OverTheAir
from airreid.bundle import Bundle, default_bundle_path, load_bundle
from airreid.curve_style import GREY, PALETTE, line_of, save
from airreid.datasets.synthetic.cameras import render
from airreid.inference import BackboneRunner
from airreid.scheme import links_of
from airreid.scheme_kinds import open_scheme
from airreid.signal import unit_rows

SEED, NOISE_SEED = 901, 4
ENROLLED, KNOWN, IMPOSTORS, FRAMES = 500, 150, 400, 8
CURVES = ("jscc-ae-64", "jscc-ae-256", "jscc-fc-256", "digital-256")
SNRS_DB = (-10.0, -8.75, -5.0, 0.0, 5.0, 10.0, 20.0)
"""SNRs of the test; -8.75 dB is not on the calibration's grid."""
RATES = (0.01, 0.05)
CONFIDENCE = 0.95
DOCS = Path(__file__).resolve().parent.parent / "docs"
Array = NDArray[np.float32]


def features(
    bundle: Bundle, cache: Path, name: str, identities: range, cameras: range, shots: int
) -> Array:
    """Returns features (identities * cameras * shots, 2048)."""
    path = cache / f"{name}-{bundle.backbone.space_id}-{SEED}.npy"
    if not path.exists():
        runner = BackboneRunner(bundle, bundle.backbone, threads=1)
        pictures = [(i, c, k) for i in identities for c in cameras for k in range(shots)]
        rows = []
        for start in range(0, len(pictures), 16):
            crops = [np.asarray(render(SEED, *key)) for key in pictures[start : start + 16]]
            rows.append(runner.features(np.stack(crops)))
        np.save(path, np.concatenate(rows))
    return np.asarray(np.load(path), np.float32)


def load_people(bundle: Bundle, cache: Path) -> tuple[Array, Array, Array]:
    """Returns features (n, 2048) of the enrolled (2 cameras x 2 shots each), of the known and
    of impostors (8 frames each)."""
    others = range(ENROLLED, ENROLLED + IMPOSTORS)
    return (
        features(bundle, cache, "enrolled", range(ENROLLED), range(2), 2),
        features(bundle, cache, "known", range(KNOWN), range(2, 3), FRAMES),
        features(bundle, cache, "strangers", others, range(2, 3), FRAMES),
    )


def fused_frames(
    sender: OverTheAir, tracks: Array, snr_db: float, first: int
) -> list[list[FusedTrack]]:
    """Fuses each track after each of its frames; tracks (P, F, D). Lost frames say nothing."""
    fusion = TrackFusion(TrackSettings(max_frames=FRAMES, max_age_s=1000, max_tracks=len(tracks)))
    got = sender.receive(tracks.reshape(-1, tracks.shape[2]), snr_db, first)
    answers: list[list[FusedTrack]] = [[] for _ in tracks]
    for i, (embedding, lost) in enumerate(zip(got.embeddings, got.lost.tolist(), strict=True)):
        track, frame = divmod(i, tracks.shape[1])
        if not lost:
            answers[track].append(fusion.add("", str(track), "", frame, embedding, snr_db))
    return answers


def verdicts(
    scores: Array, snrs_db: list[float], scheme_id: str, policy: MatchPolicy
) -> tuple[list[bool], list[int]]:
    """Decides queries: (is it a match, number of the best subject); scores (Q, subjects)."""
    matched, best = [], []
    for row, snr_db in zip(scores, snrs_db, strict=True):
        top = np.argsort(-row)[:2]
        ranked = [(str(i), float(row[i])) for i in top]
        matched.append(decide(ranked, scheme_id, snr_db, policy).kind == "match")
        best.append(int(top[0]))
    return matched, best


def share(hits: list[bool], people: list[int]) -> dict[str, float]:
    total, count = mean_share(np.array(hits, dtype=bool), np.array(people, dtype=np.int64))
    return {
        "rate": round(total / max(count, 1), 4),
        "low": round(float(lower_bound(total, count, CONFIDENCE)), 4),
        "high": round(float(upper_bound(total, count, CONFIDENCE)), 4),
    }


def measure(cache: Path) -> dict[str, Any]:
    bundle = load_bundle(default_bundle_path())
    entries, known, impostors = load_people(bundle, cache)
    names = [f"{i:04d}" for i in range(ENROLLED) for _ in range(4)]
    enrolled = Enrolled(entries, names, ["a", "a", "b", "b"] * ENROLLED)
    schemes = [open_scheme(bundle, bundle.scheme(scheme_id), threads=1) for scheme_id in CURVES]
    calibrations: dict[float, Calibration] = {}
    started = time.perf_counter()
    for rate in RATES:
        settings = CalibrationSettings(false_match_rate=rate, max_queries=2000)
        calibrations[rate] = calibrate(enrolled, senders(schemes, seed=0), settings)
    seconds = (time.perf_counter() - started) / len(RATES)
    rows = []
    for scheme in schemes:
        scheme_id = scheme.info.id
        gallery = unit_rows(scheme.gallery(entries)).reshape(ENROLLED, 4, -1)
        sender = OverTheAir(scheme, links_of(scheme.info)[0], NOISE_SEED)
        for i, snr_db in enumerate(SNRS_DB):
            tracks = [
                fused_frames(sender, part.reshape(-1, FRAMES, part.shape[1]), snr_db, first)
                for part, first in ((known, i * 10**6), (impostors, i * 10**6 + 500_000))
            ]
            for frames in (1, 2, 4, 8):
                asked = [_queries(part, frames, gallery) for part in tracks]
                for rate in RATES:
                    row = _row(asked, scheme_id, calibrations[rate].policy, snr_db)
                    about = {"scheme": scheme_id, "snr_db": snr_db, "stated": rate}
                    rows.append({**about, "frames": frames, **row})
                    print(json.dumps(rows[-1]), flush=True)
    return {
        "people": f"synthetic(seed={SEED})",
        "enrolled": ENROLLED,
        "known": KNOWN,
        "strangers": IMPOSTORS,
        "bundle_id": bundle.bundle_id,
        "calibration_seconds": round(seconds, 1),
        "reports": {
            str(rate): calibration.report.model_dump(mode="json")
            for rate, calibration in calibrations.items()
        },
        "rows": rows,
    }


def _queries(
    tracks: list[list[FusedTrack]], frames: int, gallery: Array
) -> tuple[list[int], list[float], Array]:
    """Returns (person, SNR, best score of each subject) after so many frames, of the tracks
    that have them; gallery (subjects, entries, D)."""
    people = [i for i, track in enumerate(tracks) if len(track) >= frames]
    fused = [tracks[i][frames - 1] for i in people]
    if not fused:
        return [], [], np.empty((0, len(gallery)), np.float32)
    scores = (
        np.stack([track.embedding for track in fused]) @ gallery.reshape(-1, gallery.shape[2]).T
    )
    best = scores.reshape(len(fused), *gallery.shape[:2]).max(axis=2)
    return people, [track.snr_db for track in fused], best


def _row(
    asked: list[tuple[list[int], list[float], Array]],
    scheme_id: str,
    policy: MatchPolicy,
    snr_db: float,
) -> dict[str, Any]:
    """Makes a row: rates of the known and of impostors at the fused SNR's threshold and, for
    comparison, at the threshold of one frame's SNR and of 20 dB."""
    row: dict[str, Any] = {"queries": [len(people) for people, _, _ in asked]}
    for prefix, fixed_db in {"": None, "frame_": snr_db, "clear_": 20.0}.items():
        for name, (people, snrs, scores) in zip(("true", "false"), asked, strict=True):
            used = snrs if fixed_db is None else [fixed_db] * len(snrs)
            matched, best = verdicts(scores, used, scheme_id, policy)
            hits = [
                hit and (name == "false" or subject == person)
                for hit, subject, person in zip(matched, best, people, strict=True)
            ]
            row[f"{prefix}{name}_match"] = share(hits, people)
    return row


def draw(result: dict[str, Any], path: Path) -> None:
    """Draws thresholds by SNR, true matches by SNR and frames, and one threshold for all."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 3.6), dpi=130, layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for scheme in result["reports"]["0.01"]["schemes"]:
        points = [point for point in scheme["points"] if point["threshold"] is not None]
        if scheme["scheme_id"] != FEATURES:
            left.plot(
                [point["snr_db"] for point in points],
                [point["threshold"] for point in points],
                label=scheme["scheme_id"],
                **line_of(scheme["scheme_id"]).keywords,
            )
    left.set(title="score that a match needs, 1 %", xlabel="SNR (dB)", ylabel="cosine")

    def rows(frames: int) -> list[dict[str, Any]]:
        return [
            row
            for row in result["rows"]
            if (row["scheme"], row["stated"], row["frames"]) == ("jscc-ae-256", 0.05, frames)
        ]

    for frames, colour, marker in zip((1, 2, 4, 8), PALETTE, "os^D", strict=False):
        middle.plot(
            [row["snr_db"] for row in rows(frames)],
            [row["true_match"]["rate"] for row in rows(frames)],
            color=colour,
            marker=marker,
            markersize=4,
            label=f"{frames} frames" if frames > 1 else "1 frame",
        )
    middle.set(title="known people matched, 5 %", xlabel="SNR (dB)", ylim=(0, 1.02))
    for key, frames, label, colour, marker in (
        ("false_match", 1, "1 frame", PALETTE[0], "o"),
        ("false_match", 8, "8 frames", PALETTE[3], "D"),
        ("frame_false_match", 8, "8 frames, one frame's threshold", PALETTE[4], "v"),
    ):
        right.plot(
            [row["snr_db"] for row in rows(frames)],
            [row[key]["rate"] for row in rows(frames)],
            color=colour,
            marker=marker,
            markersize=4,
            label=label,
        )
    right.axhline(0.05, color=GREY, linestyle="--", label="stated")
    right.set(title="impostors matched, 5 %", xlabel="SNR (dB)", ylim=(0, 1.02))
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the features")
    cache: Path = parser.parse_args().cache
    cache.mkdir(parents=True, exist_ok=True)
    result = measure(cache)
    rows = ",\n".join(json.dumps(row) for row in result.pop("rows"))
    text = f'{json.dumps(result)[:-1]},\n"rows": [\n{rows}\n]}}\n'
    (DOCS / "results" / "matching.json").write_text(text, encoding="utf-8")
    draw(json.loads(text), DOCS / "images" / "matching.png")


if __name__ == "__main__":
    main()
