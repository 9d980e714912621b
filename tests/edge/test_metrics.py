"""Counters of an edge, as Prometheus reads them."""

from __future__ import annotations

import urllib.request

import pytest

from airreid.errors import InputError
from airreid.v1 import common_pb2, uplink_pb2
from edge import metrics as metrics_module
from edge.metrics import Metrics
from edge.results import Outcome


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"airreid_edge_{name}", labels)


def test_frames_and_answers_are_counted_by_kind() -> None:
    metrics = Metrics()
    metrics.frame_accepted("watch", 0.004)
    metrics.frame_accepted("grpc", 0.3)
    metrics.frame_accepted("grpc", 0.3)
    assert value(metrics, "frames_accepted_total", source="grpc") == 2
    assert value(metrics, "frames_accepted_total", source="watch") == 1
    assert value(metrics, "encode_seconds_sum") == pytest.approx(0.604)
    response = uplink_pb2.QueryResponse(outage=True)
    response.status.code = common_pb2.CODE_OUTAGE
    metrics.answer(Outcome(1, response, 250.0))
    response = uplink_pb2.QueryResponse()
    response.status.code = common_pb2.CODE_OK
    metrics.answer(Outcome(2, response, 750.0))
    assert value(metrics, "frames_answered_total", code="outage") == 1
    assert value(metrics, "frames_answered_total", code="ok") == 1
    assert value(metrics, "outages_total") == 1
    assert value(metrics, "answer_seconds_sum") == 1.0
    assert value(metrics, "answer_seconds_count") == 2


def test_the_first_stream_is_no_reconnect() -> None:
    metrics = Metrics()
    assert value(metrics, "link_up") == 0
    for up, reconnects in ((True, 0), (False, 0), (True, 1), (False, 1), (True, 2)):
        metrics.connected(up)
        assert value(metrics, "link_up") == up
        assert value(metrics, "reconnects_total") == reconnects


def test_times_fall_into_buckets_from_milliseconds_to_minutes() -> None:
    metrics = Metrics()
    metrics.encode.observe(0.0015)
    metrics.answer_time.observe(299.0)
    encode = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]
    answer = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0, 300.0]
    for bound in encode:
        assert value(metrics, "encode_seconds_bucket", le=str(bound)) == 1
    for bound in answer:
        assert value(metrics, "answer_seconds_bucket", le=str(bound)) == (bound == 300.0)
    samples = [s for family in metrics.registry.collect() for s in family.samples]
    buckets = [s.labels["le"] for s in samples if s.name.endswith("seconds_bucket")]
    assert len(buckets) == len(encode) + len(answer) + 2  # and the rest of each


def test_the_page_is_served_until_it_is_closed() -> None:
    metrics = Metrics()
    metrics.connected(True)
    port, close = metrics_module.serve(metrics, "127.0.0.1:0")
    page = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(page, timeout=20) as answer:
        assert b"airreid_edge_link_up 1.0" in answer.read()
    with pytest.raises(InputError, match=f"cannot listen on .*:{port}: .*another --metrics"):
        metrics_module.serve(Metrics(), f"127.0.0.1:{port}")
    close()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(page, timeout=20)
