"""Client of a Milvus server: settings, calls, and its failures as errors of this project.

``pymilvus`` is imported when a server is first used: it takes a second, and an access
point with its own index needs none of it.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import grpc
from pydantic import Field, SecretStr, field_validator, model_validator

from accesspoint.errors import NotReadyError
from airreid import proxies
from airreid.disk import read_given_text
from airreid.errors import AirReidError, InputError
from airreid.flags import Flag, Settings

NOT_LOADED = 101
"""Milvus' code for a collection that is on the server's disk only."""
_TOKEN_BYTES_MAX = 64 * 1024
_REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


class MilvusSettings(Settings):
    """Address of a Milvus server, and the way it holds the gallery."""

    uri: Annotated[str, Field(max_length=1024), Flag("--milvus-uri")]
    """With --index milvus: http://HOST:PORT, or FILE.db.

    ``https://HOST:PORT`` too. A path that ends in ``.db`` is Milvus Lite inside this process,
    for one access point and small galleries.
    """
    token: SecretStr | None = None
    """``USER:PASSWORD`` or an API key."""
    token_file: Annotated[Path | None, Flag("--milvus-token-file")] = None
    """File with USER:PASSWORD or an API key.

    It is read when the settings are made.
    """
    role: Annotated[Literal["writer", "reader"], Flag("--milvus-role")] = "writer"
    """One access point writes a shared gallery, others read it.

    The writer has the store; readers only search.
    """
    schemes: Annotated[tuple[str, ...], Flag("--milvus-scheme")] = ()
    """A scheme to keep on Milvus; all if left out.

    Schemes whose collections the writing access point keeps, ``features`` for the raw ones.
    """
    prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,31}$"), Flag("--milvus-prefix")] = (
        "airreid"
    )
    """First part of the collections' names; one for each gallery.

    Galleries that share a server differ in it.
    """
    index: Annotated[Literal["FLAT", "HNSW"], Flag("--milvus-index")] = "FLAT"
    """FLAT is exact; of collections made from now on.

    ``HNSW`` trades recall for speed.
    """
    hnsw_m: int = Field(default=16, ge=4, le=64)
    hnsw_ef_construction: int = Field(default=200, ge=16, le=2048)
    hnsw_ef: int = Field(default=128, ge=16, le=16_384)
    shards: int = Field(default=1, ge=1, le=16)
    """Parts that take writes side by side; of collections that are made from now on."""
    replicas: int = Field(default=1, ge=1, le=16)
    """Copies in the memory of query nodes; more of them answer more queries."""
    timeout_s: float = Field(default=10.0, gt=0, le=600)

    @model_validator(mode="before")
    @classmethod
    def _with_token(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("token_file") is not None:
            return values | {"token": read_token(Path(values["token_file"]))}
        return values

    @field_validator("uri")
    @classmethod
    def _reachable(cls, uri: str) -> str:
        if uri.endswith(".db") and "://" not in uri:
            return uri
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("use http://HOST:PORT, https://HOST:PORT or a path ending in .db")
        if parts.username or parts.password:
            raise ValueError("leave the password out of it; put USER:PASSWORD in a token file")
        return uri


def read_token(path: Path) -> SecretStr:
    """Returns the token in a file's first line. Raises :class:`InputError` naming the file."""
    token = read_given_text(path, _TOKEN_BYTES_MAX).strip()
    if not re.fullmatch(r"[!-~]{1,512}", token):
        raise InputError(f"{path}: needs one line, USER:PASSWORD or an API key")
    return SecretStr(token)


class MilvusServer:
    """A Milvus server, usable from any thread. Every call has a time limit."""

    def __init__(self, settings: MilvusSettings) -> None:
        """Raises :class:`NotReadyError` if the server does not answer, and
        :class:`InputError` if it refuses the token or the client is not installed."""
        self.settings = settings
        try:
            self._pymilvus: Any = importlib.import_module("pymilvus")
        except ModuleNotFoundError as error:
            raise InputError(
                f"--index milvus needs a package that is missing ({error.name}): "
                "pip install 'airreid[milvus]'"
            ) from None
        # The library prints every failure with a trace; callers here say it once, in their words.
        for name in ("pymilvus", "milvus_lite"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        direct = "://" not in settings.uri  # a file, served by this process
        options = [proxies.DIRECT] if direct else proxies.grpc_options(settings.uri)
        token = settings.token.get_secret_value() if settings.token else ""
        with self.asking("connect"):
            self._client = self._pymilvus.MilvusClient(
                uri=settings.uri,
                token=token,
                timeout=settings.timeout_s,
                dedicated=True,
                grpc_options=dict(options),
            )

    def close(self) -> None:
        self._client.close()

    @property
    def types(self) -> Any:
        """Types of fields, ``pymilvus.DataType``."""
        return self._pymilvus.DataType

    def schema(self) -> Any:
        """Returns an empty schema of a collection."""
        return self._pymilvus.MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)

    def vector_index(self, field: str, kind: str, params: dict[str, int]) -> Any:
        """Returns the parameters of an index by inner product over one field."""
        index_params = self._client.prepare_index_params()
        index_params.add_index(field, index_type=kind, metric_type="IP", params=params)
        return index_params

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Calls a method of ``MilvusClient``, with this server's time limit.

        A collection that the server has unloaded (Milvus Lite does at each start) is
        loaded and asked again, once. Raises as :meth:`asking` does.
        """
        with self.asking(method):
            bound = getattr(self._client, method)
            options.setdefault("timeout", self.settings.timeout_s)
            try:
                return bound(*args, **options)
            except self._pymilvus.MilvusException as error:
                if error.code != NOT_LOADED or not args:
                    raise
                self.load(args[0])
                return bound(*args, **options)

    def load(self, collection: str) -> None:
        """Has the server load a collection into memory."""
        options = {"replica_number": self.settings.replicas} if self.settings.replicas > 1 else {}
        timeout = max(60.0, self.settings.timeout_s)
        self._client.load_collection(collection, timeout=timeout, **options)

    @contextlib.contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Turns the library's failures into :class:`NotReadyError` (the server is away or
        cannot now) and :class:`InputError` (it refuses the token)."""
        try:
            yield
        except AirReidError:
            raise
        except self._pymilvus.MilvusException as error:
            raise self._failure(what, str(error.message), str(error.code)) from None
        except grpc.RpcError as error:
            code = error.code() if isinstance(error, grpc.Call) else None
            if code in _REFUSED:
                raise self._refused() from None
            raise self._failure(what, "", str(code)) from None

    def _failure(self, what: str, message: str, code: str) -> AirReidError:
        if "auth" in message.lower() or "permission" in message.lower():
            return self._refused()
        reason = " ".join(message.split())[:200] or code
        return NotReadyError(f"Milvus at {self.settings.uri} ({what}): {reason}")

    def _refused(self) -> InputError:
        return InputError(
            f"Milvus at {self.settings.uri} refuses the token; see --milvus-token-file"
        )
