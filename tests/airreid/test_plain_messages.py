"""Messages as JSON: counts are numbers wherever they stand."""

from __future__ import annotations

from airreid.plain_messages import plain
from airreid.v1 import common_pb2, edge_pb2, gallery_pb2, uplink_pb2


def test_counts_and_numbers_are_numbers_at_any_depth() -> None:
    subject = gallery_pb2.Subject(id="alice", entries=3)
    assert plain(subject)["entries"] == 3
    entry = gallery_pb2.Entry(id=2**63 + 1, subject="alice")
    entry.created_at.FromSeconds(1)
    assert plain(entry)["id"] == 2**63 + 1
    assert plain(entry)["created_at"] == 1.0
    assert plain(entry)["captured_at"] is None
    response = uplink_pb2.QueryResponse(
        id=common_pb2.BlockId(edge_id="cam", sequence=7), entry_ids=[1, 2]
    )
    response.identities.add(subject="alice", entry_id=9)
    values = plain(response)
    assert values["id"]["sequence"] == 7
    assert values["entry_ids"] == [1, 2]
    assert values["identities"][0]["entry_id"] == 9


def test_fields_that_are_empty_are_there() -> None:
    state = plain(edge_pb2.EdgeState(accepted=5, waiting=2, connected=True))
    assert (state["accepted"], state["waiting"], state["connected"]) == (5, 2, True)
    values = plain(edge_pb2.EdgeState())
    assert (values["edge_id"], values["accepted"], values["connected"]) == ("", 0, False)
