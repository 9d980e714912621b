"""Sums over the queries since the start: outcomes, right answers by SNR, cameras."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

BUCKET_DB = 2
"""Width of the SNR ranges by which answers with a known truth are counted."""
CAMERAS_MAX = 50
"""Cameras that are remembered, those heard last."""


@dataclass
class Camera:
    """Sums over the queries of one camera."""

    name: str
    queries: int = 0
    lost: int = 0
    time: float = 0.0
    """Time of the last query, in seconds since 1970."""
    snr_db: float | None = None
    """SNR of the last query; None without a radio."""


def outcome(event: Mapping[str, Any]) -> str:
    """Returns match, ambiguous, unknown, unspecified (only ranked), outage or refused."""
    if event["outage"]:
        return "outage"
    if event["code"] != "ok":
        return "refused"
    return str(event["decision"])


class Tally:
    """Sums over query events; not for several threads at once."""

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._known: Counter[str] = Counter()
        self._uses: Counter[str] = Counter()
        self._buckets: dict[int, list[int]] = {}
        self._cameras: OrderedDict[str, Camera] = OrderedDict()

    def add(self, event: Mapping[str, Any]) -> None:
        """Counts an event of type query; an outage is not right, a refusal is neither."""
        kind = outcome(event)
        self._outcomes[kind] += 1
        self._hear(event, kind)
        if event["uses"] and event["bandwidth"]:
            self._uses["blocks"] += 1
            self._uses["heard"] += event["uses"]
            self._uses["whole"] += event["bandwidth"]
        if not event["truth"] or kind == "refused":
            return
        ranked = event["identities"]
        right = kind != "outage" and bool(ranked) and ranked[0]["subject"] == event["truth"]
        self._known["all"] += 1
        self._known["right"] += right
        snr_db = event["snr_db"]
        if snr_db is not None and math.isfinite(snr_db):
            low = math.floor(min(max(snr_db, -100.0), 100.0) / BUCKET_DB) * BUCKET_DB
            bucket = self._buckets.setdefault(low, [0, 0])
            bucket[0] += 1
            bucket[1] += right

    def _hear(self, event: Mapping[str, Any], kind: str) -> None:
        name = event["edge_id"]
        camera = self._cameras.setdefault(name, Camera(name))
        camera.queries += 1
        camera.lost += kind == "outage"
        camera.time, camera.snr_db = event["time"], event["snr_db"]
        self._cameras.move_to_end(name)
        if len(self._cameras) > CAMERAS_MAX:
            self._cameras.popitem(last=False)

    def event(self) -> dict[str, Any]:
        """Returns the sums as an event of type tally, plain values for JSON.

        ``pieces``: of the blocks in pieces, their number, the channel uses that were
        heard, and those of whole blocks.
        """
        return {
            "type": "tally",
            "queries": self._outcomes.total(),
            "outcomes": dict(self._outcomes),
            "known": self._known["all"],
            "right": self._known["right"],
            "pieces": {name: self._uses[name] for name in ("blocks", "heard", "whole")},
            "buckets": [
                {"low": low, "all": every, "right": right}
                for low, (every, right) in sorted(self._buckets.items())
            ],
            "cameras": [asdict(camera) for camera in self._cameras.values()],
        }
