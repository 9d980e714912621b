"""``airreid health``: is a service there and serving?"""

from __future__ import annotations

from typing import Annotated

import grpc
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc

from airreid.client import MESSAGE_OPTIONS
from airreid.console import say
from airreid.credential_options import with_credentials
from airreid.credentials import NOBODY, ClientCredentials
from airreid.errors import LinkError
from airreid.proxies import proxy_hint


@with_credentials
def command(
    target: Annotated[str, typer.Argument(help="HOST:PORT of any AirReID service.")],
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to wait.")] = 5.0,
    credentials: ClientCredentials = NOBODY,
) -> None:
    """Ask a service for its gRPC health; exits with 0 only if it is serving."""
    with credentials.channel(target, MESSAGE_OPTIONS) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=seconds, wait_for_ready=True
            )
        except grpc.RpcError:
            hint = proxy_hint(target)
            raise LinkError(f"{target}: no answer within {seconds:g} s{hint}") from None
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise LinkError(f"{target}: not serving")
    say(f"{target}: serving")
