"""Check of what a recipe asks of its images, before anything is trained."""

from __future__ import annotations

from airreid.errors import InputError
from airreid.nested.pieces import PIECE
from airreid.scheme_kinds import bandwidth_of
from training.models.backbone import KINDS
from training.recipes.recipe import Recipe
from training.recipes.steps import BackboneStep, ClosedFormStep, CodecStep, DigitalStep
from training.runs.folder import ImageSets
from training.steps.held_out import split


def check_wishes(recipe: Recipe, sets: ImageSets) -> None:
    """Raises :class:`InputError` for what a step would refuse hours later.

    That is a linear code of more channel uses than the feature has values, fewer images than a
    nested code needs, too few people to hold any out, and people who were all seen by one camera,
    of whom nothing can be measured.
    """
    features = 0
    for step in recipe.steps:
        if isinstance(step, BackboneStep):
            features = KINDS[step.backbone].dim if step.backbone in KINDS else 0
        elif isinstance(step, CodecStep) and features:
            for scheme_id in step.schemes:
                if bandwidth_of(scheme_id) > features:
                    raise InputError(
                        f"scheme {scheme_id}: more channel uses than the {features} values of the "
                        "backbone's feature; ask for fewer, or take a backbone of more values"
                    )
    for images in {sets.train.name: sets.train, sets.codec.name: sets.codec}.values():
        if len({sample.camera for sample in images.samples}) < 2:
            raise InputError(
                f"{images.name}: everybody was seen by one camera; training to find people again "
                "needs pictures of the same people by a second one"
            )
    for step in recipe.steps:
        if isinstance(step, ClosedFormStep) and step.schemes and len(sets.codec) <= PIECE:
            raise InputError(
                f"{sets.codec.name}: {len(sets.codec)} images; a nested code needs more than the "
                f"{PIECE} uses of a piece: give more, or --set {step.name}.schemes=[]"
            )
    if any(isinstance(step, CodecStep | DigitalStep) for step in recipe.steps):
        split(sets.codec.labels(), sets.codec.cameras(), recipe.seed)
