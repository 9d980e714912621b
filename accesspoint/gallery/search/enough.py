"""Searches that may end early: of a block whose best scores say that more of it must be heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from accesspoint.gallery.records import SearchResult
from airreid.nested.stopping import CANDIDATES

IsEnough = Callable[[int, list[float]], bool]
"""Tells by the cosines of a row's best ``CANDIDATES`` subjects, best first, whether it is answered
now. It is called once for each row."""


def only_enough(results: Sequence[SearchResult], is_enough: IsEnough) -> list[SearchResult | None]:
    """Returns the results of the rows that are answered now, None for the others."""
    return [
        result if is_enough(row, [match.score for match in result.matches[:CANDIDATES]]) else None
        for row, result in enumerate(results)
    ]
