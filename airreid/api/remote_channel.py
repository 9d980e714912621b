"""A running channel simulator from Python: the same noise, computed there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

from airreid import wire
from airreid.api.channel import Report, checked_symbols
from airreid.api.checks import check_link_name, check_numbers, model_parameters
from airreid.api.connections import ApiChannel, credentials_of
from airreid.api.model import Blocks, Floats
from airreid.channels.messages import from_fields
from airreid.channels.registry import channel_models, is_channel_model
from airreid.channels.settings import SNR_FIELDS, link_settings
from airreid.errors import LinkError
from airreid.v1 import channel_pb2

_SYMBOLS_AT_ONCE = 1 << 18
"""Real channel uses in one request; the service takes twice as many."""


class RemoteChannel:
    """A connection to a running channel simulator; use as a context manager.

    Transmits as :class:`Channel` does and takes its place. A link's settings are those that
    the service has for it (``airreid channel set``); a call may change them for itself.

    Args:
        target: HOST:PORT of the channel simulator.
        link: Name of the link, an edge id.
        token: Access token, sent over TLS or to this machine alone.
        tls_ca: PEM file of who vouches for the server; turns TLS on.
        connect_seconds: How long to wait for an answer.

    Raises:
        airreid.LinkError: if nothing answers there.
        airreid.InputError: for a token that would cross a network in plain text.

    Example:
        >>> import airreid, numpy as np
        >>> sent = np.ones((100, 256), np.float32)
        >>> with airreid.RemoteChannel("127.0.0.1:50051") as radio:
        ...     received, report = radio.transmit(sent, model="rayleigh", snr_db=0, seed=1)
        >>> here, _ = airreid.channel("rayleigh", snr_db=0, seed=1, link="cam-1").transmit(sent)
        >>> bool((received == here).all())
        True
    """

    def __init__(
        self,
        target: str,
        link: str = "cam-1",
        token: str | None = None,
        tls_ca: str | Path | None = None,
        connect_seconds: float = 10.0,
    ) -> None:
        check_link_name(link)
        self.link = link
        self._target, self._closed = target, False
        self._client = ApiChannel(target, connect_seconds, credentials_of(token, tls_ca))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._closed = True
        self._client.__exit__(None, None, None)

    @overload
    def transmit(
        self, blocks: Blocks, first_block: int = 0, link: str | None = None, **changes: object
    ) -> tuple[Blocks, Report]: ...
    @overload
    def transmit(
        self,
        blocks: NDArray[np.floating],
        first_block: int = 0,
        link: str | None = None,
        **changes: object,
    ) -> tuple[Floats, Report]: ...

    def transmit(
        self,
        blocks: Blocks | NDArray[np.floating],
        first_block: int = 0,
        link: str | None = None,
        **changes: object,
    ) -> tuple[Blocks | Floats, Report]:
        """Sends blocks through a link of the service: (received, report).

        Any number of blocks; they go in as many requests as it takes. An access point need
        not be there. Arguments and results are those of :meth:`Channel.transmit`.

        Raises:
            airreid.LinkError: if the service goes away, or refuses a setting, and after
                :meth:`close`.
            airreid.InputError: as :meth:`Channel.transmit`, and for blocks of the ideal link,
                which have no symbols.

        Example:
            >>> import airreid, numpy as np
            >>> with airreid.RemoteChannel("127.0.0.1:50051") as radio:
            ...     _, report = radio.transmit(np.ones((2, 64)), first_block=7, snr_db=-3)
            >>> report.model, report.snr_db, report.first_block
            ('awgn', array([-3., -3.]), 7)
        """
        symbols = checked_symbols(blocks)
        first_block = check_numbers(first_block, len(symbols))
        link = self.link if link is None else link
        check_link_name(link)
        bandwidth = symbols.shape[1]
        settings = from_fields(_checked(changes))
        if self._closed:
            raise LinkError(f"{self._target}: the connection is closed; open a RemoteChannel anew")
        received = np.empty_like(symbols)
        levels, gain = np.empty(len(symbols)), np.ones(len(symbols), np.complex128)
        model = "" if len(symbols) else settings.model or self._model(link)
        rows = max(1, _SYMBOLS_AT_ONCE // bandwidth)
        for start in range(0, len(symbols), rows):
            part = slice(start, start + rows)
            answer = self._client.transmit(
                channel_pb2.TransmitRequest(
                    link=link,
                    settings=settings,
                    first_block=first_block + start,
                    bandwidth=bandwidth,
                    symbols=wire.to_bytes(symbols[part].reshape(-1)),
                )
            )
            received[part] = np.frombuffer(answer.symbols, "<f4").reshape(-1, bandwidth)
            levels[part], model = answer.snr_db, answer.settings.model
            if answer.gain_real:
                gain[part] = np.array(answer.gain_real) + 1j * np.array(answer.gain_imag)
        report = Report(model, levels, gain, first_block)
        return (blocks.with_symbols(received) if isinstance(blocks, Blocks) else received), report

    def _model(self, link: str) -> str:
        """Asks for the model of a link. Raises :class:`LinkError`."""
        listed = self._client.links()
        return listed.links.get(link, listed.default_settings).model


def _checked(changes: Mapping[str, object]) -> dict[str, object]:
    """Returns changes to a link, whose other settings only the service knows, as typed values.

    A model that only the service has is left to it, and parameters of a model that is not
    named. Raises :class:`InputError` naming a setting that cannot be used.
    """
    fields, left = dict(changes), dict[str, object]()
    model = fields.get("model", "")
    if isinstance(model, str) and not is_channel_model(model):
        wanted = set(fields) & {name for each in channel_models() for name in each.fields}
        owners = [each.name for each in channel_models() if wanted <= set(each.fields)]
        left = {"model": model} if model else {}
        fields["model"] = owners[0] if owners else "awgn"
        if isinstance(fields.get("parameters"), Mapping | list):
            left["parameters"] = model_parameters(fields.pop("parameters"))
    settings = link_settings(**fields)
    typed = {name: getattr(settings, name) for name in changes if name in fields} | left
    if any(name in typed for name in SNR_FIELDS) and all(
        typed.get(name) is None for name in SNR_FIELDS
    ):
        typed["snr_db"] = settings.snr_db
    return {name: value for name, value in typed.items() if value is not None}
