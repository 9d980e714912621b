"""Recipes as they were written before fields had their present names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Fields = dict[str, Any]

_FIELDS = {
    "variation": "augmentation",
    "mirror": "flip",
    "colour": "colour_jitter",
    "light": "brightness",
    "erase": "random_erasing",
    "decay_all": "decay_bias_and_norm",
    "trade": "rate_lambda",
    "start": "init",
    "start_spread": "init_spread",
    "views": "augmented_copies",
    "keep_weight": "feature_weight",
}
"""Fields that were only renamed, wherever they stand in a step."""
_MOVED = {
    **_FIELDS,
    "batch": "batches.size",
    "lr": "learning.lr",
    "weight_decay": "learning.weight_decay",
    "prior_lr": "learning.prior_lr",
    "decoder_lr": "decoder_learning.lr",
    "snr_db_min": "snr_db.low",
    "snr_db_max": "snr_db.high",
    "identities_per_batch": "batches.identities",
    "images_per_identity": "batches.images",
}


def new_name(field: str) -> str | None:
    """Returns what an old field is called now, below its step; None for no old field."""
    return _MOVED.get(field)


def with_new_names(recipe: object) -> object:
    """Translates the JSON of a recipe with old field names; others come back unchanged."""
    if not isinstance(recipe, dict) or not isinstance(recipe.get("steps"), list | tuple):
        return recipe
    return {**recipe, "steps": [_step(step) for step in recipe["steps"]]}


def _step(step: object) -> object:
    renamed = _renamed(step)
    if isinstance(renamed, dict) and renamed.get("kind") in _HEADS:
        _HEADS[renamed["kind"]](renamed)
    return renamed


def _renamed(value: object) -> object:
    if isinstance(value, dict):
        return {_FIELDS.get(key, key): _renamed(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(entry) for entry in value]
    return value


def _autoencoder(step: Fields) -> None:
    if "batch" in step:
        step["batches"] = {"sampler": "shuffled", "size": step.pop("batch")}


def _codec(step: Fields) -> None:
    if "decoder_lr" in step:
        decay = step.get("weight_decay", 1e-4)
        step["decoder_learning"] = _adamw(step.pop("decoder_lr"), decay)
    if "snr_db_min" in step or "snr_db_max" in step:
        low, high = step.pop("snr_db_min", -10.0), step.pop("snr_db_max", 10.0)
        step["snr_db"] = {"low": low, "high": high}
    _retrieval(step, lr=1e-3)


def _digital(step: Fields) -> None:
    was_old = "lr" in step or "prior_lr" in step or "weight_decay" in step
    prior_lr = step.pop("prior_lr", 1e-2)
    if was_old:
        step.setdefault("lr", 3e-3)
    _retrieval(step, lr=3e-3)
    if was_old:
        step["learning"]["prior_lr"] = prior_lr


def _retrieval(step: Fields, lr: float) -> None:
    """Gathers the optimiser's and the batches' fields of a step, with their old defaults."""
    if "lr" in step or "weight_decay" in step:
        step["learning"] = _adamw(step.pop("lr", lr), step.pop("weight_decay", 1e-4))
    if "identities_per_batch" in step or "images_per_identity" in step:
        people, images = step.pop("identities_per_batch", 128), step.pop("images_per_identity", 4)
        step["batches"] = {"sampler": "identities", "identities": people, "images": images}


def _adamw(lr: object, weight_decay: object) -> Fields:
    return {"optimizer": "adamw", "lr": lr, "weight_decay": weight_decay}


_HEADS: dict[str, Callable[[Fields], None]] = {
    "autoencoder": _autoencoder,
    "codec": _codec,
    "digital": _digital,
}
