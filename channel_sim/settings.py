"""Settings of the channel simulator."""

from __future__ import annotations

from typing import Annotated

from airreid.addresses import HostPort
from airreid.channels.settings import LinkSettings
from airreid.credentials import NOBODY, ClientCredentials
from airreid.flags import Flag, Settings
from channel_sim.delay import DelaySettings


class ServeSettings(Settings):
    """Everything that ``airreid channel serve`` is told."""

    listen: Annotated[HostPort, Flag()] = "127.0.0.1:50051"
    """HOST:PORT to serve on; port 0 picks a free one."""
    insecure_no_auth: Annotated[bool, Flag()] = False
    """Let anybody who reaches --listen in: closed networks."""
    upstream: Annotated[str, Flag()] = "127.0.0.1:50052"
    """HOST:PORT of the access point."""
    link: LinkSettings = LinkSettings()
    """The default of all links."""
    delay: DelaySettings = DelaySettings()
    """How slow all links are."""
    metrics: Annotated[HostPort | None, Flag()] = None
    """HOST:PORT to answer Prometheus on; off without it."""
    credentials: ClientCredentials = NOBODY
