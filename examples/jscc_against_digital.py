"""Accuracy over SNR: a JSCC scheme against a digital one of the same bandwidth, plotted.

Usage: jscc_against_digital.py [FILE.png]; the plot goes to jscc_against_digital.png without it, and
beside that as SVG and PDF.
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

import airreid
from airreid.curve_style import line_of, save

SNRS_DB = (-10, -6, -3, 0, 3, 6, 10)
people, queries = airreid.synthetic_people(20)
bundle = airreid.load_bundle()
model = airreid.Model(bundle)
features = model.features(queries.images), model.features(people.images)
figure = Figure(figsize=(6, 4), layout="constrained")
axes = figure.add_subplot(xlabel="SNR per real channel use (dB)", ylabel="rank-1", ylim=(0, 1.02))
for scheme_id, link in (("jscc-ae-256", "analog"), ("digital-256", "coded")):
    gallery = airreid.Gallery(airreid.Model(bundle, scheme_id))
    gallery.add(features[1], people.subjects, people.cameras)
    values, errors = [], []
    for snr_db in SNRS_DB:
        radio = airreid.channel("awgn", snr_db=snr_db)
        labels = queries.subjects, queries.cameras
        result = airreid.evaluate(gallery, features[0], *labels, radio, seeds=3, link=link)
        values.append(result.top1.value)
        errors.append(result.top1.half_width)
        print(f"{scheme_id:12s} {snr_db:+3d} dB  rank-1 {values[-1]:.3f} ± {errors[-1]:.3f}")
    look = line_of(scheme_id, link).keywords
    axes.errorbar(SNRS_DB, values, errors, capsize=3, label=f"{scheme_id}, {link}", **look)
axes.grid(alpha=0.3)
axes.legend()
path = Path(sys.argv[1] if len(sys.argv) > 1 else "jscc_against_digital.png")
print("plot in", *save(figure, path))
