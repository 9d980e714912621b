"""TLS at both ends: the server proves itself, a camera's certificate says which edge it is."""

from __future__ import annotations

import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from cryptography import x509

from accesspoint.api.tokens import Scope, TokenFile
from accesspoint.assembly import Services, access_point
from accesspoint.settings import ServeSettings
from airreid import wire
from airreid.bundle import Bundle
from airreid.client import GalleryClient
from airreid.credentials import ClientCredentials, server_credentials
from airreid.errors import LinkError
from airreid.uplink_client import Uplink
from airreid.v1 import common_pb2, uplink_pb2
from simulation.processes import Role

from ...certificates import Authority
from .conftest import BANDWIDTH, grpc_over


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture(scope="module")
def server(authority: Authority) -> tuple[Path, Path]:
    here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return authority.issue("server", here)


@pytest.fixture
def locked(tiny: Bundle, tmp_path: Path) -> Iterator[tuple[Services, TokenFile]]:
    settings = ServeSettings(data_dir=tmp_path / "data", require_token=True)
    with access_point(tiny, settings) as services:
        assert services.gallery.wait_ready(30)
        yield services, TokenFile(settings.data_dir)


def blocks(bundle: Bundle, *edges: str) -> list[uplink_pb2.QueryRequest]:
    return [
        uplink_pb2.QueryRequest(
            id=common_pb2.BlockId(edge_id=edge, spool_id="s", sequence=i + 1),
            bundle_id=bundle.bundle_id,
            scheme_id=f"jscc-fc-{BANDWIDTH}",
            analog=uplink_pb2.AnalogBlock(symbols=wire.to_bytes(np.ones(BANDWIDTH))),
        )
        for i, edge in enumerate(edges)
    ]


def codes(target: str, credentials: ClientCredentials, requests: list) -> dict[str, int]:
    """Each edge id's status code."""
    with Uplink(target, 10.0, credentials) as uplink:
        answers = [answer.response for answer in uplink.query(requests)]
    return {answer.id.edge_id: answer.status.code for answer in answers}


OK, FORBIDDEN = common_pb2.CODE_OK, common_pb2.CODE_FORBIDDEN


def test_a_cameras_certificate_says_which_edges_it_is(
    locked: tuple[Services, TokenFile],
    tiny: Bundle,
    authority: Authority,
    server: tuple[Path, Path],
) -> None:
    services, tokens = locked
    by_name = authority.issue("cam-1", [])
    by_alternative = authority.issue("x", [x509.DNSName("cam-2"), x509.DNSName("cam-3")])
    with grpc_over(services, tiny, server_credentials(*server, authority.ca)) as target:

        def camera(pair: tuple[Path, Path], token: str | None = None) -> ClientCredentials:
            return ClientCredentials(
                token=token, tls_ca=authority.ca, tls_cert=pair[0], tls_key=pair[1]
            )

        requests = blocks(tiny, "cam-1", "cam-2", "cam-3", "x")
        assert codes(target, camera(by_name), requests) == {
            "cam-1": OK,
            "cam-2": FORBIDDEN,
            "cam-3": FORBIDDEN,
            "x": FORBIDDEN,
        }
        assert codes(target, camera(by_alternative), requests) == {
            "cam-1": FORBIDDEN,
            "cam-2": OK,
            "cam-3": OK,
            "x": FORBIDDEN,
        }
        with (
            GalleryClient(target, credentials=camera(by_name)) as client,
            pytest.raises(LinkError, match="permission_denied: this needs scope read"),
        ):
            client.describe()
        reader = camera(by_name, tokens.add("reader", [Scope.READ]))
        with GalleryClient(target, credentials=reader) as client:
            assert client.describe().ready
        stranger = Authority(authority.folder.parent / "stranger")
        for wrong in (
            ClientCredentials(tls_ca=authority.ca),  # shows nothing
            ClientCredentials(
                tls_ca=authority.ca,
                **dict(zip(("tls_cert", "tls_key"), stranger.issue("cam-1", []), strict=True)),
            ),
            ClientCredentials(tls_ca=stranger.ca),  # does not know the server
            ClientCredentials(),  # plain text
        ):
            with pytest.raises(LinkError, match="no answer within"), Uplink(target, 1.0, wrong):
                pass


