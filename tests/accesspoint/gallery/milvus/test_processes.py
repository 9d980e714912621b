"""Two access points in processes of their own share a gallery on a Milvus Lite server."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

from airreid import wire
from airreid.bundle import Bundle
from airreid.client import GalleryClient, ok
from airreid.errors import LinkError
from airreid.scheme_kinds import open_scheme
from airreid.uplink_client import Uplink
from airreid.v1 import common_pb2, gallery_pb2, uplink_pb2
from edge.blocks import BlockMaker
from simulation.processes import Role

from .milvus_servers import LocalMilvus

SCHEME = "jscc-fc-256"
PEOPLE = 6
ANY = "127.0.0.1:0"


def sharing(folder: Path, shared_server: LocalMilvus, role: str) -> Role:
    serve = ["ap", "serve", "--data-dir", str(folder), "--grpc", ANY, "--http", ANY]
    milvus = ["--index", "milvus", "--milvus-uri", shared_server.uri, "--milvus-role", role]
    return Role(
        "access point", [*serve, *milvus, "--milvus-scheme", SCHEME, "--milvus-prefix", "two"]
    )


def target(role: Role) -> str:
    return f"127.0.0.1:{role.ready['grpc_port']}"


def item(bundle: Bundle, number: int, feature: np.ndarray) -> gallery_pb2.EnrollItem:
    values = gallery_pb2.Feature(space_id=bundle.backbone.space_id, values=wire.to_bytes(feature))
    return gallery_pb2.EnrollItem(subject=f"p{number}", camera="c", feature=values)


def asked(ap: Role, bundle: Bundle, features: np.ndarray) -> list[uplink_pb2.QueryResponse]:
    """The answers to a perfect link's blocks, once the access point is ready."""
    scheme = open_scheme(bundle, bundle.scheme(SCHEME), 1)
    for attempt in range(60):
        maker = BlockMaker(f"edge-{attempt}", bundle.bundle_id)
        blocks = [maker.block(payload, SCHEME, 3, 5) for payload in scheme.pack(features, "analog")]
        with Uplink(target(ap)) as uplink:
            answers = [answer.response for answer in uplink.query(iter(blocks))]
        if all(a.status.code != common_pb2.CODE_NOT_READY for a in answers):
            return sorted(answers, key=lambda answer: answer.id.sequence)
    raise AssertionError(answers[0].status)


def test_what_one_enrols_the_other_finds_at_once(
    tmp_path: Path, bundle: Bundle, shared_server: LocalMilvus
) -> None:
    features = np.random.default_rng(3).random((PEOPLE, 2048), dtype=np.float32)
    with sharing(tmp_path / "writer", shared_server, "writer") as writer:
        with GalleryClient(target(writer)) as client:
            first = [item(bundle, i, features[i]) for i in range(PEOPLE // 2)]
            assert all(ok(result.status) for _, result in client.enrol(first))
        with sharing(tmp_path / "reader", shared_server, "reader") as reader:
            asked(reader, bundle, features[:1])
            for number in range(PEOPLE // 2, PEOPLE):
                with GalleryClient(target(writer)) as client:
                    [(_, result)] = client.enrol([item(bundle, number, features[number])])
                    assert ok(result.status)
                    client.delete_subject(f"p{number - PEOPLE // 2}")
                [answer] = asked(reader, bundle, features[[number]])
                assert answer.identities, answer.status
                assert answer.identities[0].subject == f"p{number}"
            ours, theirs = (asked(ap, bundle, features) for ap in (reader, writer))
            for our, their in zip(ours, theirs, strict=True):
                assert our.status == their.status
                assert our.entry_ids == their.entry_ids
                np.testing.assert_allclose(our.entry_scores, their.entry_scores, atol=1e-5)
                assert [i.subject for i in our.identities] == [i.subject for i in their.identities]
            with GalleryClient(target(reader)) as client, pytest.raises(LinkError, match="reads"):
                client.delete_subject(f"p{PEOPLE - 1}")
            writer.process.send_signal(signal.SIGKILL)
            writer.process.wait(10)
            assert (
                asked(reader, bundle, features[[PEOPLE - 1]])[0].identities[0].subject
                == f"p{PEOPLE - 1}"
            )
