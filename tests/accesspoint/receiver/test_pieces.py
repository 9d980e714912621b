"""Blocks that come piece by piece: one answer each, from the pieces of one sending."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from accesspoint.errors import NotReadyError
from accesspoint.gallery.gallery import Gallery
from accesspoint.gallery.records import NewEntry
from accesspoint.gallery.store.store import Store
from accesspoint.matching.calibrate import calibrate, senders
from accesspoint.matching.calibration_settings import CalibrationSettings
from accesspoint.matching.policy import MatchPolicy, Point, Table, load_policy
from accesspoint.matching.tracks import TrackFusion, TrackSettings
from accesspoint.matching.trials import Enrolled
from accesspoint.receiver.deciding import PolicyReader
from airreid.bundle import Bundle
from airreid.nested.pieces import HeardPieces, pieces_of
from airreid.nested.stopping import CANDIDATES, StoppingSettings, next_uses
from airreid.noise import NoiseStream
from airreid.offline import transmit_pieces
from airreid.payload import Analog
from airreid.retrieval import cosine
from airreid.scheme_info import NestedInfo
from airreid.scheme_kinds import open_scheme
from airreid.v1 import common_pb2, uplink_pb2

from ...nested_bundle import SCHEME, nested_bundle, seen_people
from .support import Gated, PieceCamera, Stream, served, until

COUNT = 40
FEATURES, LABELS = seen_people(COUNT, seed=3)
ENROLLED, ASKED = FEATURES[LABELS.camera == 0], FEATURES[LABELS.camera == 1]


@pytest.fixture
def bundle(nested: Bundle) -> Bundle:
    return nested


@contextlib.contextmanager
def opened(folder: Path, bundle: Bundle) -> Iterator[Gallery]:
    """A gallery in a folder, closed at the end of the block."""
    with (
        contextlib.closing(Store(folder)) as store,
        contextlib.closing(Gallery(store, bundle, 1)) as gallery,
    ):
        yield gallery


@pytest.fixture
def gallery(bundle: Bundle, tmp_path: Path) -> Iterator[Gallery]:
    with opened(tmp_path / "data", bundle) as gallery:
        space = gallery.space_id
        gallery.enrol([NewEntry(f"p{i}", "c", space, row) for i, row in enumerate(ENROLLED)])
        yield gallery


@pytest.fixture
def receiver(bundle: Bundle, gallery: Gallery) -> Gated:
    return Gated(bundle, gallery)


class Camera(PieceCamera[Analog]):
    def __init__(self, bundle: Bundle, snr_db: float = 3.0) -> None:
        self.info = bundle.scheme(SCHEME)
        self.scheme = open_scheme(bundle, self.info, 1)
        whole = [p for p in self.scheme.pack(ASKED, "analog") if isinstance(p, Analog)]
        super().__init__(bundle.bundle_id, SCHEME, whole[:COUNT], snr_db)

    async def converse(
        self, stream: Stream, sequence: int, first_uses: int = 32
    ) -> tuple[uplink_pb2.QueryResponse, list[int]]:
        """Sends a block's pieces as they are asked for; the answer, and what was asked."""
        sent, asked = 0, [first_uses]
        while True:
            await stream.send(self.message(sequence, sent // 32, asked[-1]))
            sent += asked[-1]
            [response] = await stream.read()
            assert response.id.sequence == sequence
            assert response.uses_heard == sent
            if not response.more_wanted:
                return response, asked
            assert not response.identities
            assert (response.first_uses, response.fixed_uses) == (0, 0)  # nobody counts their bits
            asked.append(response.more_wanted)

    async def follow(
        self, stream: Stream, person: int, sequence: int, captured_at: float
    ) -> uplink_pb2.QueryResponse:
        """Sends a frame of a person's track until it is answered."""
        sent, wanted = 0, 32
        while wanted:
            message = self.message(sequence, sent // 32, wanted)
            message.track_id = f"t{person}"
            message.captured_at.seconds = int(captured_at)
            await stream.send(message)
            sent += wanted
            [response] = await stream.read()
            wanted = response.more_wanted
        return response


def expected(camera: Camera, sequence: int, settings: StoppingSettings) -> tuple[int, int]:
    """Uses and place of the best entry, computed without an access point."""
    info = camera.info
    assert isinstance(info, NestedInfo)
    assert info.stopping is not None
    gallery = camera.scheme.gallery(ENROLLED)
    heard = HeardPieces(info.bandwidth, info.piece)
    uses = info.piece
    while True:
        sent = pieces_of(camera.whole[sequence % COUNT], heard.next_piece, uses)
        received = transmit_pieces(sent, camera.snr_db, NoiseStream(1, "cam"), sequence)
        heard.add(received, camera.snr_db)
        combined = heard.combined(info.stopping.mismatch)
        products = gallery[:, : len(combined.symbols)] @ combined.symbols
        best = np.sort(products)[::-1][:CANDIDATES]
        uses = next_uses(
            info.stopping,
            settings,
            (info.bandwidth, info.piece),
            heard.uses,
            best,
            (camera.snr_db, combined.snr_db),
        )
        if not uses:
            return heard.uses, int(products.argmax())


async def test_a_camera_may_send_more_than_it_was_asked_for(
    bundle: Bundle, receiver: Gated
) -> None:
    """The answer is that to as many pieces of a block that is sent at once."""
    camera, beyond = Camera(bundle, -9.0), 0
    async with served(receiver) as service, Stream(service.address) as stream:
        for sequence in range(20):
            await stream.send(camera.message(sequence, 0, 32))
            [word] = await stream.read()
            sent = 32
            while word.more_wanted:
                assert not word.identities
                uses = min(word.more_wanted + 32, camera.info.bandwidth - sent)
                beyond += uses > word.more_wanted
                await stream.send(camera.message(sequence, sent // 32, uses))
                [word] = await stream.read()
                sent += uses
                assert word.uses_heard == sent
            whole = camera.message(sequence, 0, sent)
            whole.id.sequence, whole.more_available = 100 + sequence, False
            await stream.send(whole)
            [answer] = await stream.read()
            assert word.status.code == answer.status.code == common_pb2.CODE_OK
            assert [(row.subject, row.entry_id) for row in word.identities] == [
                (row.subject, row.entry_id) for row in answer.identities
            ]
    assert beyond > 5


@pytest.mark.parametrize(
    ("snr_db", "settings"),
    [
        (3.0, {}),
        (-9.0, {"most_uses": 512}),
        (12.0, {"accepted_loss": 0.05, "growth": 1.0}),
    ],
)
async def test_answers_are_those_of_the_same_pieces_offline(
    bundle: Bundle, receiver: Gated, snr_db: float, settings: dict[str, float]
) -> None:
    camera, wishes = Camera(bundle, snr_db), StoppingSettings.model_validate(settings)
    receiver._piecewise._settings = wishes
    totals = []
    async with served(receiver) as service, Stream(service.address) as stream:
        for sequence in range(COUNT):
            response, _ = await camera.converse(stream, sequence)
            uses, place = expected(camera, sequence, wishes)
            assert response.status.code == common_pb2.CODE_OK
            assert (response.uses_heard, response.identities[0].subject) == (uses, f"p{place}")
            assert -1.0 <= response.identities[0].score <= 1.0
            totals.append(uses)
        assert service.value("uses_count") == COUNT
        asked = service.value("more_wanted_total")
        assert service.value("downlink_bits_total") == 16 * asked
        assert service.value("answers_total", scheme=SCHEME, link="analog", code="ok") == COUNT
    assert snr_db > 10 or len(set(totals)) > 1
    if snr_db < 0:
        assert max(totals) > 128


async def test_a_cut_block_without_more_is_answered_at_once(
    bundle: Bundle, receiver: Gated
) -> None:
    camera = Camera(bundle, 30.0)
    async with served(receiver) as service, Stream(service.address) as stream:
        await stream.send(camera.message(3, 0, 64, available=False))
        [response] = await stream.read()
        [event] = service.feed.recent()
    assert (event["uses"], event["bandwidth"]) == (64, 128)
    assert (response.more_wanted, response.uses_heard) == (0, 64)
    assert response.identities[0].subject == "p3"
    symbols = camera.whole[3].symbols[None, :64]
    gallery = camera.scheme.gallery(ENROLLED[3:4])[:, :64]
    assert response.identities[0].score == pytest.approx(cosine(symbols, gallery)[0, 0], abs=0.02)
    assert response.first_uses >= 32
    assert response.fixed_uses >= 32


async def test_a_camera_that_wants_a_report_hears_of_its_latest_blocks(
    bundle: Bundle, receiver: Gated
) -> None:
    async with served(receiver) as service, Stream(service.address) as stream:
        for sequence, snr_db in enumerate((4.1, 4.2, -60.0, 4.2, 3.9)):
            message = Camera(bundle, snr_db).message(sequence, 0, 64, available=False)
            message.report_wanted = sequence == 4
            await stream.send(message)
            [response] = await stream.read()
            assert response.HasField("link_report") == (sequence == 4)
        assert (response.link_report.snr_db, response.link_report.spread_db) == (4.0, 0.0)
        info = bundle.scheme(SCHEME)
        assert isinstance(info, NestedInfo)
        assert info.stopping is not None
        assert response.fixed_uses == info.stopping.fixed(4.0)
        assert service.value("downlink_bits_total") == 24
        message = Camera(bundle, 4.0).message(9, 0, 64, available=False)
        message.id.edge_id, message.report_wanted = "direct", True
        message.ClearField("channel")
        await stream.send(message)
        [response] = await stream.read()
    assert not response.HasField("link_report")  # no channel has said anything


async def test_a_frame_of_a_known_track_needs_fewer_pieces(
    bundle: Bundle, gallery: Gallery
) -> None:
    camera, frames = Camera(bundle, -4.0), 4
    uses: dict[bool, list[list[int]]] = {}
    right: dict[bool, int] = {}
    for fused in (False, True):
        receiver = Gated(bundle, gallery, TrackFusion(TrackSettings()) if fused else None)
        async with served(receiver) as service, Stream(service.address) as stream:
            uses[fused], right[fused] = [], 0
            for person in range(12):
                answers = [
                    await camera.follow(stream, person, person + COUNT * frame, 100.0 + frame)
                    for frame in range(frames)
                ]
                uses[fused].append([answer.uses_heard for answer in answers])
                right[fused] += answers[-1].identities[0].subject == f"p{person}"
                assert answers[-1].fused_frames == (frames if fused else 0)
                assert (answers[0].first_uses == 32) or not fused
    alone, together = np.array(uses[False]), np.array(uses[True])
    np.testing.assert_array_equal(together[:, 0], alone[:, 0])  # nothing is known of a first frame
    assert together[:, 1:].mean() < 0.8 * alone[:, 1:].mean()
    assert right[True] >= right[False]


async def test_a_block_without_a_name_is_answered_from_what_came(
    bundle: Bundle, receiver: Gated
) -> None:
    message = Camera(bundle, -9.0).message(1, 0, 32)
    message.id.spool_id = ""
    async with served(receiver) as service, Stream(service.address) as stream:
        await stream.send(message)
        [response] = await stream.read()
        assert (response.status.code, response.more_wanted) == (common_pb2.CODE_OK, 0)
        message.analog.first_piece = 1
        await stream.send(message)
        [response] = await stream.read()
        assert response.status.code == common_pb2.CODE_NOT_READY


async def test_without_a_rule_every_piece_is_asked_for(tmp_path: Path) -> None:
    bundle = nested_bundle(tmp_path / "bundle", rule=False)
    with opened(tmp_path / "data", bundle) as gallery:
        gallery.enrol([NewEntry("p0", "c", gallery.space_id, ENROLLED[0])])
        async with served(Gated(bundle, gallery)) as service, Stream(service.address) as stream:
            response, asked = await Camera(bundle).converse(stream, 0)
    assert (response.uses_heard, asked) == (128, [32, 96])


async def test_pieces_that_do_not_follow_are_sent_again_from_the_first(
    bundle: Bundle, receiver: Gated
) -> None:
    camera = Camera(bundle, -9.0)
    async with served(receiver) as service, Stream(service.address) as stream:
        await stream.send(camera.message(1, 2, 32))
        [response] = await stream.read()
        assert response.status.code == common_pb2.CODE_NOT_READY
        assert "out of order" in response.status.message
        await stream.send(camera.message(1, 0, 32), camera.message(1, 0, 32))
        first, second = await stream.read(2)
        assert first.more_wanted
        assert second.more_wanted
        await stream.send(camera.message(1, 3, 32))
        [response] = await stream.read()
        assert response.status.code == common_pb2.CODE_NOT_READY
        answer, _ = await camera.converse(stream, 1)
        assert answer.status.code == common_pb2.CODE_OK
        # once it is answered, any of its pieces gets that answer again
        await stream.send(camera.message(1, 1, 32), camera.message(1, 0, 32))
        for response in await stream.read(2):
            assert response.repeated_answer
            assert list(response.identities) == list(answer.identities)


async def test_another_piece_does_not_wait_for_the_answer_to_the_one_before(
    bundle: Bundle, receiver: Gated
) -> None:
    camera = Camera(bundle, -9.0)
    receiver.gate.clear()
    async with served(receiver) as service, Stream(service.address) as stream:
        await stream.send(camera.message(1, 0, 32))
        await until(lambda: service.value("in_flight") == 1)
        for other in (
            camera.message(1, 1, 32),
            camera.message(1, 0, 64),  # the same block, begun with more pieces
            camera.message(1, 0, 32, available=False),
        ):
            await stream.send(other)
            [response] = await stream.read()
            assert response.status.code == common_pb2.CODE_NOT_READY
        await stream.send(camera.message(1, 0, 32))
        await asyncio.sleep(0)
        receiver.gate.set()
        for response in await stream.read(2):
            assert response.more_wanted


async def test_a_camera_is_advised_to_begin_with_no_more_than_is_allowed(
    bundle: Bundle, receiver: Gated
) -> None:
    camera = Camera(bundle, -10.0)
    receiver._piecewise._settings = StoppingSettings(most_uses=64)
    async with served(receiver) as service, Stream(service.address) as stream:
        for sequence in range(3):
            response, _ = await camera.converse(stream, sequence)
            assert (response.uses_heard, response.first_uses) == (64, 64)


async def test_a_refused_block_asks_for_nothing(
    bundle: Bundle, gallery: Gallery, receiver: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise NotReadyError("being loaded")

    camera = Camera(bundle, -9.0)
    monkeypatch.setattr(gallery, "search", fail)
    receiver.gate.clear()
    async with served(receiver) as service, Stream(service.address) as stream:
        # the batch of the second and third fails after more was wanted of the second
        await stream.send(camera.message(0, 0, 128, available=False))
        await until(lambda: service.value("in_flight") == 1)
        await stream.send(camera.message(1, 0, 32), camera.message(2, 0, 128, available=False))
        await until(lambda: service.value("in_flight") == 3)
        receiver.gate.set()
        for response in await stream.read(3):
            assert response.status.code == common_pb2.CODE_NOT_READY
            assert not response.more_wanted
        monkeypatch.undo()
        answer, _ = await camera.converse(stream, 1)
        assert answer.status.code == common_pb2.CODE_OK


async def test_in_an_empty_gallery_nobody_is_found(tmp_path: Path, bundle: Bundle) -> None:
    with opened(tmp_path / "empty", bundle) as gallery:
        async with served(Gated(bundle, gallery)) as service, Stream(service.address) as stream:
            response, _ = await Camera(bundle).converse(stream, 0)
    assert (response.status.code, len(response.identities)) == (common_pb2.CODE_OK, 0)


async def test_a_stream_that_ends_takes_its_pieces_along(bundle: Bundle, receiver: Gated) -> None:
    camera = Camera(bundle, -9.0)
    async with served(receiver) as service:
        async with Stream(service.address) as stream:
            await stream.send(camera.message(5, 0, 32))
            [response] = await stream.read()
            assert response.more_wanted
            assert service.value("piece_bytes") > 0
        await until(lambda: service.value("piece_bytes") == 0)
        async with Stream(service.address) as stream:
            await stream.send(camera.message(5, 1, 32))
            [response] = await stream.read()
            assert response.status.code == common_pb2.CODE_NOT_READY
            answer, _ = await camera.converse(stream, 5)
            assert answer.status.code == common_pb2.CODE_OK


async def test_mixed_up_messages_end_in_one_right_answer_each(
    bundle: Bundle, receiver: Gated
) -> None:
    """Doubled, late and foreign pieces: every answer is that of one sending's own pieces."""
    camera, rng = Camera(bundle, -3.0), random.Random(4)
    settings = StoppingSettings()
    truth = {n: expected(camera, n, settings) for n in range(10)}
    async with served(receiver) as service, Stream(service.address) as stream:
        for sequence, (uses, place) in truth.items():
            for _ in range(rng.randrange(6)):
                other = rng.choice([n for n in truth if n >= sequence])
                await stream.send(camera.message(other, rng.randrange(1, 6), 32))
                [response] = await stream.read()
                assert response.status.code in (common_pb2.CODE_NOT_READY, common_pb2.CODE_OK) or (
                    response.more_wanted
                )
            response, _ = await camera.converse(stream, sequence)
            assert (response.uses_heard, response.identities[0].subject) == (uses, f"p{place}")


async def test_a_part_is_decided_on_by_thresholds_made_for_a_part(
    bundle: Bundle, receiver: Gated
) -> None:
    """Thresholds for 32 uses serve 96 where there are none for 64 and 96."""
    points = (Point(snr_db=0.0, threshold=0.2, review_threshold=0.1),)
    tables = {f"{SCHEME}@32": Table(points=points)}
    policy = MatchPolicy(subjects=COUNT, schemes=tables)
    receiver._policy_reader = Fixed(policy)
    camera = Camera(bundle, 20.0)
    async with served(receiver) as service, Stream(service.address) as stream:
        for uses, threshold in ((32, 0.2), (96, 0.2), (128, 0.0)):
            await stream.send(camera.message(uses, 0, uses, available=False))
            [response] = await stream.read()
            assert response.decision.threshold == pytest.approx(threshold)


class Fixed(PolicyReader):
    """Reader of one policy."""

    def __init__(self, policy: MatchPolicy) -> None:
        self._policy = policy

    def current(self) -> MatchPolicy:
        return self._policy


def test_calibration_has_thresholds_for_parts(bundle: Bundle) -> None:
    """Strangers score higher on a part by chance, so its thresholds are stricter."""
    features, _ = seen_people(150, seed=8)
    subjects = [f"p{i // 2}" for i in range(len(features))]
    cameras = [f"c{i % 2}" for i in range(len(features))]
    scheme = open_scheme(bundle, bundle.scheme(SCHEME), 1)
    settings = CalibrationSettings(
        snrs_db=(0.0,), false_match_rate=0.1, review_rate=0.2, confidence=0.8
    )
    calibration = calibrate(Enrolled(features, subjects, cameras), senders([scheme], 1), settings)
    tables = calibration.policy.schemes
    assert set(tables) == {"features", SCHEME, f"{SCHEME}@32", f"{SCHEME}@64"}
    thresholds = [tables[name].points[0].threshold for name in sorted(tables)[1:]]
    whole, small, medium = thresholds
    assert whole < medium < small


def test_calibration_fits_a_stopping_rule_on_the_people_of_the_gallery(bundle: Bundle) -> None:
    """Its probabilities come true, and it takes the place of the bundle's rule."""
    features, labels = seen_people(150, seed=8)
    subjects = [f"p{i}" for i in labels.identity]
    cameras = [f"c{i}" for i in labels.camera]
    scheme = open_scheme(bundle, bundle.scheme(SCHEME), 1)
    settings = CalibrationSettings(
        snrs_db=(0.0,), false_match_rate=0.1, review_rate=0.2, confidence=0.8
    )
    calibration = calibrate(Enrolled(features, subjects, cameras), senders([scheme], 1), settings)
    assert set(calibration.policy.stopping) == {SCHEME}
    assert calibration.policy.stopping[SCHEME].people == 150
    [report] = [row for row in calibration.report.schemes if row.scheme_id == SCHEME]
    assert report.stopping is not None
    assert (report.stopping.people, report.stopping.queries) == (150, 300)
    assert sum(report.stopping.blocks) == 300 * 2 * 4 * 6
    assert report.stopping.error < 0.08
    few = Enrolled(features[:90], subjects[:90], cameras[:90])
    assert not calibrate(few, senders([scheme], 1), settings).policy.stopping
    read = load_policy(calibration.policy.model_dump_json())
    assert read.stopping == calibration.policy.stopping
    # where the cameras' people are not the same, a rule would end every block at once
    swapped = np.where(labels.camera == 0, labels.identity, (labels.identity + 1) % 150)
    others = Enrolled(features, [f"p{i}" for i in swapped], cameras)
    calibration = calibrate(others, senders([scheme], 1), settings)
    assert SCHEME in calibration.report.recognise_nobody
    assert not calibration.policy.stopping


async def test_the_gallery_s_rule_goes_before_the_bundle_s(bundle: Bundle, receiver: Gated) -> None:
    info = bundle.scheme(SCHEME)
    assert isinstance(info, NestedInfo)
    assert info.stopping is not None
    rows = len(info.stopping.snrs_db)
    never = tuple((49.0,) * len(info.stopping.accepted_losses) for _ in range(rows))
    strict = info.stopping.model_copy(update={"stop": never})
    camera = Camera(bundle, 12.0)
    async with served(receiver) as service, Stream(service.address) as stream:
        early, _ = await camera.converse(stream, 1)
        receiver._policy_reader = Fixed(MatchPolicy(stopping={SCHEME: strict}))
        late, _ = await camera.converse(stream, 2)
    assert early.uses_heard < late.uses_heard == info.bandwidth
