"""From frames to accepted blocks."""

from __future__ import annotations

import gc
import io
import threading
import weakref
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airreid.bundle import Bundle
from airreid.config_file import Given
from airreid.errors import InputError
from airreid.payload import Analog, Coded, Ideal, get
from airreid.scheme import BlockCost
from edge.airtime import Radio, as_dict
from edge.blocks import check_sendable, unnumbered
from edge.contact_sheet import Query, contact_sheet
from edge.encoder import Encoder
from edge.frames import (
    ClosedError,
    EncodeError,
    Frame,
    SpoolDiskError,
    SpoolFullError,
    track_of,
)
from edge.metrics import Metrics
from edge.pipeline import Pipeline
from edge.settings import ServeSettings, serve_settings
from edge.spool import Spool
from edge.spool_entry import Entry

from .support import SENDING, Quick, answer, picture, pipeline_on, until


def test_frames_that_queue_are_encoded_together_and_a_lone_one_at_once(bundle: Bundle) -> None:
    encoder, spool = Quick(bundle), Spool(None, "cam")
    encoder.slow = 0.05
    with pipeline_on(encoder, spool) as pipeline:
        lone = pipeline.submit(Frame("grpc", "lone", picture()))
        assert lone.result(10).sequence == 1
        assert lone.result(10).encode_ms >= 1e3 * encoder.slow
        futures = [pipeline.submit(Frame("grpc", str(i), picture(i))) for i in range(20)]
        assert [future.result(10).sequence for future in futures] == list(range(2, 22))
    assert encoder.batches[0] == 1
    assert max(encoder.batches) == 8
    assert sum(encoder.batches) == 21
    spool.close()


def test_a_block_in_the_spool_is_what_send_would_send(bundle: Bundle) -> None:
    """The same picture through the pipeline and straight through the networks, to the bit."""
    encoder, spool = Encoder(bundle, 1), Spool(None, "cam")
    data = picture(5)
    with pipeline_on(encoder, spool) as pipeline:  # type: ignore[arg-type]
        pipeline.submit(Frame("grpc", "a", data)).result(60)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    [expected] = encoder.payloads(encoder.features([image]), "jscc-ae-64")
    [block] = spool.blocks(0, 9)
    assert block.analog.symbols == expected.symbols.tobytes()
    assert block.bundle_id == bundle.bundle_id
    assert block.captured_at.seconds > 0
    spool.close()


def test_silent_blocks_are_not_sent(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    zero = np.zeros(64, np.float32)
    for payload, words in (
        (Analog(zero), "without energy"),
        (Coded(zero, 0), "without energy"),
        (Analog(zero + np.float32(np.nan)), "not finite"),
        (Analog(zero + np.float32(np.inf)), "not finite"),
    ):
        with pytest.raises(InputError, match=f"a.png: .*{words}"):
            check_sendable(payload, "a.png")
    check_sendable(Ideal(np.zeros(0, np.uint8), 64), "a.png")  # no bits are a message too
    encoder, spool = Quick(bundle), Spool(None, "cam")
    real, silent = encoder.payloads, [True]

    def payloads(*arguments: object) -> list[Analog]:
        return [Analog(zero)] if silent[0] else real(*arguments)  # type: ignore[arg-type,return-value]

    monkeypatch.setattr(encoder, "payloads", payloads)
    with pipeline_on(encoder, spool) as pipeline:
        with pytest.raises(InputError, match="without energy"):
            pipeline.submit(Frame("grpc", "dark", picture())).result(10)
        silent[0] = False
        assert pipeline.submit(Frame("grpc", "light", picture(1))).result(10).sequence == 1
    spool.close()


@pytest.mark.parametrize("link", ["analog", "ideal", "coded"])
def test_every_kind_of_payload_comes_out_of_the_spool_as_it_went_in(link: str) -> None:
    symbols = np.random.default_rng(1).standard_normal(64).astype(np.float32)
    payload = {
        "analog": Analog(symbols),
        "ideal": Ideal(np.array([1, 0, 1], np.uint8), 64),
        "coded": Coded(symbols, 2),
    }[link]
    spool = Spool(None, "cam")
    block = unnumbered(payload, "b", "s-64", 3, track_id="t")
    spool.accept([Entry("stdin", "a", block, BlockCost(64, 3, 11, 2), 1.0)])
    [out] = spool.blocks(0, 9)
    assert out.id.sequence == 1
    assert out.track_id == "t"
    got = get(out, 64)
    assert got.link == link
    if isinstance(got, Ideal):
        assert got.bits.tolist() == [1, 0, 1]
    else:
        np.testing.assert_array_equal(got.symbols, symbols)
    row = spool._db.execute("SELECT link, uses, payload_bits, crc_bits, side_bits FROM frames")
    assert row.fetchone() == (link, 64, 3, 11, 2)
    spool.close()


def test_a_feature_of_zeros_is_a_defined_matter(bundle: Bundle) -> None:
    """The demo's encoders have offsets: a zero feature gives a block of power 1 all the same."""
    encoder = Encoder(bundle, 1)
    for scheme in bundle.scheme_ids:
        [payload] = encoder.payloads(np.zeros((1, 2048), np.float32), scheme)
        assert isinstance(payload, (Analog, Coded))
        check_sendable(payload, scheme)
        np.testing.assert_allclose(np.square(payload.symbols).mean(), 1.0, rtol=1e-4)


def test_what_is_queued_at_the_end_is_accepted_and_later_frames_are_not(bundle: Bundle) -> None:
    encoder, spool = Quick(bundle), Spool(None, "cam")
    encoder.slow = 0.05
    with pipeline_on(encoder, spool) as pipeline:
        futures = [pipeline.submit(Frame("grpc", str(i), picture(i))) for i in range(12)]
        closing = threading.Thread(target=pipeline.close)
        closing.start()
        assert len({future.result(10).sequence for future in futures}) == 12
        closing.join()
        with pytest.raises(ClosedError):
            pipeline.submit(Frame("grpc", "late", picture())).result(1)
    spool.close()


def counted(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"airreid_edge_frames_{name}_total", labels) or 0.0


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, object]]]:
    """Events that ask somebody to look, with their fields."""
    return [
        (record.getMessage(), record.fields)  # type: ignore[attr-defined]
        for record in caplog.records
        if record.levelname == "WARNING"
    ]


