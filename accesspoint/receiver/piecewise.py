"""Search for blocks of nested schemes: is enough of a block heard, and what its scores are."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from accesspoint.gallery.records import SearchResult
from accesspoint.gallery.searchable import SearchableGallery
from accesspoint.matching.tracks import TrackFusion
from accesspoint.receiver.deciding import captured_at
from accesspoint.receiver.recent_snrs import RecentSnrs
from accesspoint.receiver.requests import cost
from accesspoint.receiver.responses import depth_of, write_more_wanted
from airreid.bundle import Bundle
from airreid.nested.pieces import Combined, combine_frames, part_name
from airreid.nested.stopping import CANDIDATES, StoppingRule, StoppingSettings, next_uses
from airreid.scheme_info import NestedInfo

if TYPE_CHECKING:
    from accesspoint.receiver.blocks import Block

Array = NDArray[np.float32]


class PiecewiseSearch:
    """Part of a receiver that knows blocks which may end after any of their pieces."""

    def __init__(
        self,
        bundle: Bundle,
        gallery: SearchableGallery,
        settings: StoppingSettings,
        links: RecentSnrs,
        tracks: TrackFusion | None = None,
    ) -> None:
        """``links``: SNRs of late, by which the uses of a camera's next blocks are advised.

        ``tracks``: earlier frames of a block's track, which count as heard.
        """
        self._gallery = gallery
        self._settings = settings
        self._links = links
        self._tracks = tracks
        self.infos = {
            info.id: info for info in bundle.manifest.schemes if isinstance(info, NestedInfo)
        }

    def heard_enough(
        self,
        scheme_id: str,
        blocks: Sequence[Block],
        embeddings: Array,
        rule: StoppingRule | None = None,
    ) -> dict[int, SearchResult | None]:
        """Returns the rows of the blocks to answer now; writes to the others what is wanted.

        embeddings: (n, dim), of the blocks in order. rule: in place of the bundle's. Blocks of
        other schemes, those whose camera sends no more of them, and those without a name to hold
        pieces by are all answered. A row has the result of its search where that was made, as deep
        as its request asks for.
        """
        info = self.infos.get(scheme_id)
        rows: dict[int, SearchResult | None] = dict.fromkeys(range(len(blocks)))
        if info is None:
            return rows
        rule = rule or info.stopping
        asking = [
            row
            for row, block in enumerate(blocks)
            if block.request.more_available and block.running is not None
        ]
        for row, block in enumerate(blocks):
            block.response.uses_heard = block.heard_uses or _uses(embeddings[row], info)
        known = {
            row: together
            for row in asking
            if (together := self._with_track(info, rule, blocks[row], embeddings[row]))
        }
        if known:  # their answers are searched for with their tracks
            symbols = np.stack([together.symbols for together in known.values()])
            searched = self._gallery.search(scheme_id, symbols, CANDIDATES, 0)
            for (row, together), result in zip(known.items(), searched, strict=True):
                scores = [match.score for match in result.matches[:CANDIDATES]]
                if self._asks_for_more(info, rule, blocks[row], together, scores):
                    del rows[row]
            asking = [row for row in asking if row not in known]
        usual = [row for row in asking if cost(blocks[row].request) == 1]
        dear = [row for row in asking if cost(blocks[row].request) > 1]
        for group, deep in ((usual, self._tracks is None), (dear, False)):
            if not group:
                continue
            chosen = [blocks[row] for row in group]
            results = self._continued(info, rule, chosen, embeddings[group], deep)
            for row, outcome in zip(group, results, strict=True):
                if outcome is None:
                    del rows[row]
                elif deep:
                    rows[row] = outcome
        if rule is not None:
            for row in rows:
                self._write_advice(info, rule, blocks[row])
        return rows

    def _write_advice(self, info: NestedInfo, rule: StoppingRule, block: Block) -> None:
        """Writes to an answer how many uses the camera should send of its next blocks."""
        recent = self._links.of(block.request.id.edge_id)
        snr_db = _report_db(block) if recent is None else recent.snr_db
        fused = self._tracks is not None and bool(block.request.track_id)
        limit = self._settings.limit(info.bandwidth, info.piece)
        block.response.first_uses = info.piece if fused else min(rule.first(snr_db), limit)
        block.response.fixed_uses = rule.fixed(snr_db)

    def _continued(
        self,
        info: NestedInfo,
        rule: StoppingRule | None,
        blocks: Sequence[Block],
        embeddings: Array,
        deep: bool,
    ) -> list[SearchResult | None]:
        """Searches for blocks whose scores are kept; None for those that more is wanted of.

        ``deep``: as deep as their requests ask for; else a result says nothing but that it is one.
        """

        def is_enough(row: int, scores: list[float]) -> bool:
            heard = Combined(embeddings[row], blocks[row].snr_db)
            return not self._asks_for_more(info, rule, blocks[row], heard, scores)

        requests = [block.request for block in blocks]
        return self._gallery.continue_search(
            info.id,
            embeddings,
            [block.running for block in blocks if block.running is not None],
            depth_of(requests) if deep else 0,
            max(request.top_entries for request in requests) if deep else 0,
            is_enough,
        )

    def _asks_for_more(
        self,
        info: NestedInfo,
        rule: StoppingRule | None,
        block: Block,
        heard: Combined,
        scores: list[float],
    ) -> bool:
        """Writes to a block what is wanted next, if anything; returns whether it is.

        scores: cosines of the best identities, with gallery rows of length sqrt(B).
        """
        if not scores:
            return False  # nobody to find: more of the block changes nothing
        length = math.sqrt(float(np.dot(heard.symbols, heard.symbols)) * info.bandwidth)
        wanted = next_uses(
            rule,
            self._settings,
            (info.bandwidth, info.piece),
            block.response.uses_heard,
            [score * length for score in scores],
            (_report_db(block), heard.snr_db),
        )
        if wanted:
            write_more_wanted(block.response, wanted)
        return bool(wanted)

    def _with_track(
        self, info: NestedInfo, rule: StoppingRule | None, block: Block, embedding: Array
    ) -> Combined | None:
        """Returns a block together with the earlier frames of its track; None without any."""
        request = block.request
        if self._tracks is None or rule is None or not request.track_id:
            return None
        name = (request.id.edge_id, request.track_id, info.id)
        earlier = self._tracks.earlier(*name, captured_at(request))
        if not earlier:
            return None
        return combine_frames([*earlier, (embedding, block.snr_db)], info.piece, rule.mismatch)

    def scaled(
        self, scheme_id: str, embedding: Array, result: SearchResult, calibrated: Container[str]
    ) -> tuple[str, SearchResult]:
        """Returns a search's scores as cosines of the pieces heard, and the name to decide by.

        Thresholds made for a whole block do not hold for a part of it: a part goes by those of
        the next smaller part that is ``calibrated``, which are stricter.
        """
        info = self.infos.get(scheme_id)
        uses = 0 if info is None else _uses(embedding, info)
        if info is None or uses in (0, info.bandwidth):
            return scheme_id, result
        factor = float(np.sqrt(info.bandwidth / uses))
        matches = [replace(match, score=_cosine(match.score * factor)) for match in result.matches]
        scores = np.clip(result.scores * np.float32(factor), -1.0, 1.0)
        names = (part_name(scheme_id, part) for part in range(uses, 0, -info.piece))
        name = next((name for name in names if name in calibrated), part_name(scheme_id, uses))
        return name, SearchResult(matches, result.entry_ids, scores)


def _cosine(value: float) -> float:
    return max(-1.0, min(1.0, value))


def _uses(embedding: Array, info: NestedInfo) -> int:
    """The uses of the pieces that an embedding has: the others are zeros."""
    heard = np.flatnonzero(embedding)
    return 0 if not len(heard) else (int(heard[-1]) // info.piece + 1) * info.piece


def _report_db(block: Block) -> float:
    """The SNR of a single piece: the channel's report, or what is assumed of a direct link."""
    return block.response.channel.snr_db if block.response.HasField("channel") else block.snr_db
