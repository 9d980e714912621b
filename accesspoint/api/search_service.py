"""Search and verification without a radio, and the documents that decide on matches."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from accesspoint.api.audit import Audit
from accesspoint.api.auth import Principal
from accesspoint.api.enrolment import (
    DuplicateCheck,
    Encoder,
    ImageCheck,
    ImageVerdict,
    Source,
    feature_of,
)
from accesspoint.errors import (
    ConflictError,
    NotFoundError,
    NotReadyError,
    QualityError,
    StorageError,
)
from accesspoint.gallery.opening import ServedGallery, writable_part
from accesspoint.gallery.records import Entry, NewEntry, SearchResult
from accesspoint.gallery.store.database import READ_ONLY
from accesspoint.matching import policy as policies
from accesspoint.matching import quality
from accesspoint.matching.decision import Decision, decide
from accesspoint.matching.near_duplicates import duplicate_warnings
from accesspoint.matching.policy import FEATURES, MatchPolicy
from accesspoint.matching.quality import QualityGate
from airreid import log
from airreid.bundle import Bundle
from airreid.errors import AirReidError, InputError
from airreid.retrieval import cosine
from airreid.scheme import DIRECT_SNR_DB, links_of
from airreid.scheme_kinds import scheme_kinds
from airreid.subject_ids import ID_MAX

TOP_DEFAULT, TOP_MAX = 10, 1000
_ENTRIES_AT_ONCE = 1000
_VERIFIED_MAX = 100
"""Entries of a subject that are compared exactly: those that the index says are nearest. What it
holds of them differs by 1e-5 at most."""
_DOCUMENT_MAX = 60_000
"""Longest document, in characters: a row of Milvus takes no more, and readers hear of it there."""
_GIVEN_MAX = 2 * _DOCUMENT_MAX
"""Longest document that is parsed: one may be given with more white space than it is kept with."""


@dataclass(frozen=True)
class Answer:
    """Outcome of a search."""

    result: SearchResult
    entries: list[Entry]
    """The best entries, in the result's order."""
    decision: Decision
    scheme: str
    """Scheme whose embeddings were compared."""


@dataclass(frozen=True)
class Verification:
    """Outcome of a verification."""

    score: float
    """Cosine similarity of the subject's best entry."""
    entry_id: int
    decision: Decision
    scheme: str
    """Scheme whose embeddings were compared."""


def usual_scheme(bundle: Bundle, calibrated: Collection[str]) -> str:
    """Returns the scheme that images are searched by unless the caller names one.

    It is the JSCC scheme of the largest bandwidth, a calibrated one before one that is not:
    its encoder has learned what to forget of a camera, which the backbone's own features
    keep. Where there is no such scheme it is ``features``.
    """
    space = bundle.backbone.space_id
    analog = [
        info
        for info in bundle.manifest.schemes
        if info.space_id == space and "analog" in links_of(info)
    ]
    if not analog:
        return FEATURES
    order = [kind.name for kind in scheme_kinds()]
    best = max(
        analog,
        key=lambda info: (info.id in calibrated, info.bandwidth, -order.index(info.kind)),
    )
    return best.id


