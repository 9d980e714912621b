"""The protocols in plain Python, word for word, for tests and as a benchmark's peer."""

from __future__ import annotations

import math
from collections.abc import Sequence

Item = tuple[int, int]
"""(identity, camera)"""


def measures(
    scores: Sequence[Sequence[float]],
    queries: Sequence[Item],
    gallery: Sequence[Item],
    lost: Sequence[bool] | None = None,
) -> dict[str, float]:
    """CMC-1/5/10, mAP and mINP from scores (Q, N); nan everywhere if no query counts."""
    cmc = {1: 0, 5: 0, 10: 0}
    precisions, penalties = [], []
    for q, (identity, camera) in enumerate(queries):
        ranked = []
        for g, (whose, by) in enumerate(gallery):
            if whose == -1:
                continue  # junk
            if whose == identity and by == camera:
                continue  # the same picture-taking occasion
            ranked.append(g)
        # Highest score first; of equal ones the earlier in the gallery.
        ranked.sort(key=lambda g: (-scores[q][g], g))
        right = [gallery[g][0] == identity for g in ranked]
        if identity == -1 or not any(right):
            continue
        if lost is not None and lost[q]:
            precisions.append(0.0)
            penalties.append(0.0)
            continue
        for k in cmc:
            cmc[k] += any(right[:k])
        hits, total, last = 0, 0.0, 0
        for position, hit in enumerate(right, 1):
            if hit:
                hits += 1
                total += hits / position
                last = position
        precisions.append(total / hits)
        penalties.append(hits / last)
    count = len(precisions)
    if not count:
        return {"queries": 0} | dict.fromkeys(("top1", "top5", "top10", "map", "minp"), math.nan)
    return {
        "queries": count,
        "top1": cmc[1] / count,
        "top5": cmc[5] / count,
        "top10": cmc[10] / count,
        "map": sum(precisions) / count,
        "minp": sum(penalties) / count,
    }


def cosines(
    queries: Sequence[Sequence[float]], gallery: Sequence[Sequence[float]]
) -> list[list[float]]:
    """Exactly rounded sums; 0 where a vector is zero."""

    def length(v: Sequence[float]) -> float:
        return math.sqrt(math.fsum(x * x for x in v)) or 1.0

    return [
        [
            math.fsum(a * b for a, b in zip(q, g, strict=True)) / length(q) / length(g)
            for g in gallery
        ]
        for q in queries
    ]
