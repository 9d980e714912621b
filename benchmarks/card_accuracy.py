"""Accuracy in the card of a bundle of the demo recipe, measured anew.

    python -m benchmarks.card_accuracy BUNDLE --run runs/demo --before OLD_BUNDLE

For a bundle whose weights ``airreid bundle requantise`` has rounded anew: its card has no accuracy
any more. Measured as ``airreid train run demo`` does, on the recipe's validation people. PCA is
fitted on features of the people whom the codecs were trained on, kept in ``--run`` or computed
there. From the bundle before come the rates that only training can estimate and the accuracy of
the fp32 graph; top-1 without a channel is compared with its own, over the same queries. Writes
BUNDLE/manifest.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from airreid.bundle import Bundle, load_bundle, write_manifest
from airreid.errors import InputError
from airreid.evaluation.comparison import pca_comparison
from airreid.evaluation.retrieval_features import no_channel_bound, paired_difference
from airreid.model_card import Accuracy, ModelCard
from training.card.accuracy import CARD_SEEDS, CARD_SNRS_DB, protocol, validation_features
from training.card.digital_accuracy import digital_accuracy
from training.engine.progress import Report, SilentReport
from training.recipes.load import load_recipe
from training.runs.folder import image_sets, kept_features


def measured(bundle: Bundle, before: Bundle, run: Path, report: Report) -> ModelCard:
    """Makes the card of a requantised bundle, with its accuracy.

    ``run``: folder in which features of the codecs' people are, or will be.
    Raises :class:`InputError` where one of the bundles cannot be compared.
    """
    card, earlier = bundle.manifest.provenance, before.manifest.provenance.accuracy
    if not card.requantised or card.requantised[-1].from_bundle != before.bundle_id:
        raise InputError(f"{bundle.path}: was not made of {before.path}; give that as --before")
    if earlier is None or bundle.scheme_ids != before.scheme_ids:
        raise InputError(f"{before.path}: has no accuracy of the same schemes in its card")
    sets = image_sets(load_recipe("demo", []), None)
    if sets.validation is None:
        raise InputError("recipe demo: holds nobody out")
    graph, space = bundle.file(bundle.backbone.file), bundle.backbone.space_id
    fitted_on = kept_features(graph, sets.codec, run, space, run / "cache", report)
    people, people_before = (
        validation_features(each, sets.validation, run / "cache", report)
        for each in (bundle, before)
    )
    bound = no_channel_bound(people)
    change, half_width = paired_difference(bound, no_channel_bound(people_before))
    estimates = {
        row.scheme: row.model_copy(update={"bits_noise_estimate_of": before.bundle_id})
        for row in earlier.digital
    }
    accuracy = Accuracy(
        protocol=protocol(sets.validation, people),
        noiseless_int8_top1=round(bound.top1, 4),
        noiseless_fp32_top1=earlier.noiseless_fp32_top1,
        over_the_air=tuple(pca_comparison(bundle, people, fitted_on, CARD_SNRS_DB, CARD_SEEDS)),
        digital=tuple(digital_accuracy(bundle, people, fitted_on, estimates)),
    )
    changed = {"top1_change": round(change, 4), "top1_change_half_width": round(half_width, 4)}
    records = (*card.requantised[:-1], card.requantised[-1].model_copy(update=changed))
    return card.model_copy(update={"accuracy": accuracy, "requantised": records})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, help="made by 'airreid bundle requantise'")
    parser.add_argument("--before", type=Path, required=True, help="bundle that it was made of")
    parser.add_argument("--run", type=Path, help="folder of 'train run demo'; a passing one if not")
    given = parser.parse_args()
    bundle = load_bundle(given.bundle)
    with TemporaryDirectory() as folder:
        run = given.run or Path(folder)
        card = measured(bundle, load_bundle(given.before), run, SilentReport())
    update = {"provenance": card}
    bundle = write_manifest(bundle.path, bundle.manifest.model_copy(update=update))
    print(f"{bundle.path}: bundle {bundle.bundle_id}")
    print(card.model_dump_json(indent=2, include={"accuracy", "requantised"}))


if __name__ == "__main__":
    main()