def test_a_bad_image_is_its_senders_matter_and_not_logged(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        closing(Spool(None, "cam")) as spool,
        pipeline_on(Quick(bundle), spool) as pipeline,
        pytest.raises(InputError, match="torn: not an image"),
    ):
        pipeline.submit(Frame("grpc", "torn", b"no image")).result(10)
    assert warnings_in(caplog) == []


def test_a_network_that_breaks_is_logged_with_its_frame(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = Quick(bundle)

    def fail(image: Image.Image) -> None:
        raise RuntimeError("out of memory")

    encoder.fail = fail
    with closing(Spool(None, "cam")) as spool, pipeline_on(encoder, spool) as pipeline:
        for name, shown in (("a.png", "a.png"), ("", "image")):
            frame = Frame("watch", name, picture())
            with pytest.raises(EncodeError, match=f"{shown}: edge: RuntimeError: out of memory"):
                pipeline.submit(frame).result(10)
        assert spool.accepted == 0
    events = warnings_in(caplog)
    assert [event for event, _ in events] == ["encode_failed"] * 2
    assert [fields["source"] for _, fields in events] == ["watch"] * 2
    assert "a.png: edge: RuntimeError: out of memory" in str(events[0][1]["error"])


def test_a_payload_that_breaks_is_logged_and_costs_one_frame(
    bundle: Bundle, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Quick(bundle)
    real, broken = encoder.payloads, [True]

    def payloads(*arguments: object) -> list[Analog]:
        if broken.pop():
            raise RuntimeError("no symbols")
        return real(*arguments)  # type: ignore[arg-type,return-value]

    monkeypatch.setattr(encoder, "payloads", payloads)
    broken[:] = [False, True]
    with closing(Spool(None, "cam")) as spool, pipeline_on(encoder, spool) as pipeline:
        with pytest.raises(EncodeError, match="a: edge: RuntimeError: no symbols"):
            pipeline.submit(Frame("stdin", "a", picture())).result(10)
        assert pipeline.submit(Frame("stdin", "b", picture(1))).result(10).sequence == 1
    assert [event for event, _ in warnings_in(caplog)] == ["encode_failed"]


def test_a_full_spool_and_a_full_disk_are_counted_and_not_logged(
    bundle: Bundle,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    metrics = Metrics()

    def refusals() -> list[float]:
        return [counted(metrics, "refused", why=why) for why in ("full", "disk")]

    with closing(Spool(tmp_path, "cam", 1)) as spool:
        pipeline = Pipeline(Quick(bundle), spool, SENDING, Radio(), metrics)
        pipeline.submit(Frame("grpc", "first", picture())).result(10)
        with pytest.raises(SpoolFullError, match="offer the frame again later"):
            pipeline.submit(Frame("grpc", "second", picture())).result(10)
        assert refusals() == [1, 0]
        spool.capacity = 9
        monkeypatch.setattr("edge.spool.RESERVE_BYTES", 1 << 62)  # no disk has so much
        with pytest.raises(SpoolDiskError, match="make room on it"):
            pipeline.submit(Frame("grpc", "third", picture())).result(10)
        assert refusals() == [1, 1]
        pipeline.close()
    assert counted(metrics, "accepted", source="grpc") == 1
    assert warnings_in(caplog) == []


def test_answers_for_which_nobody_waits_are_no_trouble(bundle: Bundle) -> None:
    """Answers to frames handed over without waiting, of earlier starts, or given already."""
    with closing(Spool(None, "cam")) as spool, pipeline_on(Quick(bundle), spool) as pipeline:
        waiting = pipeline.submit(Frame("grpc", "a", picture()), wants_outcome=True).result(10)
        alone = pipeline.submit(Frame("grpc", "b", picture(1))).result(10)
        gone = pipeline.submit(Frame("grpc", "c", picture(2)), wants_outcome=True).result(10)
        outcomes = [answer(spool, number) for number in (waiting.sequence, alone.sequence, 99)]
        pipeline.publish(outcomes)
        pipeline.publish(outcomes)
        pipeline.dropped([gone.sequence, waiting.sequence])
        assert waiting.outcome.result(1) is outcomes[0]
        assert gone.outcome.result(1) is None
        assert not alone.outcome.done()
        left = pipeline.submit(Frame("grpc", "d", picture(3)), wants_outcome=True).result(10)
        assert left.outcome.cancel()
        pipeline.publish([answer(spool, left.sequence)])


def test_track_ids_in_names() -> None:
    assert track_of("t7__0001.jpg") == "t7"
    assert track_of("a__b__c.jpg") == "a"
    assert track_of("plain.jpg") == ""
    assert track_of("__x.jpg") == ""
    with pytest.raises(InputError, match="cannot be printed"):
        track_of("a\nb__x.jpg")


def test_air_time_and_energy() -> None:
    cost = BlockCost(256, 90, 11, 3)
    both = as_dict(cost, Radio(symbol_rate=128_000, tx_power_mw=50))
    assert both["air_ms"] == 2.0
    assert both["energy_uj"] == 100.0
    assert (both["uses"], both["crc_bits"], both["side_bits"]) == (256, 11, 3)
    assert as_dict(cost, Radio(tx_power_mw=50))["energy_uj"] is None
    assert as_dict(cost, Radio(symbol_rate=1.0))["air_ms"] == 256_000


def test_settings_name_the_field() -> None:
    for options, words in (
        ({"radio": {"symbol_rate": -1}}, r"--symbol-rate: .*greater than 0"),
        ({"deadline": float("nan")}, "--deadline: "),
        ({"stdin": True}, "--watch and --stdin need --spool"),
        ({"edge_id": ""}, "--edge-id: "),
        ({"uplink": {"connect_seconds": 0}}, r"uplink\.connect_seconds: .*greater than 0"),
    ):
        with pytest.raises(InputError, match=words):
            serve_settings(Given(ServeSettings, options))


def test_contact_sheet_shows_crops_and_answers() -> None:
    red = Image.new("RGB", (10, 20), (250, 0, 0))
    queries = [
        Query(red, "person/cam/0.png", ["0.912  alice", "0.101  bob"]),
        Query(None, "torn.jpg", ["error: damaged"], good=False),
        Query(red, "名前 " * 40, ["0.5  Zoë"] * 40),
        Query(red, "four", []),
    ]
    sheet = contact_sheet(queries)
    assert sheet.size == (3 * 336, 2 * 208)
    pixels = np.asarray(sheet)
    assert (pixels[20:180, 20:90] == (250, 0, 0)).all()
    assert (pixels[20:180, 336 + 20 : 336 + 90] == 255).all()
    assert (pixels[:, 336 - 200 : 336] < 100).any()  # text
    assert contact_sheet([]).size == (336, 208)


def test_images_of_frames_that_failed_are_let_go(bundle: Bundle) -> None:
    """A frame's future has the error, whose traceback leads back to the frame."""
    spool = Spool(None, "cam")
    gc.disable()
    try:
        with pipeline_on(Quick(bundle), spool) as pipeline:
            frame = Frame("grpc", "a", b"GIF89a, no image")
            refused, gone = pipeline.submit(frame), weakref.ref(frame)
            del frame
            assert isinstance(refused.exception(10), InputError)
            pipeline.submit(Frame("grpc", "b", picture())).result(10)  # the last batch is held
            until(lambda: gone() is None)
    finally:
        gc.enable()
    spool.close()
