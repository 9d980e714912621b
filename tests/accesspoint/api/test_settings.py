"""An access point that others could reach without a credential is not started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from accesspoint.settings import ServeSettings, asks_for_token, check_exposure
from airreid.credentials import ClientCredentials, is_loopback
from airreid.errors import InputError

TLS = {"cert": "c.pem", "key": "k.pem"}
MUTUAL = {**TLS, "client_ca": "ca.pem"}
OUT = {"grpc": "0.0.0.0:1", "http": "0.0.0.0:2"}


@pytest.mark.parametrize(
    ("given", "has_tokens", "words"),
    [
        ({}, False, None),
        ({}, True, None),
        ({"grpc": "[::1]:0", "http": "localhost:0"}, False, None),
        ({"http": "0.0.0.0:80"}, False, "asks for a token and there is none"),
        ({"grpc": "10.0.0.1:80"}, False, r"--grpc 10\.0\.0\.1:80: asks for a token"),
        ({"grpc": "somewhere:80"}, False, "asks for a token"),
        ({"grpc": "[::]:80"}, False, "asks for a token"),
        (OUT, True, "tokens would come in plain text"),
        ({**OUT, "tls": TLS}, True, None),
        ({**OUT, "tls": TLS}, False, "there is none"),
        ({**OUT, "insecure_plaintext": True}, True, None),
        ({**OUT, "insecure_no_auth": True}, False, None),
        ({"grpc": "0.0.0.0:1", "tls": MUTUAL}, False, None),
        ({**OUT, "tls": MUTUAL}, False, r"--http 0\.0\.0\.0:2: asks for a token"),
        ({"require_token": True}, False, "there is none"),
        ({"require_token": True}, True, None),
        ({"require_token": True, "insecure_no_auth": True}, True, "contradict"),
    ],
)
def test_exposure(
    tmp_path: Path, given: dict[str, Any], has_tokens: bool, words: str | None
) -> None:
    settings = ServeSettings(data_dir=tmp_path, **given)
    if words is None:
        check_exposure(settings, has_tokens)
    else:
        with pytest.raises(InputError, match=words):
            check_exposure(settings, has_tokens)


def test_who_is_asked(tmp_path: Path) -> None:
    settings = ServeSettings(data_dir=tmp_path)
    assert not asks_for_token(settings, "127.0.0.1:1")
    assert asks_for_token(settings, "0.0.0.0:1")
    assert asks_for_token(settings.model_copy(update={"require_token": True}), "127.0.0.1:1")
    assert not asks_for_token(settings.model_copy(update={"insecure_no_auth": True}), "0.0.0.0:1")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("192.168.0.1", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_a_client_keeps_its_token_off_the_network() -> None:
    shown = ClientCredentials(token="t")
    shown.check("127.0.0.1:1")
    with pytest.raises(InputError, match="in plain text"):
        shown.check("ap.example:1")
    with pytest.raises(InputError, match="in plain text"):
        shown.channel("ap.example:1", [])
    ClientCredentials(token="t", insecure_plaintext=True).check("ap.example:1")
    ClientCredentials(token="t", tls_ca=Path("ca.pem")).check("ap.example:1")
    ClientCredentials().check("ap.example:1")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tls_cert": "c"}, "both --tls-cert and --tls-key"),
        ({"tls_cert": "c", "tls_key": "k"}, "needs --tls-ca"),
    ],
)
def test_half_a_certificate_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ClientCredentials(**given)


def test_files_that_are_no_pem_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ca\.pem: cannot be read"):
        ClientCredentials(tls_ca=tmp_path / "ca.pem").verify("h:1")
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(InputError, match=r"ca\.pem: not a PEM file"):
        ClientCredentials(tls_ca=tmp_path / "ca.pem").verify("h:1")
