"""Receiver and channel simulator together: what is no block of symbols passes the radio."""

from __future__ import annotations

import grpc
from grpc import aio

from airreid.channels.settings import LinkSettings
from airreid.v1 import common_pb2, uplink_pb2
from channel_sim.links import Links
from channel_sim.service import UplinkProxy
from channel_sim.upstreams import Upstreams

from .support import Blocks, Gated, Stream, served


async def test_settling_and_garbled_messages_pass_the_channel(
    receiver: Gated, blocks: Blocks
) -> None:
    links, proxy = Links(LinkSettings(snr_db=20, seed=1)), aio.server()
    only = uplink_pb2.QueryRequest(settled_only=True, settled_below=3)
    only.id.edge_id, only.id.spool_id = "cam", "s"
    async with served(receiver) as ap, aio.insecure_channel(ap.address) as upstream:
        UplinkProxy(links, Upstreams(lambda: upstream), ap.address).register(proxy)
        port = proxy.add_insecure_port("127.0.0.1:0")
        await proxy.start()
        async with Stream(f"127.0.0.1:{port}") as stream:
            await stream.send(*(blocks(i) for i in range(3)))
            first = await stream.read(3)
            assert [answer.identities[0].subject for answer in first] == ["p0", "p1", "p2"]
            assert ap.value("kept_answers") == 3
            await stream.send(b"\x0a\xff\xff\xff", only, blocks(3))
            answers = await stream.read(2)
            assert await stream.end() is grpc.StatusCode.OK
        assert ap.value("kept_answers") == 1
        await proxy.stop(None)
    codes = sorted(answer.status.code for answer in answers)
    assert codes == [common_pb2.CODE_OK, common_pb2.CODE_INVALID]
    assert links.stats.of("cam").blocks == 4  # blocks alone are counted
