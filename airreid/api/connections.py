"""Connections whose errors speak of the Python API's arguments, not of a command line."""

from __future__ import annotations

from pathlib import Path

from airreid.client import ChannelClient, GalleryClient
from airreid.credentials import ClientCredentials, is_loopback
from airreid.errors import InputError
from airreid.uplink_client import Uplink


class ArgumentCredentials(ClientCredentials):
    """Credentials given as the arguments ``token`` and ``tls_ca``."""

    @property
    def hint(self) -> str:
        """Returns what else may be wrong when nothing answers."""
        return super().hint.replace("--tls-ca", "tls_ca")

    def check(self, target: str) -> None:
        """Raises :class:`InputError` if the token would cross a network in plain text."""
        if self.token and self.tls_ca is None and not is_loopback(target.rpartition(":")[0]):
            raise InputError(f"{target}: the token would go there in plain text; give tls_ca")


class ApiGallery(GalleryClient):
    """A gallery's client, given as ``target``."""

    option = "target"


class ApiChannel(ChannelClient):
    """A channel simulator's client, given as ``target``."""

    option = "target"
    takes_credentials = True


class ApiUplink(Uplink):
    """An uplink's client, given as ``uplink``."""

    option = "uplink"


def credentials_of(token: str | None, tls_ca: str | Path | None) -> ArgumentCredentials:
    """Returns the credentials of these arguments. Raises :class:`InputError`."""
    return ArgumentCredentials(token=token, tls_ca=None if tls_ca is None else Path(tls_ca))