class SearchService:
    """Searches and verifications without a radio in between; safe in any thread.

    What is compared are a scheme's embeddings as the gallery holds them, without noise,
    or, for the scheme ``features``, the backbone's features. An empty scheme means
    :func:`usual_scheme`.
    """

    def __init__(
        self, bundle: Bundle, gallery: ServedGallery, encoder: Encoder, audit: Audit
    ) -> None:
        self._bundle = bundle
        self._gallery = gallery
        self._encoder = encoder
        self.audit = audit

    def _scheme(self, scheme: str) -> str:
        known = (FEATURES, *self._bundle.scheme_ids)
        if scheme and scheme not in known:
            raise InputError(f"scheme {scheme[:64]!r}: there are {', '.join(known)}")
        return scheme or usual_scheme(self._bundle, self.match_policy().schemes)

    def _embedded(self, scheme: str, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return features if scheme == FEATURES else self._gallery.scheme(scheme).gallery(features)

    def search(self, source: Source, top_k: int, top_entries: int, scheme: str = "") -> Answer:
        """Searches for the best subjects (0 asks for 10 of them) and, if asked for, entries."""
        for what, asked in (("top_k", top_k), ("top_entries", top_entries)):
            if not 0 <= asked <= TOP_MAX:
                raise InputError(f"{what} {asked}: use 1 to {TOP_MAX}")
        scheme = self._scheme(scheme)
        feature = feature_of(source, self._encoder, self._gallery)
        embedding = self._embedded(scheme, feature[None])
        top_k = top_k or TOP_DEFAULT
        # two at least: a decision looks at the second subject too
        [result] = self._gallery.search(scheme, embedding, max(top_k, 2), top_entries)
        ranked = [(match.subject, match.score) for match in result.matches]
        decision = decide(ranked, scheme, DIRECT_SNR_DB, self.match_policy())
        # one that is only searched answers as long as nobody asks for entries
        entries = [writable_part(self._gallery).entry(int(number)) for number in result.entry_ids]
        present = [i for i, entry in enumerate(entries) if entry is not None]
        return Answer(
            SearchResult(result.matches[:top_k], result.entry_ids[present], result.scores[present]),
            [entry for entry in entries if entry is not None],
            decision,
            scheme,
        )

    def verify(self, subject: str, source: Source, scheme: str = "") -> Verification:
        """Compares a source with the best entry of a subject, exactly."""
        gallery = writable_part(self._gallery)
        if gallery.subjects.get(subject[:200]) is None:
            raise NotFoundError(f"no subject {subject[:ID_MAX]!r}")
        scheme = self._scheme(scheme)
        feature = feature_of(source, self._encoder, self._gallery)
        embedding = self._embedded(scheme, feature[None])
        numbers = gallery.store.entry_numbers(subject, gallery.space_id)
        numbers = gallery.nearest_of(scheme, embedding[0], numbers, _VERIFIED_MAX)
        best, best_id = -np.inf, 0
        for start in range(0, len(numbers), _ENTRIES_AT_ONCE):
            chosen = numbers[start : start + _ENTRIES_AT_ONCE].tolist()
            stored = gallery.store.features(chosen, gallery.space_id)
            if not len(stored.ids):
                continue
            scores = cosine(embedding, self._embedded(scheme, stored.features))[0]
            top = int(scores.argmax())
            if scores[top] > best:
                best, best_id = float(scores[top]), int(stored.ids[top])
        if not best_id:
            raise NotFoundError(f"subject {subject!r} has no entries to compare with")
        # one subject alone: the margin rule has nobody else to look at
        decision = decide([(subject, best)], scheme, DIRECT_SNR_DB, self.match_policy())
        return Verification(best, best_id, decision, scheme)

    # Policy

    def enrolled_counts(self) -> tuple[int, int]:
        """Returns how many (subjects, cameras) have entries that can be calibrated with; 2 cameras
        are two or more.

        Raises :class:`ConflictError` where the gallery cannot be changed.
        """
        store = writable_part(self._gallery).store
        if store.database.read_only:
            raise ConflictError(READ_ONLY)
        return store.space_counts(self._gallery.space_id)

    def match_policy(self) -> MatchPolicy:
        """Returns the match policy in force: the default where that which is kept is damaged."""
        try:
            return policies.load_policy(self._gallery.setting(policies.SETTING))
        except InputError as error:
            log.warning("match_policy_unusable", error=str(error))
            return MatchPolicy()

    def quality_gate(self) -> QualityGate:
        """Returns the quality gate in force: the default where that which is kept is damaged."""
        try:
            return quality.load_gate(self._gallery.setting(quality.SETTING))
        except InputError as error:
            log.warning("quality_gate_unusable", error=str(error))
            return QualityGate()

    def policy(self) -> tuple[str, str]:
        """Returns the documents in force as JSON: the match policy and the quality gate.

        Raises :class:`StorageError` where one that is kept is damaged.
        """
        try:
            match_policy = policies.load_policy(self._gallery.setting(policies.SETTING))
            quality_gate = quality.load_gate(self._gallery.setting(quality.SETTING))
        except InputError as error:
            raise StorageError(
                f"what the gallery keeps is damaged ({error}), and the default is in force; set "
                "it again, or restore a backup"
            ) from None
        return match_policy.model_dump_json(), quality_gate.model_dump_json()

    def previous_policy(self) -> str:
        """Returns the match policy before the one in force as JSON; empty where there is none."""
        return self._gallery.setting(policies.PREVIOUS) or ""

    def set_policy(self, who: Principal, match_policy: str, quality_gate: str) -> None:
        """Sets the documents that are given, both or none; an empty text leaves one as it is."""
        for what, text in (("match_policy", match_policy), ("quality_gate", quality_gate)):
            if len(text) > _GIVEN_MAX:
                raise InputError(f"{what}: {len(text)} characters; {_DOCUMENT_MAX} at most")
        checked: dict[str, str] = {}
        if match_policy:
            checked[policies.SETTING] = policies.load_policy(match_policy).model_dump_json()
        if quality_gate:
            checked[quality.SETTING] = quality.load_gate(quality_gate).model_dump_json()
        for name, document in checked.items():
            if len(document) > _DOCUMENT_MAX:
                raise InputError(f"{name}: {len(document)} characters; {_DOCUMENT_MAX} at most")
        self.audit.check()
        before = self.match_policy().model_dump_json()
        if checked.get(policies.SETTING, before) != before:
            self._gallery.set_setting(policies.PREVIOUS, before)
        for name, document in checked.items():
            self._gallery.set_setting(name, document)
            self.audit.record(who, f"set_{name}", document=document)

    # Checks for enrolment

    def image_check(self) -> ImageCheck:
        """Returns the check of images by the operator's settings of now."""
        gate = self.quality_gate()

        def assess(image: Image.Image, name: str) -> ImageVerdict:
            if gate.mode == "off":
                return ImageVerdict()
            assessed = quality.assess(image, gate)
            warnings = quality.pass_gate(assessed.reasons, gate, name)
            return ImageVerdict(assessed.score, warnings)

        return assess

    def near_duplicates(self) -> DuplicateCheck:
        """Returns the check whether new entries are much like somebody else's, or repeated."""
        gate, policy = self.quality_gate(), self.match_policy()

        def compare(entries: Sequence[NewEntry]) -> list[tuple[str, ...] | AirReidError]:
            if gate.mode == "off" or not entries:
                return [()] * len(entries)
            features = np.stack([entry.feature for entry in entries]).astype(np.float32)
            subjects = [entry.subject for entry in entries]
            writable = self._gallery.writable
            again = {
                row
                for row, entry in enumerate(entries)
                if writable and writable.store.has_key(entry.subject, entry.key, entry.space_id)
            }
            try:
                reasons = duplicate_warnings(features, subjects, self._gallery, gate, policy, again)
            except NotReadyError as error:  # its server is away: the store is not
                if writable is None or not writable.is_remote:
                    raise
                log.warning("not_compared", entries=len(entries), reason=str(error))
                return [(f"not compared with the gallery: {error}",)] * len(entries)
            verdicts: list[tuple[str, ...] | AirReidError] = []
            for entry, entry_reasons in zip(entries, reasons, strict=True):
                name = f"entry of {entry.subject}"
                try:
                    verdicts.append(quality.pass_gate(entry_reasons, gate, name))
                except QualityError as error:
                    verdicts.append(error)
            return verdicts

        return compare
