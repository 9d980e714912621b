"""Names of the parts of data sets, which are nobody's names."""

from __future__ import annotations

import re

_CERTAIN = frozenset(
    {
        *("train", "test", "val", "query", "gallery", "bounding_box_train", "bounding_box_test"),
        *("mask_train_v2", "mask_test_v2", "labeled", "detected", "images_labeled"),
        *("images_detected",),
    }
)
"""Parts of data sets that are read; no person is called so."""
_USUAL = re.compile(
    r"(?:(?:bounding_box|bbox|images?|img|mask|crops?)[-_ ]?)?"
    r"(?:train(?:ing|val)?|test(?:ing)?|val(?:id(?:ation)?)?|quer(?:y|ies)|probes?|gallery"
    r"|labell?ed|detected|distractors?)"
    r"(?:[-_ ]?(?:set|split|images?|v\d|all))?"
)
"""Parts of any data set, whatever the case; one of them alone may be somebody's name."""


def is_part(name: str) -> bool:
    """Whether a folder is called as parts of data sets are."""
    return _USUAL.fullmatch(name.casefold()) is not None


def parts_among(names: list[str]) -> list[str]:
    """Returns the names of parts, sorted; none where only one is and it may be a person."""
    parts = sorted(name for name in names if is_part(name))
    return parts if len(parts) > 1 or _CERTAIN.intersection(parts) else []
