"""The options with which a command says who it is: the same on every client command."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from airreid.credentials import ClientCredentials
from airreid.errors import InputError

_OPTIONS: dict[str, Any] = {
    "token": Annotated[
        str | None,
        typer.Option(
            envvar="AIRREID_TOKEN",
            show_envvar=True,
            show_default=False,
            help="Token of the access point. Others see a command line: better the variable.",
        ),
    ],
    "token_file": Annotated[
        Path | None, typer.Option(show_default=False, help="File that holds the token.")
    ],
    "tls_ca": Annotated[
        Path | None,
        typer.Option(show_default=False, help="Who vouches for the server (PEM): use TLS."),
    ],
    "tls_cert": Annotated[
        Path | None, typer.Option(show_default=False, help="Own certificate (PEM).")
    ],
    "tls_key": Annotated[Path | None, typer.Option(show_default=False, help="Its key (PEM).")],
    "insecure_plaintext": Annotated[
        bool, typer.Option("--insecure-plaintext", help="Send the token without TLS anywhere.")
    ],
}


def credentials_of(
    token: str | None,
    token_file: Path | None,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure_plaintext: bool,
) -> ClientCredentials:
    """Credentials from the options. Raises :class:`InputError`."""
    if token_file is not None:
        try:
            token = token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeError) as error:
            raise InputError(f"{token_file}: cannot be read as a token ({error})") from None
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise InputError("the token has characters that no token has; copy it again")
    return ClientCredentials(
        token=token or None,
        tls_ca=tls_ca,
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure_plaintext=insecure_plaintext,
    )


def with_credentials(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a Typer command the options above, in place of its argument ``credentials``."""
    hints = typing.get_type_hints(command, include_extras=True)
    del hints["credentials"]
    hints.pop("return", None)
    signature = inspect.signature(command)
    own = [
        parameter.replace(annotation=hints[name])
        for name, parameter in signature.parameters.items()
        if name != "credentials"
    ]
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if name == "insecure_plaintext" else None,
            annotation=option,
        )
        for name, option in _OPTIONS.items()
    ]

    @functools.wraps(command)
    def wrapper(**arguments: Any) -> None:
        shown = {name: arguments.pop(name) for name in _OPTIONS}
        command(**arguments, credentials=credentials_of(**shown))

    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own
    ] + added
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return wrapper
