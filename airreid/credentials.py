"""TLS and tokens of gRPC connections, for clients and servers.

A token goes along as ``authorization: Bearer TOKEN``, the same header as over HTTP. Over
plain text it is sent to loopback addresses only, unless the user says that the network
is closed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import grpc
from grpc import aio
from pydantic import model_validator

from airreid import log, proxies
from airreid.addresses import check_target, parse_address
from airreid.disk import read_given, read_given_text
from airreid.errors import InputError
from airreid.flags import Flag, Settings

_TOKEN_BYTES_MAX = 64 * 1024
_PEM_BYTES_MAX = 4 * 1024 * 1024


class ClientCredentials(Settings):
    """Credentials of a client. The default shows nothing, in plain text."""

    token: Annotated[str | None, Flag(envvar="AIRREID_TOKEN", instead_of=("token_file",))] = None
    """Token of the access point. Others see a command line: better the variable."""
    token_file: Annotated[Path | None, Flag()] = None
    """File that holds the token.

    It is read when the credentials are made, and wins over ``token``.
    """
    tls_ca: Annotated[Path | None, Flag()] = None
    """Authority of the server's certificate (PEM): use TLS."""
    tls_cert: Annotated[Path | None, Flag()] = None
    """Own certificate (PEM).

    With its chain, for a server that asks for one.
    """
    tls_key: Annotated[Path | None, Flag()] = None
    """Its key (PEM)."""
    insecure_plaintext: Annotated[bool, Flag()] = False
    """Send the token without TLS anywhere."""

    @model_validator(mode="before")
    @classmethod
    def _with_token(cls, values: Any) -> Any:
        """Raises :class:`InputError` for a token, or a file of one, that cannot be used."""
        if not isinstance(values, dict):
            return values
        token, file = values.get("token"), values.get("token_file")
        if file is not None:
            token = _read_token(Path(file))
        if isinstance(token, str) and not _is_token(token):
            raise InputError("the token has characters that no token has; copy it again")
        return values | {"token": token or None}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InputError("a client certificate needs both --tls-cert and --tls-key")
        if self.tls_cert is not None and self.tls_ca is None:
            raise InputError("--tls-cert needs --tls-ca: who vouches for the server")
        return self

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns the metadata of every call."""
        return () if self.token is None else (("authorization", f"Bearer {self.token}"),)

    @property
    def hint(self) -> str:
        """Returns what else may be wrong when nothing answers."""
        if self.tls_ca is None:
            return "; if it serves TLS, give --tls-ca"
        return "; with --tls-ca it must serve TLS and its certificate must name this host"

    def check(self, target: str) -> None:
        """Raises :class:`InputError` for what is no address, and if the token would cross a network
        in plain text."""
        check_target(target)
        if self.token is None or self.tls_ca is not None or self.insecure_plaintext:
            return
        if not is_loopback(target.rpartition(":")[0]):
            raise InputError(
                f"{target}: the token would go there in plain text; give --tls-ca, "
                "or --insecure-plaintext on a closed network"
            )

    def verify(self, target: str) -> None:
        """Raises :class:`InputError` now for what :meth:`channel` would raise later."""
        self.check(target)
        self._tls()

    def _tls(self) -> grpc.ChannelCredentials | None:
        if self.tls_ca is None:
            return None
        return grpc.ssl_channel_credentials(
            read_pem(self.tls_ca),
            None if self.tls_key is None else read_pem(self.tls_key),
            None if self.tls_cert is None else read_pem(self.tls_cert),
        )

    def channel(self, target: str, options: Sequence[tuple[str, Any]]) -> grpc.Channel:
        """Opens a channel on which every call shows the token. Raises :class:`InputError`.

        It goes through a proxy only as :func:`airreid.proxies.grpc_options` says.
        """
        self.check(target)
        tls, options = self._tls(), [*options, *proxies.grpc_options(target)]
        channel = (
            grpc.insecure_channel(target, options=options)
            if tls is None
            else grpc.secure_channel(target, tls, options=options)
        )
        if self.token is None:
            return channel
        return grpc.intercept_channel(channel, _Bearer(self.metadata))

    def aio_channel(self, target: str, options: Sequence[tuple[str, Any]]) -> aio.Channel:
        """Opens an asyncio channel; calls show :attr:`metadata` where they are given it.

        It goes through a proxy as :meth:`channel` does. Raises :class:`InputError`.
        """
        self.check(target)
        tls, options = self._tls(), [*options, *proxies.grpc_options(target)]
        if tls is None:
            return aio.insecure_channel(target, options=options)
        return aio.secure_channel(target, tls, options=options)


def _read_token(path: Path) -> str:
    return read_given_text(path, _TOKEN_BYTES_MAX, "ascii").strip()


def _is_token(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


NOBODY = ClientCredentials()


def is_loopback(host: str) -> bool:
    """Says whether a host, as HOST:PORT has it, is this machine and nothing else."""
    host = host.strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_listening(address: str, insecure_no_auth: bool, what: str) -> None:
    """Refuses a listener that asks nobody for a credential and that others can reach, unless
    that was said in words, as the access point does; then it is logged.

    ``what``: what a stranger could do. Raises :class:`InputError`.
    """
    if is_loopback(parse_address(address).host):
        return
    if not insecure_no_auth:
        raise InputError(
            f"--listen {address}: whoever reaches it could {what}; listen on a loopback address, "
            "with a proxy before it that asks for credentials, or give --insecure-no-auth on a "
            "closed network"
        )
    log.warning("listening_beyond_loopback_without_tokens", address=address)


def read_pem(path: Path) -> bytes:
    """Reads a PEM file. Raises :class:`InputError` for one that is missing or something else."""
    data = read_given(path, _PEM_BYTES_MAX)
    if b"-----BEGIN " not in data:
        raise InputError(f"{path}: not a PEM file; give certificates and keys as PEM")
    return data


def server_credentials(cert: Path, key: Path, client_ca: Path | None) -> grpc.ServerCredentials:
    """Makes TLS for a server; with ``client_ca`` every client must show a certificate of it.

    Raises :class:`InputError`.
    """
    return grpc.ssl_server_credentials(
        [(read_pem(key), read_pem(cert))],
        root_certificates=None if client_ca is None else read_pem(client_ca),
        require_client_auth=client_ca is not None,
    )


def certificate_names(auth_context: Any) -> frozenset[str]:
    """Returns the names of a peer's certificate in a gRPC ``auth_context()``: alternative names,
    or its common name where it has none."""
    for key in ("x509_subject_alternative_name", "x509_common_name"):
        names = frozenset(name.decode(errors="replace") for name in auth_context.get(key, ()))
        if names:
            return names
    return frozenset()


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Bearer(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds metadata to every call."""

    def __init__(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self._metadata = metadata

    def _intercept(self, go_on: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        metadata = [*(details.metadata or ()), *self._metadata]
        return go_on(
            _Details(
                details.method,
                details.timeout,
                metadata,
                details.credentials,
                details.wait_for_ready,
                details.compression,
            ),
            request,
        )

    intercept_unary_unary: Any = _intercept
    intercept_unary_stream: Any = _intercept
    intercept_stream_unary: Any = _intercept
    intercept_stream_stream: Any = _intercept