def test_a_token_speaks_for_its_edge_until_it_is_revoked(
    locked: tuple[Services, TokenFile], tiny: Bundle
) -> None:
    services, tokens = locked
    bound = tokens.add("cam-1", [Scope.STREAM], edge="cam-1")
    free = tokens.add("all", [Scope.STREAM])
    admin = tokens.add("admin", [Scope.ADMIN])
    requests = blocks(tiny, "cam-1", "cam-2")
    with grpc_over(services, tiny) as target:
        assert codes(target, ClientCredentials(token=bound), requests) == {
            "cam-1": OK,
            "cam-2": FORBIDDEN,
        }
        assert codes(target, ClientCredentials(token=free), requests) == {
            "cam-1": OK,
            "cam-2": OK,
        }
        for token, words in ((admin, "needs scope stream"), (None, "no token"), ("x", "not known")):
            with pytest.raises(LinkError, match=words):
                codes(target, ClientCredentials(token=token), requests)

        answered: list[int] = []
        first_answer = threading.Event()

        def one_by_one() -> Iterator[uplink_pb2.QueryRequest]:
            yield requests[0]
            assert first_answer.wait(60), "the token must have opened the stream by then"
            tokens.revoke("cam-1")
            time.sleep(1.2)  # an open stream's token is looked at again every second
            again = uplink_pb2.QueryRequest.FromString(requests[0].SerializeToString())
            again.id.sequence = 9
            yield again

        with Uplink(target, 10.0, ClientCredentials(token=bound)) as uplink:
            for answer in uplink.query(one_by_one()):
                answered.append(answer.response.status.code)
                first_answer.set()
        assert answered == [OK, FORBIDDEN]


def test_the_whole_way_with_tls_and_tokens(
    tiny: Bundle, tmp_path: Path, authority: Authority, server: tuple[Path, Path]
) -> None:
    """Processes: an access point that asks for tokens over TLS, and a channel before it
    through which the edge's token passes."""
    data = tmp_path / "ap"
    tokens = TokenFile(data)
    stream = tokens.add("cam-1", [Scope.STREAM], edge="cam-1")
    read = tokens.add("reader", [Scope.READ])
    cert, key = (str(path) for path in server)
    serve = f"ap serve --data-dir {data} --bundle {tiny.path} --grpc 127.0.0.1:0 "
    serve += f"--http 127.0.0.1:0 --require-token --tls-cert {cert} --tls-key {key}"
    with Role("access point", serve.split()) as ap:
        target = f"127.0.0.1:{ap.ready['grpc_port']}"
        trust = ssl.create_default_context(cafile=str(authority.ca))
        url = f"https://127.0.0.1:{ap.ready['http_port']}"
        with httpx2.Client(base_url=url, verify=trust) as http:
            assert http.get("/v2/health/ready").status_code == 200
            assert http.get("/v1/state").status_code == 401
            header = {"Authorization": f"Bearer {read}"}
            assert http.get("/v1/state", headers=header).json()["ready"]
            assert http.put("/v1/subjects/a", headers=header).status_code == 403
        channel = f"channel serve --listen 127.0.0.1:0 --upstream {target} --snr 60"
        with Role("channel", [*channel.split(), "--tls-ca", str(authority.ca)]) as link:
            through = f"127.0.0.1:{link.ready['grpc_port']}"
            answered = codes(
                through, ClientCredentials(token=stream), blocks(tiny, "cam-1", "cam-2")
            )
            assert answered == {"cam-1": OK, "cam-2": FORBIDDEN}
            for _ in range(10):  # also when the stream ends while a block is handed over
                with pytest.raises(LinkError, match="no token"):
                    codes(through, ClientCredentials(), blocks(tiny, "cam-1"))
